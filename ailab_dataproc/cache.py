"""Shards of buckets, kept on this machine's disk: whole files, checked while they come, the oldest go first."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import AilabError, DamagedData
from ailab_dataproc.settings import load_settings
from ailab_dataproc.storage import Folder, HashingFile

_BLOCK = 8 << 20  # bytes of a request
_ABANDONED = 3600.0  # seconds after which a temporary file is nobody's
WHOLE = 0.5  # of a shard's bytes: where more are needed, the whole shard is fetched and kept, else only these
_POLL = 0.005  # seconds between two tries to get a lock, which is held for a moment
_log = logging.getLogger("ailab_dataproc")


def shard(folder: Folder, name: str, size: int, checksum: str) -> Any | None:
    """A shard of a bucket, mapped from this machine's cache; it is fetched first where it isn't there.

    Args:
        folder: where the shard lies.
        name: its path below.
        size: its bytes.
        checksum: of its content, as the index has it.

    Returns:
        A ``pyarrow.MemoryMappedFile``, which stays whole when the file is evicted; None where there is no cache, or
        none that could hold the shard.

    Raises:
        DamagedData: the shard has other bytes than the index says.
        FileNotFoundError: there is no such object.
    """
    cache = Cache.here()
    return cache.open(folder, name, size, checksum) if checksum and size <= cache.limit else None


def known(size: int, checksum: str) -> Any | None:
    """A shard of a bucket that was fetched before, as `shard` returns it; None where it is to be fetched."""
    if not checksum:
        return None
    try:
        return _mapped(Cache.here().place(checksum), size)
    except OSError:  # a cache that can't be used holds nothing
        return None


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder that holds shards by their checksum. Many processes may use it at once."""

    folder: Path
    limit: int  # bytes

    @classmethod
    def here(cls) -> Cache:
        """The cache of this machine, as its settings say: a worker elsewhere has its own."""
        settings = load_settings()
        return cls(Path(settings.cache_dir).expanduser() / "shards", settings.cache_bytes)

    def open(self, folder: Folder, name: str, size: int, checksum: str) -> Any | None:
        """See `shard`."""
        import filelock

        path = self.place(checksum)
        try:
            if (found := _mapped(path, size)) is not None:
                return found
            path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.folder / f"{path.parent.name}.lock", poll_interval=_POLL):
                found = _mapped(path, size)  # another reader has fetched it meanwhile
                if found is None and (temporary := self._room(path, size)):
                    found = _fetched(folder, name, checksum, temporary, path)
                return found
        except (AilabError, FileNotFoundError):
            raise
        except OSError as error:
            _log.warning("%s: the cache can't be used (%s); reading from the bucket.", self.folder, error)
            return None

    def place(self, checksum: str) -> Path:
        """Where a shard stands, or would."""
        key = checksum.removeprefix("sha256:")
        return self.folder / key[:2] / key

    def bytes(self) -> int:
        """What it takes now."""
        return sum(file.size for file in _files(self.folder))

    def clear(self) -> int:
        """Delete all shards; returns their bytes. Files that are open stay readable."""
        files = list(_files(self.folder))
        for file in files:
            file.path.unlink(missing_ok=True)
        return sum(file.size for file in files)

    def _room(self, path: Path, size: int) -> Path | None:
        """Make room for a shard, the least recently used go; returns a temporary file that takes the room."""
        import filelock

        with filelock.FileLock(self.folder / "room.lock", poll_interval=_POLL):
            files = sorted(_files(self.folder), key=lambda file: file.used)
            taken = sum(file.size for file in files)
            limit = min(self.limit, (shutil.disk_usage(self.folder).free + taken) // 2)
            for file in files:
                if taken + size <= limit:
                    break
                if not file.is_fresh:
                    file.path.unlink(missing_ok=True)
                    taken -= file.size
            if taken + size > limit:
                return None
            temporary = path.with_name(f"{path.name}.tmp-{uuid.uuid4().hex}")
            with open(temporary, "wb") as file_:
                file_.truncate(size)
            return temporary


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    size: int  # bytes
    used: float  # seconds since 1970

    @property
    def is_fresh(self) -> bool:
        """Whether it may be on its way still."""
        return ".tmp-" in self.path.name and time.time() - self.used < _ABANDONED


def _files(folder: Path) -> Iterator[_File]:
    for path in folder.glob("??/*"):
        with contextlib.suppress(FileNotFoundError):  # evicted by another process
            status = path.stat()
            yield _File(path, status.st_size, status.st_mtime)


def _mapped(path: Path, size: int) -> Any | None:
    """A file of the cache, marked as used now; None where it isn't there, or cut."""
    import pyarrow as pa

    try:
        os.utime(path)
        found = pa.memory_map(str(path))
    except FileNotFoundError:
        return None
    return found if found.size() == size else None


def _fetched(folder: Folder, name: str, checksum: str, temporary: Path, path: Path) -> Any:
    """Copy a shard from its bucket, and give it its name once its bytes are known to be right."""
    import pyarrow as pa

    try:
        with folder.open(name, temporary.stat().st_size) as source, open(temporary, "r+b") as target:
            hashing = HashingFile(target)
            shutil.copyfileobj(source, hashing, _BLOCK)
        if hashing.checksum != checksum:
            raise DamagedData(f"{folder.path(name)}: the shard has other bytes than were written. Run verify.")
        found = pa.memory_map(str(temporary))  # before another process could evict it
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return found
