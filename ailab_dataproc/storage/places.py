"""What a folder can do, on a disk and in a bucket alike; and a file that hashes what is written."""

from __future__ import annotations

import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, Any, BinaryIO, Self


@dataclass(frozen=True, slots=True)
class Folder(ABC):
    """A folder on a disk or in a bucket. Safe to send to a worker: it holds options, never a connection."""

    url: str
    options: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @property
    @abstractmethod
    def is_local(self) -> bool:
        """True where files have paths that can be mapped into memory."""

    def __truediv__(self, part: str) -> Self:
        """A folder below this one."""
        return type(self)(self.path(part), self.options)

    def path(self, name: str) -> str:
        """The full path or URL of a file below this folder."""
        return f"{self.url.rstrip('/')}/{name}"

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether a (small) file exists below this folder."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The whole content of a small file.

        Raises:
            FileNotFoundError: there is none.
        """

    @abstractmethod
    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of small files, read side by side; without those that don't exist."""

    @abstractmethod
    def open(self, name: str, size: int | None = None) -> BinaryIO:
        """Open a file for reading; the caller closes it.

        Args:
            name: the file.
            size: its bytes where they are known, which spares a bucket the question.
        """

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """All files below this folder, at any depth, by sorted relative name, with their bytes. One listing."""

    @abstractmethod
    def names(self) -> list[str]:
        """The files and folders directly below this one, sorted; empty where there is none."""

    @abstractmethod
    def modified(self) -> float | None:
        """When the newest file below this folder was written, in seconds since 1970; None where there is none."""

    @abstractmethod
    def create(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file for writing that appears under its name only when the block ends without an error."""

    def write(self, name: str, content: bytes) -> None:
        """Write a whole small file; on failure nothing is visible."""
        with self.create(name) as file:
            file.write(content)

    @abstractmethod
    def remove(self) -> None:
        """Delete the folder with all that it holds; nothing happens where there is none."""

    @abstractmethod
    def remove_files(self, names: Iterable[str]) -> None:
        """Delete files; nothing happens where there is none."""

    @abstractmethod
    def become(self, final: Self, files: Mapping[str, str], proof: str) -> bool:
        """Make files of this folder visible under its final name, `proof` last or all at once; this folder goes away.

        Killed at any point, it can be called again with the same arguments.

        Args:
            final: the folder's name from now on.
            files: what it will hold: its names there, and their names in this folder. The rest is dropped.
            proof: the one of them whose presence says that all are there.

        Returns:
            False where `final` holds a `proof` already: a twin came first, and is kept.
        """

    @abstractmethod
    def withdraw(self, hidden: Self, proof: str) -> None:
        """Delete this folder so that, seen from outside, it is whole or isn't there.

        Args:
            hidden: a folder beside it, which stays behind where this is killed half-way.
            proof: the file whose presence says that all are there.
        """


class HashingFile(io.RawIOBase):
    """A write-only file that hashes and counts what passes through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.count = 0  # bytes written

    def writable(self) -> bool:
        """Always true."""
        return True

    def write(self, data: Any) -> int:
        """Pass bytes on to the file below."""
        self._hash.update(data)
        self.count += len(data)
        self._file.write(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written so far."""
        return self.count

    @property
    def checksum(self) -> str:
        """``sha256:`` and 64 hexadecimal digits of all that was written."""
        return f"sha256:{self._hash.hexdigest()}"
