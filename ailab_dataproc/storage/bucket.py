"""A folder in a bucket: an object appears whole when it is closed. No rename, so a version's manifest comes last."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, BinaryIO, Self, cast

from ailab_dataproc.storage.places import Folder
from ailab_dataproc.storage.sentences import explained
from ailab_dataproc.storage.stores import filesystem

_TIMES = ("mtime", "updated", "LastModified", "last_modified", "created")  # what file systems call it
_BLOCK = 16 << 20  # bytes of an upload's request
_TAIL = 64 << 10  # bytes of the last part of an object, with the footer of nearly every Parquet file
_GAP = 64 << 10  # bytes between two ranges that are got together; requests run side by side, so bytes cost more
_REQUEST = 16 << 20  # bytes of a range beyond which the next one is another request


@dataclass(frozen=True, slots=True)
class Bucket(Folder):
    """A folder in a bucket, or in whatever else fsspec knows by a URL."""

    @property
    def is_local(self) -> bool:
        """Always false."""
        return False

    def exists(self, name: str) -> bool:
        """Whether there is such an object; it is read, in one request (asking for its size takes two)."""
        return bool(self.read_many([name]))

    def read(self, name: str) -> bytes:
        """The content of an object, in one request."""
        with explained(self.path(name), "read"):
            return self._fs.cat_file(self.path(name))

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of the objects that exist, side by side."""
        paths = {self._fs._strip_protocol(self.path(name)): name for name in names}
        if not paths:
            return {}
        with explained(self.url, "read"):
            found = {}
            for path, content in self._fs.cat(list(paths), on_error="return").items():
                if isinstance(content, FileNotFoundError):
                    continue
                if isinstance(content, BaseException):
                    raise content
                found[paths[path]] = content
            return found

    def open(self, name: str, size: int | None = None) -> BinaryIO:
        """Open an object for reading; with its size known, nothing is asked before the first read."""
        with explained(self.path(name), "read"):
            if size is None:
                return self._fs.open(self.path(name), "rb")
            return cast(BinaryIO, RangeFile(self._fs, self.path(name), size))

    def sizes(self) -> dict[str, int]:
        """Bytes of all objects, by relative name: a request a thousand."""
        return {name: int(one["size"]) for name, one in sorted(self._found().items())}

    def names(self) -> list[str]:
        """What stands directly below."""
        with explained(self.url, "read"):
            try:
                entries = self._fs.ls(self.url, detail=False)
            except FileNotFoundError:
                return []
            root = self._fs._strip_protocol(self.url).rstrip("/") + "/"
            return sorted({entry.rstrip("/").removeprefix(root) for entry in entries if entry.startswith(root)})

    def modified(self) -> float | None:
        """When the newest object was written, as the store says."""
        times = [_seconds(one.get(key)) for one in self._found().values() for key in _TIMES if one.get(key)]
        return max(times, default=None)

    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """An upload that is finished at the end, or given up."""
        with explained(self.path(name), "write"):
            file = self._fs.open(self.path(name), "wb", block_size=_BLOCK)
            try:
                yield file
                file.close()
            except BaseException:
                # Else closing it, also by the garbage collector, would publish the truncated object.
                file.closed = True
                file.discard()
                raise

    def write(self, name: str, content: bytes) -> None:
        """Write an object in one request."""
        with explained(self.path(name), "write"):
            self._fs.pipe_file(self.path(name), content)

    def write_new(self, name: str, content: bytes) -> bool:
        """Write an object in one request unless it is there; returns whether it wasn't."""
        with explained(self.path(name), "write"):
            try:
                self._fs.pipe_file(self.path(name), content, mode="create")
            except FileExistsError:
                return False
            return True

    def remove(self) -> None:
        """Delete all objects below."""
        self.remove_files(self.sizes())

    def remove_files(self, names: Iterable[str]) -> None:
        """Delete objects in bulk."""
        paths = [self.path(name) for name in names]
        if paths:
            with explained(self.url, "delete"), contextlib.suppress(FileNotFoundError):
                self._fs.rm(paths)

    def become(self, final: Self, files: Mapping[str, str], proof: str) -> bool:
        """Copy within the store, side by side; then write the proof unless a twin has."""
        there = final.sizes()
        first = proof not in there
        if first:
            final.remove_files(there.keys() - files.keys())  # of another publication, which was killed
            copied = [name for name in files if name != proof]
            with explained(final.url, "write"):
                self._fs.copy([self.path(files[name]) for name in copied], [final.path(name) for name in copied])
            first = final.write_new(proof, self.read(files[proof]))
        self.remove()
        return first

    def withdraw(self, hidden: Self, proof: str) -> None:
        """Delete the proof, then the rest. The hidden folder only says that the rest is to go."""
        hidden.write(proof, b"")
        self.remove_files([proof])
        self.remove()
        hidden.remove()

    @property
    def _fs(self) -> Any:
        return filesystem(self.url, self.options)

    def _found(self) -> dict[str, dict[str, Any]]:
        with explained(self.url, "read"):
            fs = self._fs
            root = fs._strip_protocol(self.url).rstrip("/") + "/"
            found = fs.find(self.url, detail=True).items()
            return {path.removeprefix(root): one for path, one in found if path.startswith(root)}


class RangeFile(io.RawIOBase):
    """An object of known size, read by ranges: none to open, one for the tail, many at once where `fetch` is told."""

    def __init__(self, fs: Any, path: str, size: int) -> None:
        self._fs, self._path, self._size = fs, path, size
        self._place = 0
        self._blocks: dict[int, bytes] = {}  # what was fetched, by where it starts

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Get ranges that will be read, side by side; near ones come together."""
        missing = [one for one in _joined(ranges) if self._held(*one) is None]
        if not missing:
            return
        starts, stops = zip(*missing, strict=True)
        with explained(self._path, "read"):
            found = self._fs.cat_ranges([self._path] * len(missing), list(starts), list(stops), on_error="raise")
        self._blocks |= dict(zip(starts, found, strict=True))

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move without reading."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes; fewer where the object is shorter than it should be."""
        stop = self._size if size is None or size < 0 else min(self._place + size, self._size)
        if stop <= self._place:
            return b""
        data = self._held(self._place, stop)
        if data is None:
            data = self._asked(self._place, stop)
        self._place += len(data)
        return data

    def _held(self, start: int, stop: int) -> bytes | None:
        """Bytes that were fetched before."""
        for first, block in self._blocks.items():
            if first <= start and stop <= first + len(block):
                return block[start - first : stop - first]
        return None

    def _asked(self, start: int, stop: int) -> bytes:
        """Bytes of a request; of the last ones all that a footer may take, since it is read in two steps."""
        first = min(start, max(self._size - _TAIL, 0)) if stop == self._size else start
        with explained(self._path, "read"):
            try:
                block: bytes = self._fs.cat_file(self._path, start=first, end=stop)
            except Exception as error:
                if getattr(error, "code", None) != 416:  # the range lies behind the end
                    raise
                block = b""
        if stop == self._size:
            self._blocks[first] = block
        return block[start - first :]


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges, near ones as one."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if found and start - found[-1][1] <= _GAP and stop - found[-1][0] <= _REQUEST:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found


def _seconds(time: Any) -> float:
    if isinstance(time, str):
        time = datetime.fromisoformat(time.replace("Z", "+00:00"))
    return time.timestamp() if isinstance(time, datetime) else float(time)
