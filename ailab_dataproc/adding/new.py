"""A new dataset's files, none of which was there before: definition, test, dummy source, a line of the changelog."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from ailab_dataproc import catalog, urls
from ailab_dataproc.adding.code import quoted
from ailab_dataproc.adding.draft import PLACE, Draft, definition_text
from ailab_dataproc.adding.dummy import dummy, made_up_rows
from ailab_dataproc.adding.places import Places
from ailab_dataproc.adding.reading import reading_of
from ailab_dataproc.adding.sampling import Sample
from ailab_dataproc.catalog import Definition, Place
from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Source
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.preparation.trial import first_rows
from ailab_dataproc.settings import Settings

SPLIT = "train"
_OWNER = f"{PLACE}: a person or a team"
_DESCRIPTION = f"{PLACE}: what one row is, and where it comes from."
_ROWS = 20  # that are made up where there is no sample
_TRIED = 10_000  # rows of the sample that the definition must be able to read
_SKELETON = pa.schema(
    [
        column("id", pa.int64(), f"{PLACE}: meaning"),
        column("value", pa.float64(), f"{PLACE}: meaning", unit=PLACE),
        column("label", pa.string(), f"{PLACE}: meaning"),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What was written."""

    name: str
    places: Places
    dummy: Path
    rows: int  # of the dummy source
    marks: int  # places for the author in the definition
    listed: bool  # whether the settings name its folder, so that it is found at once


def draft_of(name: str, sample: Sample, paths: Sequence[str], *, owner: str = "", description: str = "") -> Draft:
    """The definition of what a sample holds; `paths` are the sources of its one split."""
    reading = reading_of(sample.found)
    return Draft(
        name=name,
        schema=sample.schema,
        splits={SPLIT: [lasting(one) for one in paths]},
        owner=owner or _OWNER,
        description=description or _DESCRIPTION,
        remarks=sample.remarks,
        code=reading.code,
        read=reading.read,
        imports=reading.imports,
        names=reading.names,
    )


def skeleton_of(name: str, *, owner: str = "", description: str = "") -> Draft:
    """A definition to begin with where there is no sample."""
    return Draft(name=name, schema=_SKELETON, splits={}, owner=owner or _OWNER, description=description or _DESCRIPTION)


def lasting(path: str) -> str:
    """A path that names the same files wherever a command is started; URLs are left as they are."""
    return path if path.startswith("package://") else urls.local_path(path) or path


def add(draft: Draft, places: Places, settings: Settings, sample: Sample | None = None) -> Added:
    """Write a new dataset's files, and read its dummy source and the sample once with it.

    Args:
        draft: the definition; without a sample its sources become the dummy one.
        places: of the files.
        settings: where other definitions are found.
        sample: what the draft was made of.

    Raises:
        InvalidRequest: the name or a file is there already; nothing is overwritten.
        InvalidData: the definition can't read the sample; nothing is left behind.
    """
    ending, content = dummy(sample) if sample else (".csv", made_up_rows(draft.schema, _ROWS))
    source = places.dummies / f"{SPLIT}{ending}"
    if not sample:
        draft = replace(draft, splits={SPLIT: str(source)}, remark=f"{PLACE}: made-up rows; name the real sources.")
    text = definition_text(draft)
    files = {
        places.definition: text.encode(),
        source: content,
        places.test: _test(draft.name, source, places.test).encode(),
    }
    with _all_or_nothing(places.folder, *files):
        _check_new(draft.name, places, settings)
        for path, bytes_ in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes_)
        rows = _tried(draft.name, places, source, sample)
        note = f"- {dt.date.today()}: `{draft.name}` {draft.version}: {draft.release_note}"
        places.changelog.write_text(_changelog(places.changelog, note), encoding="utf-8")
    listed = draft.name in catalog.definitions(settings)
    marks = sum(PLACE in line for line in text.splitlines())
    return Added(name=draft.name, places=places, dummy=source, rows=rows, marks=marks, listed=listed)


def _check_new(name: str, places: Places, settings: Settings) -> None:
    known = catalog.definitions(settings).get(name)
    if known is not None:
        raise InvalidRequest(f"{name}: is defined already in {known.path}. Choose another name, or edit that file.")
    for path in (places.definition, places.test, places.dummies):
        if path.exists():
            raise InvalidRequest(
                f"{path}: is there already, and nothing is overwritten. Move it, or take another name."
            )


@contextlib.contextmanager
def _all_or_nothing(folder: Path, *files: Path) -> Iterator[None]:
    """Make a folder; where what follows fails, remove it and the files, as far as they weren't there before."""
    paths = (folder, *files)
    new = {one for path in paths for one in (path, *path.parents) if not one.exists()}
    folder.mkdir(parents=True, exist_ok=True)  # the settings may name it already
    try:
        yield
    except BaseException:
        for path in sorted(new, reverse=True):  # what is inside of a folder before the folder
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        raise


def _tried(name: str, places: Places, source: Path, sample: Sample | None) -> int:
    """Read the dummy source and the beginning of the sample by the written definition; returns the rows of the dummy.

    Raises:
        InvalidData, SourceFailed: it can't.
    """
    dataset = Definition(name, places.definition, Place(places.folder, str(places.folder))).load()
    files = [str(source), *(sample.files[:1] if sample else ())]
    counts = [sum(batch.num_rows for batch in first_rows(dataset, [Source(file, SPLIT)], _TRIED)) for file in files]
    return counts[0]


def _test(name: str, source: Path, test: Path) -> str:
    title = "".join(part.capitalize() for part in name.rsplit("/", 1)[-1].split("_"))
    return f'''\
"""Tests of {name}: schema, keys, splits, the same bytes each time, the same values on each backend."""

from ailab_dataproc.testing import DatasetTests


class Test{title}(DatasetTests):
    dataset = {quoted(name)}
    sources = {{{quoted(SPLIT)}: {quoted(source.relative_to(test.parent).as_posix())}}}
'''


def _changelog(path: Path, line: str) -> str:
    """A changelog with one more line: the first of what isn't released yet, above all that is."""
    if not path.exists():
        return f"# Changelog\n\n{line}\n"
    lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    heads = [number for number, one in enumerate(lines) if one.startswith("## ")]
    if heads and "unreleased" in lines[heads[0]].lower():
        place = heads[0] + 1
        place += place < len(lines) and not lines[place].strip()
    else:
        place = next((number for number, one in enumerate(lines) if one.startswith(("## ", "- "))), len(lines))
    before, after = lines[:place], lines[place:]
    above = [""] if before and before[-1].strip() and not before[-1].startswith("- ") else []
    below = [""] if after and not after[0].startswith("- ") else []
    return "\n".join([*before, *above, line, *below, *after]) + "\n"
