"""pull: the files of an entry on this disk, checked against their manifest, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ailab_dataproc import storage
from ailab_dataproc.errors import DamagedData, InvalidRequest
from ailab_dataproc.experiment.zoo import files as filing
from ailab_dataproc.experiment.zoo.cards import CARD
from ailab_dataproc.experiment.zoo.entries import Entry
from ailab_dataproc.experiment.zoo.files import MANIFEST, File
from ailab_dataproc.experiment.zoo.registry import Asked, find
from ailab_dataproc.experiment.zoo.showing import fetch, read_manifest
from ailab_dataproc.progressing import Progress
from ailab_dataproc.settings import load_settings

_SIDE_BY_SIDE = 4  # files that are fetched at a time
_PARTIAL = ".partial"


def pull(name: str, to: str | os.PathLike[str] | None = None) -> Path:
    """Get the files of an entry as a folder. Nothing in it is run or unpickled.

    A pull that was interrupted goes on where it ended: the folder appears when all files are there and are what was
    pushed.

    Args:
        name: ``name@alias``, ``name:3`` or ``models:/name/3``. A plain ``name`` means ``@champion``, and the newest
            version where no version has that alias; ``name@latest`` always means the newest.
        to: a folder that doesn't exist yet or is empty; None for one in the cache, which is shared: don't write to it.

    Returns:
        The folder.

    Raises:
        UnknownName: there is no such model, version or alias.
        InvalidRequest: the folder holds something else.
        DamagedData: a file isn't what was pushed.
        TrackingFailed: the server is down, or refuses.
    """
    _, entry = find(Asked.parse(name))
    return download(entry, to)


def download(entry: Entry, to: str | os.PathLike[str] | None) -> Path:
    """Get the files of an entry that was found."""
    import filelock

    folder = Path(to).expanduser().absolute() if to is not None else cached(entry)
    partial = folder.with_name(f".{folder.name}-{entry.model_id[-8:]}{_PARTIAL}")
    with storage.explained(str(folder), "write"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder.with_name(f"{partial.name}.lock"))
        with lock:
            _into(entry, folder, partial, in_cache=to is None)
        with contextlib.suppress(FileNotFoundError):  # another pull's end
            os.unlink(lock.lock_file)
    return folder


def cached(entry: Entry) -> Path:
    """Where an entry lies in the cache."""
    root = Path(load_settings().cache_dir).expanduser().absolute()
    return root / "models" / entry.name / f"{entry.version}-{entry.model_id[-8:]}"


def _into(entry: Entry, folder: Path, partial: Path, *, in_cache: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidRequest(f"{folder}: is a file, wanted a folder that isn't there yet. Give another one.")
    partial.mkdir(exist_ok=True)
    manifest = read_manifest(entry, partial)
    listed: Sequence[File] = manifest["files"]
    if folder.exists() and any(folder.iterdir()):
        if all(filing.is_whole(folder / one.path, one) for one in listed):
            shutil.rmtree(partial)
            return
        if not in_cache:
            shutil.rmtree(partial)
            raise InvalidRequest(
                f"{folder}: holds something else than {entry.name}:{entry.version}. Give a folder that isn't there yet."
            )
        shutil.rmtree(folder)  # somebody wrote to the cache
    _fetch(entry, listed, partial)
    if folder.exists():
        folder.rmdir()
    os.replace(partial, folder)


def _fetch(entry: Entry, listed: Sequence[File], partial: Path) -> None:
    """Bring what isn't there yet, and look at every file."""

    def one(file: File) -> int:
        path = partial / file.path
        if not filing.is_whole(path, file):
            path.parent.mkdir(parents=True, exist_ok=True)
            _copy(entry, file, partial)
            if not filing.is_whole(path, file):
                path.unlink(missing_ok=True)
                raise DamagedData(
                    f"model {entry.name}:{entry.version}: {file.path} is not what was pushed "
                    f"({file.bytes:,} bytes, {file.checksum[:19]}…). Pull again; if it stays so, push the model again."
                )
        return file.bytes

    total, what = sum(one.bytes for one in listed), f"pull {entry.name}:{entry.version}"
    with Progress(total=total, what=what) as bar, ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
        try:
            for count in threads.map(one, listed):
                bar.advance(count)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    for stray in _strays(partial, listed):
        stray.unlink()


def _copy(entry: Entry, file: File, partial: Path) -> None:
    if not entry.location or file.path == CARD:
        fetch(entry, file.path, partial)
        return
    place = storage.folder(entry.location, load_settings().storage_options)
    try:
        with (
            storage.explained(place.path(file.path), "read"),
            place.open(file.path, file.bytes) as source,
            open(partial / file.path, "wb") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
    except FileNotFoundError as error:
        raise DamagedData(
            f"model {entry.name}:{entry.version}: {place.path(file.path)} is gone; it was registered where it lay. "
            "Ask who pushed it."
        ) from error


def _strays(partial: Path, listed: Sequence[File]) -> list[Path]:
    """Files of an earlier try that the entry doesn't have."""
    wanted = {MANIFEST, *(one.path for one in listed)}
    return [
        path for path in partial.rglob("*") if path.is_file() and path.relative_to(partial).as_posix() not in wanted
    ]
