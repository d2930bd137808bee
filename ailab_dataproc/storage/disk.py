"""A folder on a disk: a file gets its name by rename, and so does a whole version."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, BinaryIO, Self

from ailab_dataproc.errors import StorageFailed
from ailab_dataproc.storage.places import Folder
from ailab_dataproc.storage.sentences import explained


@dataclass(frozen=True, slots=True)
class Disk(Folder):
    """A folder on a disk."""

    @property
    def is_local(self) -> bool:
        """Always true."""
        return True

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return os.path.exists(self.path(name))

    def read(self, name: str) -> bytes:
        """The content of a file."""
        with self.open(name) as file, explained(self.path(name), "read"):
            return file.read()

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of the files that exist."""
        return {name: self.read(name) for name in names if self.exists(name)}

    def open(self, name: str, size: int | None = None) -> BinaryIO:
        """Open a file for reading."""
        with explained(self.path(name), "read"):
            return open(self.path(name), "rb")

    def sizes(self) -> dict[str, int]:
        """Bytes of all files, by relative name."""
        with explained(self.url, "read"):
            return {name: status.st_size for name, status in sorted(self._statuses())}

    def names(self) -> list[str]:
        """What stands directly below."""
        with explained(self.url, "read"):
            return sorted(os.listdir(self.url)) if os.path.isdir(self.url) else []

    def modified(self) -> float | None:
        """When the newest file was written."""
        with explained(self.url, "read"):
            return max((status.st_mtime for _, status in self._statuses()), default=None)

    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """A temporary file that is renamed at the end."""
        path = self.path(name)
        temporary = f"{path}.tmp-{uuid.uuid4().hex}"
        with explained(path, "write"):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                with open(temporary, "wb") as file:
                    yield file
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise

    def remove(self) -> None:
        """Delete the folder."""
        with explained(self.url, "delete"):
            if os.path.exists(self.url):
                shutil.rmtree(self.url)

    def remove_files(self, names: Iterable[str]) -> None:
        """Delete files one by one."""
        for name in names:
            with explained(self.path(name), "delete"), contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(name))

    def become(self, final: Self, files: Mapping[str, str], proof: str) -> bool:
        """Rename the files within this folder, then the folder: all is visible at once."""
        with explained(self.url, "write"):
            for new, old in files.items():
                os.makedirs(os.path.dirname(self.path(new)), exist_ok=True)
                os.replace(self.path(old), self.path(new))
            self.remove_files(self.sizes().keys() - files.keys())
            for parent, _, _ in os.walk(self.url, topdown=False):
                if not os.listdir(parent):
                    os.rmdir(parent)
        with explained(final.url, "write"):
            try:
                os.rename(self.url, final.url)
            except OSError as error:
                if not final.exists(proof):
                    raise StorageFailed(
                        f"{final.url}: is in the way and holds no finished version ({error.strerror}). Move it away."
                    ) from error
                self.remove()
                return False
        return True

    def withdraw(self, hidden: Self, proof: str) -> None:
        """Rename the folder, then delete it."""
        with explained(self.url, "delete"):
            os.rename(self.url, hidden.url)
        hidden.remove()

    def prune(self) -> None:
        """Delete this folder if it is empty."""
        with contextlib.suppress(OSError):  # it isn't, or is gone: both are fine
            os.rmdir(self.url)

    def _statuses(self) -> Iterator[tuple[str, os.stat_result]]:
        for parent, below, files in os.walk(self.url):
            below.sort()
            for file in sorted(files):
                path = os.path.join(parent, file)
                with contextlib.suppress(FileNotFoundError):  # a temporary file of a worker
                    yield os.path.relpath(path, self.url).replace(os.sep, "/"), os.stat(path)
