"""The log of an attempt as files of its folder: the last one grows by being replaced, and a huge log keeps its ends."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from ailab_dataproc.jobs.folders import write_private
from ailab_dataproc.storage import Folder

_CHUNK = 256 << 10  # bytes after which the next file is begun
_LARGEST = 4 << 20  # bytes of a file, where output comes faster than files are written
_PENDING = 16 << 20  # bytes in memory that wait to be written
_PATIENCE = 30.0  # seconds that output waits for a slow store before some of it is dropped


@dataclass(frozen=True, slots=True)
class Cap:
    """Bytes of a log that are kept."""

    head: int = 192 << 20
    tail: int = 64 << 20


class Log:
    """Gets the output from one thread, and is written to the folder by another."""

    def __init__(self, place: Folder, cap: Cap | None = None) -> None:
        """A log whose files are `<place>/000001.txt` and so on."""
        self.total = 0  # bytes that came
        self._place, self._cap = place, cap or Cap()
        self._changed = threading.Condition()
        self._pending: deque[bytes] = deque()
        self._waiting = 0  # bytes of it
        self._dropped = 0  # bytes that came and aren't kept
        self._told = 0  # of those, what the log says already
        self._number, self._current, self._dirty = 1, b"", False
        self._written = 0  # bytes of files that are finished
        self._tail: deque[tuple[str, int]] | None = None  # the files behind the head, with their bytes

    def add(self, data: bytes) -> None:
        """The next piece of output. Waits where the store is slow."""
        if not data:
            return
        with self._changed:
            if self._tail is None:
                self._changed.wait_for(lambda: self._waiting < _PENDING or self._tail is not None, _PATIENCE)
            self.total += len(data)
            self._pending.append(data)
            self._waiting += len(data)
            while self._waiting > _PENDING and len(self._pending) > 1:
                gone = len(self._pending.popleft())
                self._waiting -= gone
                self._dropped += gone

    def say(self, text: str) -> None:
        """A line of our own."""
        self.add(f"[ailab: {text}]\n".encode())

    @property
    def is_written(self) -> bool:
        """Whether the folder has all that came."""
        return not self._waiting and not self._dirty and self._told == self._dropped

    def write(self) -> None:
        """Bring the folder up to date.

        Raises:
            StorageFailed: the folder can't be written; nothing is lost, and it can be called again.
        """
        while not self.is_written:
            self._take()
            write_private(self._place, self._name(), self._current)
            self._dirty = False
            if len(self._current) >= _CHUNK:
                self._next()

    def _take(self) -> None:
        """More output for the current file."""
        with self._changed:
            taken = [self._gap()]
            size = len(self._current) + len(taken[0])
            while self._pending and size < _LARGEST:
                taken.append(self._pending.popleft())
                self._waiting -= len(taken[-1])
                size += len(taken[-1])
            self._changed.notify_all()
        self._current += b"".join(taken)
        self._dirty = True

    def _gap(self) -> bytes:
        """A line for what was dropped since the last one."""
        gone = self._dropped - self._told
        if not gone:
            return b""
        self._told = self._dropped
        return f"\n[ailab: {gone:,} bytes are missing here: output came faster than it was stored]\n".encode()

    def _next(self) -> None:
        """Begin another file; behind the head the oldest are removed."""
        name, size = self._name(), len(self._current)
        self._current, self._number = b"", self._number + 1
        self._written += size
        if self._tail is None:
            if self._written >= self._cap.head:
                self._tail = deque()
                self._current = (
                    f"\n[ailab: the log is longer than {self._cap.head + self._cap.tail:,} bytes: "
                    f"of what follows only the last {self._cap.tail:,} are kept]\n"
                ).encode()
                write_private(self._place, self._name(), self._current)
                self._current, self._number = b"", self._number + 1
            return
        self._tail.append((name, size))
        while sum(size for _, size in self._tail) > self._cap.tail:
            self._place.remove_files([self._tail[0][0]])
            self._tail.popleft()

    def _name(self) -> str:
        return f"{self._number:06}.txt"
