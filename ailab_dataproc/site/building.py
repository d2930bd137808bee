"""Build the site: gather, write the pages that changed, keep the others, and put the whole in place at once."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ailab_dataproc.machine import processors
from ailab_dataproc.settings import Settings
from ailab_dataproc.site.folder import read_state, replacing, write_state
from ailab_dataproc.site.gathering import Entry, gather
from ailab_dataproc.site.pages import defined_page, version_page
from ailab_dataproc.site.rendering import STATIC, dataset_page, index_page, look, search_script

DEFAULT = "catalog_site"  # the folder, where none is named
_FEW = 150  # pages that one process writes before a second one would have started
_AT_A_TIME = 8  # datasets that are handed to a process together

Problem = tuple[str, str]  # a dataset's name (or nothing), and a sentence


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did."""

    folder: str
    datasets: int
    versions: int  # prepared ones
    written: int  # pages that were not kept from the build before
    seconds: float
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """For scripts."""
        return {**asdict(self), "problems": [{"dataset": name, "problem": told} for name, told in self.problems]}

    @property
    def index(self) -> str:
        """The page to open."""
        return os.path.join(self.folder, "index.html")


def build(
    settings: Settings, folder: str | os.PathLike[str] = DEFAULT, *, samples: bool = True, workers: int | None = None
) -> Built:
    """Write the catalog's site into a folder, where a reader sees the old one until the new one is whole.

    Args:
        settings: where definitions and data lie.
        folder: a new or empty folder, or one that an earlier build wrote.
        samples: whether pages show the first rows of the newest versions; columns with personal data never do.
        workers: processes; by default one a core, and one where few pages changed.

    Raises:
        InvalidRequest: the folder holds something else.
        StorageFailed: it can't be written.
    """
    begun = time.perf_counter()
    target = Path(folder).expanduser().resolve()
    before = read_state(target)
    gathered = gather(settings)
    mark = f"{look()} {gathered.data_dir} {samples}"
    known = before.get("pages", {}) if before.get("mark") == mark else {}
    with replacing(target) as new:
        pages: dict[str, dict[str, Any]] = {}
        changed = []
        for entry in gathered.entries:
            old = known.get(entry.name)
            same = old and old["digest"] == entry.digest and not old["problems"]  # what was wrong may be mended by now
            if old and same and _kept(old["files"], target, new):
                pages[entry.name] = old
            else:
                changed.append(entry)
        for entry, told in zip(changed, _write_all(changed, settings, new, samples, workers), strict=True):
            pages[entry.name] = {"digest": entry.digest, **told}
        problems = [("", told) for told in gathered.problems]
        problems += [(entry.name, told) for entry in gathered.entries for told in pages[entry.name]["problems"]]
        shutil.copytree(STATIC, new / "static")
        (new / "search.js").write_text(search_script(gathered.entries), encoding="utf-8")
        (new / "index.html").write_text(index_page(gathered, problems), encoding="utf-8")
        write_state(new, mark=mark, pages=pages)
    return Built(
        folder=str(target),
        datasets=len(gathered.entries),
        versions=sum(len(one.versions) for one in gathered.entries),
        written=sum(one.endswith(".html") for entry in changed for one in pages[entry.name]["files"]),
        seconds=round(time.perf_counter() - begun, 3),
        problems=tuple(problems),
    )


def _kept(files: Sequence[str], old: Path, new: Path) -> bool:
    """Take over the files of a dataset that is as it was; False where one is gone."""
    if not all((old / one).is_file() for one in files):
        return False
    for one in files:
        (new / one).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(old / one, new / one)
    return True


def _write_all(
    entries: Sequence[Entry], settings: Settings, new: Path, samples: bool, workers: int | None
) -> list[dict[str, Any]]:
    """Write the pages of these datasets, in several processes where they are many; for each what was told."""
    write = partial(write_pages, settings=settings, folder=new, samples=samples)
    many = sum(len(one.versions) for one in entries)
    used = workers or (1 if many <= _FEW else processors())
    if used == 1:
        return [write(one) for one in entries]
    with ProcessPoolExecutor(used, multiprocessing.get_context("spawn"), initializer=ignore_interrupts) as pool:
        return list(pool.map(write, entries, chunksize=_AT_A_TIME))


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the process that started this one, which ends it in good order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def write_pages(entry: Entry, *, settings: Settings, folder: Path, samples: bool) -> dict[str, Any]:
    """Write the pages of one dataset, and the images that they show.

    Returns:
        The ``files``, and the ``problems`` that were met.
    """
    pages = [version_page(entry, one, settings, samples=samples) for one in entry.versions] or [defined_page(entry)]
    files: dict[str, bytes] = {}
    for page in pages:
        files |= {page.path: dataset_page(page).encode(), **page.pictures}
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return {"files": list(files), "problems": list(next(one for one in pages if one.newest).problems)}
