"""The cache of downloads: each is fetched once, checked, unpacked, and then read by every preparation."""

from __future__ import annotations

import glob
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ailab_dataproc import urls
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.download import SCHEME, Download
from ailab_dataproc.errors import InvalidData, InvalidRequest, StorageFailed, unknown
from ailab_dataproc.preparation.archives import File, unpack
from ailab_dataproc.preparation.progress import downloading
from ailab_dataproc.preparation.transfer import forget, transfer
from ailab_dataproc.storage import Folder, explained, folder
from ailab_dataproc.storage.lock import locked

RECEIPT = "receipt.json"  # written last: a folder that has it is complete
_log = logging.getLogger("ailab_dataproc")


@dataclass(frozen=True, slots=True)
class Cache:
    """Where downloads lie, for everybody who prepares from the same data directory."""

    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # fsspec's, for buckets
    progress: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """A download on this disk."""

    folder: Path
    files: Mapping[str, File]  # by their path below the folder


def cache_folder(data_dir: Folder, asked: str | None = None) -> Path:
    """Where downloads are kept: as asked, else in the data directory, which all workers see, else the user's cache."""
    if asked:
        return Path(asked).expanduser().absolute()
    if data_dir.is_local:
        return Path(data_dir.url) / ".downloads"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ailab_dataproc" / "downloads"


def find_downloaded(dataset: Dataset, split: str, text: str, cache: Cache) -> list[Source]:
    """The sources that ``download://<name>/<path or glob>`` names; fetched first where the cache has them not.

    Raises:
        UnknownName: the dataset has no download of that name.
        StorageFailed: it can't be fetched, or nothing in it matches.
        InvalidData: it has another checksum, or is an archive that can't be trusted.
    """
    name, _, inside = text.removeprefix(SCHEME).partition("/")
    if name not in dataset.downloads:
        raise unknown("download", name, dataset.downloads, where=dataset.name)
    download = dataset.downloads[name]
    if bool(inside) != download.is_archive:
        kind = "an archive: name the files in it, such as" if download.is_archive else "one file: write"
        shape = f"{SCHEME}{name}/*.csv" if download.is_archive else f"{SCHEME}{name}"
        raise InvalidRequest(f"{dataset.name}: source {text!r} of split {split!r} is of {kind} {shape!r}.")
    fetched = fetch(download, cache)
    matching = _matching(fetched, inside) if inside else list(fetched.files)
    if not matching:
        held = ", ".join(sorted(fetched.files)[:3])
        raise StorageFailed(
            f"{dataset.name}: source {text!r} of split {split!r} does not exist; the archive holds "
            f"{len(fetched.files):,} files, such as {held}."
        )
    return [_source(name, split, fetched, member) for member in matching]


def fetch(download: Download, cache: Cache) -> Fetched:
    """A download's files; from the cache without a request where they are there whole."""
    with explained(str(cache.folder), "read"):
        found = _cached(download, cache.folder)
    if found:
        return found
    with explained(str(cache.folder), "write"):
        cache.folder.mkdir(parents=True, exist_ok=True)
        with locked(folder(cache.folder), download.key, urls.shown(download.url)):  # the others wait, and find it
            return _cached(download, cache.folder) or _fetched(download, cache)


def _matching(fetched: Fetched, pattern: str) -> list[str]:
    if ".." in pattern.split("/"):
        raise InvalidRequest(f"{pattern!r} leads out of the download (..). Name files inside it.")
    if pattern in fetched.files:
        return [pattern]
    found = glob.glob(pattern, root_dir=fetched.folder, recursive=True)
    return [one for one in sorted(found) if one in fetched.files]


def _source(name: str, split: str, fetched: Fetched, member: str) -> Source:
    file = fetched.files[member]
    if file.size == 0:
        raise InvalidData(f"{SCHEME}{name}/{member}: the source is empty (0 bytes). Remove it, or get it again.")
    url = f"{SCHEME}{name}/{member}"
    return Source(url, split, file.size, file.checksum, place=str(fetched.folder / member))


def _entry(download: Download, folder: Path, checksum: str) -> Path:
    kind = "unpacked" if download.is_archive else "file"
    return folder / f"{download.key}-{checksum.removeprefix('sha256:')[:32]}-{kind}"


def _pointer(download: Download, folder: Path) -> Path:
    """The file that keeps the checksum of a URL for definitions without one."""
    return folder / f"{download.key}.checksum"


def _cached(download: Download, folder: Path) -> Fetched | None:
    pointer = _pointer(download, folder)
    checksum = download.checksum or (pointer.read_text().strip() if pointer.exists() else None)
    if checksum is None:
        return None
    entry = _entry(download, folder, checksum)
    if not (entry / RECEIPT).exists():
        return None
    try:
        receipt = json.loads((entry / RECEIPT).read_text())
        files = {name: File(**about) for name, about in receipt["files"].items()}
    except (ValueError, KeyError, TypeError):  # damaged: it is fetched again
        return None
    place = entry / "files"
    whole = all(_size(place / name) == file.size for name, file in files.items())
    return Fetched(place, files) if whole and receipt["checksum"] == checksum else None


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _fetched(download: Download, cache: Cache) -> Fetched:
    part = cache.folder / f"{download.key}.part"
    try:
        with downloading(urls.shown(download.url), shown=cache.progress) as told:
            checksum = transfer(download.url, part, cache.options, download.max_bytes, told)
        _check(download, checksum)
        fetched = _kept(download, part, _entry(download, cache.folder, checksum), checksum)
    except InvalidData:
        forget(part)
        raise
    forget(part)
    if download.checksum is None:
        _pointer(download, cache.folder).write_text(checksum)
        _log.warning("%s: has no checksum in its definition; put in %r", urls.shown(download.url), checksum)
    return fetched


def _check(download: Download, found: str) -> None:
    if download.checksum not in (None, found):
        raise InvalidData(
            f"{urls.shown(download.url)}: the download has {found}, wanted {download.checksum}. If its publisher has "
            "changed it, look at what changed, then put the new checksum into the definition and bump the version."
        )


def _kept(download: Download, part: Path, entry: Path, checksum: str) -> Fetched:
    """Unpack or move what was fetched to where it stays, at once."""
    stage = part.with_suffix(".tmp")
    shutil.rmtree(stage, ignore_errors=True)  # of a run that was killed
    files = stage / "files"
    files.mkdir(parents=True)
    try:
        if download.is_archive:
            members = unpack(part, files, download.max_bytes, urls.shown(download.url))
        else:
            members = {download.file_name: File(part.stat().st_size, checksum)}
            os.replace(part, files / download.file_name)
        receipt = {"checksum": checksum, "files": {name: asdict(file) for name, file in members.items()}}
        (stage / RECEIPT).write_text(json.dumps({"url": urls.shown(download.url)} | receipt))
        if entry.exists():  # damaged
            shutil.rmtree(entry)
        os.rename(stage, entry)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise
    return Fetched(entry / "files", members)
