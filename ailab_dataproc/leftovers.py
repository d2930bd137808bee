"""What preparations and removals that were killed have left. A finished version is never touched."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ailab_dataproc.manifest import MANIFEST, walk
from ailab_dataproc.storage import Disk, Folder
from ailab_dataproc.storage.lock import LOCK, Held, locked

_STAGE = re.compile(r"\.incomplete-(\d+\.\d+\.\d+)-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that nobody needs."""

    path: str
    bytes: int = 0
    kept: str = ""  # why it stays; empty: it goes


def clean(data_dir: Folder, *, older_than: float = 0.0, dry_run: bool = False) -> Iterator[Leftover]:
    """Remove what unfinished preparations have left: their folders, locks, temporary files and empty folders.

    Args:
        data_dir: where to look.
        older_than: seconds that nothing of it may have changed.
        dry_run: whether only to tell. A lock that nobody holds goes all the same: trying it removes it.

    Yields:
        Each thing that is removed, or would be, or is kept since it is young or in use.
    """
    for name, members in sorted(walk(data_dir), reverse=True):  # what is deep comes first
        folder = data_dir / name
        for member in members:
            if stage := _STAGE.fullmatch(member):
                yield _stage(folder, member, stage[1], older_than, dry_run)
            elif member.startswith(LOCK):
                yield from _lock(folder, member)
            elif ".tmp-" in member and isinstance(folder, Disk):
                yield _temporary(folder, member, older_than, dry_run)
        if isinstance(folder, Disk) and (not folder.names() or (dry_run and not members)):
            yield Leftover(folder.url)
            if not dry_run:
                folder.prune()


def _stage(folder: Folder, member: str, version: str, older_than: float, dry_run: bool) -> Leftover:
    stage, unfinished = folder / member, folder / version
    found = Leftover(stage.url, sum(stage.sizes().values()))
    try:
        with locked(folder, version, found.path, wait=False):
            # In a bucket a version grows under its final name, unseen, for as long as its manifest is missing.
            half = not folder.is_local and not unfinished.exists(MANIFEST)
            found = _judged(found, stage.modified(), older_than)
            if half:
                found = replace(found, bytes=found.bytes + sum(unfinished.sizes().values()))
            if not found.kept and not dry_run:
                for one in (unfinished, stage) if half else (stage,):
                    one.remove()
            return found
    except Held as error:
        return replace(found, kept=str(error))


def _temporary(folder: Disk, member: str, older_than: float, dry_run: bool) -> Leftover:
    status = os.stat(folder.path(member))
    found = _judged(Leftover(folder.path(member), status.st_size), status.st_mtime, older_than)
    if not found.kept and not dry_run:
        folder.remove_files([member])
    return found


def _judged(found: Leftover, modified: float | None, older_than: float) -> Leftover:
    age = time.time() - (modified or 0)
    return replace(found, kept=f"it changed {age:.0f} s ago") if age < older_than else found


def _lock(folder: Folder, member: str) -> Iterator[Leftover]:
    """A lock that nobody holds; letting it go removes it. One that is held is told with its folder."""
    try:
        with locked(folder, member.removeprefix(LOCK), folder.path(member), wait=False):
            yield Leftover(folder.path(member))
    except Held:
        return
