"""The only file I/O: fsspec URLs, local folders and buckets alike. A file appears whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from ailab_dataproc.errors import AilabError, StorageFailed

_BLOCK = 4 << 20  # bytes hashed at a time


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on a disk or in a bucket. Safe to send to a worker: it holds options, never a connection."""

    url: str
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_local(self) -> bool:
        """True where files can be renamed and mapped into memory."""
        return is_local(self.url)

    def __truediv__(self, part: str) -> Folder:
        """A folder below this one."""
        return Folder(f"{self.url.rstrip('/')}/{part}", self.options)

    def path(self, name: str) -> str:
        """The full path or URL of a file below this folder."""
        return f"{self.url.rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        """Whether a file exists below this folder."""
        if self.is_local:
            return os.path.exists(self.path(name))
        with explained(self.path(name), "read"):
            return bool(filesystem(self.url, self.options).exists(self.path(name)))

    def read(self, name: str) -> bytes:
        """The whole content of a small file."""
        with self.open(name) as file:
            return file.read()

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; the caller closes it."""
        with explained(self.path(name), "read"):
            if self.is_local:
                return open(self.path(name), "rb")
            return filesystem(self.url, self.options).open(self.path(name), "rb")

    def size(self, name: str) -> int | None:
        """Bytes of a file, or None where there is none."""
        with explained(self.path(name), "read"):
            try:
                if self.is_local:
                    return os.stat(self.path(name)).st_size
                return int(filesystem(self.url, self.options).size(self.path(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Write a whole small file; on failure nothing is visible."""
        with self.create(name) as file:
            file.write(content)

    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file for writing that appears under its name only when the block ends without an error."""
        path = self.path(name)
        with explained(path, "write"):
            if self.is_local:
                with _create_local(path) as file:
                    yield file
            else:
                with _create_remote(filesystem(self.url, self.options), path) as file:
                    yield file

    def rename(self, old: str, new: str) -> None:
        """Give a file below this folder another name."""
        with explained(self.path(old), "write"):
            if self.is_local:
                os.makedirs(os.path.dirname(self.path(new)), exist_ok=True)
                os.replace(self.path(old), self.path(new))
            else:
                filesystem(self.url, self.options).mv(self.path(old), self.path(new))

    def names(self) -> list[str]:
        """The files and folders directly below this one, sorted; empty where there is none."""
        with explained(self.url, "read"):
            if self.is_local:
                return sorted(os.listdir(self.url)) if os.path.isdir(self.url) else []
            try:
                entries = filesystem(self.url, self.options).ls(self.url, detail=False)
            except FileNotFoundError:
                return []
            return sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in entries)

    def find(self, suffix: str = "") -> list[str]:
        """All files below this folder, as sorted relative names, that end with the suffix."""
        with explained(self.url, "read"):
            if self.is_local:
                root = Path(self.url)
                found = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
            else:
                fs = filesystem(self.url, self.options)
                root_path = fs._strip_protocol(self.url).rstrip("/") + "/"
                found = [path.removeprefix(root_path) for path in fs.find(self.url)]
        return sorted(name for name in found if name.endswith(suffix))

    def remove(self) -> None:
        """Delete the folder with all that it holds; nothing happens where there is none."""
        with explained(self.url, "delete"):
            if self.is_local:
                if os.path.exists(self.url):
                    shutil.rmtree(self.url)
            elif filesystem(self.url, self.options).exists(self.url):
                filesystem(self.url, self.options).rm(self.url, recursive=True)

    def remove_file(self, name: str) -> None:
        """Delete one file; nothing happens where there is none."""
        with explained(self.path(name), "delete"), contextlib.suppress(FileNotFoundError):
            if self.is_local:
                os.unlink(self.path(name))
            else:
                filesystem(self.url, self.options).rm(self.path(name))

    def become(self, final: Folder, proof: str) -> None:
        """Make this folder visible under its final name, at once. Only on a disk: buckets can't rename.

        Args:
            final: the name.
            proof: a file in it that says that a twin was finished meanwhile; then the twin is kept.
        """
        with explained(final.url, "write"):
            try:
                os.rename(self.url, final.url)
            except OSError as error:
                if not final.exists(proof):
                    raise StorageFailed(
                        f"{final.url}: is in the way and holds no finished version ({error.strerror}). Move it away."
                    ) from error
                self.remove()


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


def checksum(folder: Folder, name: str) -> str:
    """The checksum of a file, in the form of `HashingFile.checksum`."""
    with folder.open(name) as file:
        return checksum_of(file)


def checksum_of(file: Any) -> str:
    """The checksum of what an open file still holds, in the form of `HashingFile.checksum`."""
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def is_local(url: str) -> bool:
    """True for a path without a scheme."""
    return "://" not in url


def folder(url: str | os.PathLike[str], options: dict[str, Any] | None = None) -> Folder:
    """A `Folder` from what a user wrote: ``~`` is expanded, ``file://`` dropped, local paths made absolute."""
    text = os.fspath(url).removeprefix("file://")
    if is_local(text):
        text = os.path.abspath(os.path.expanduser(text))
    return Folder(text.rstrip("/") or "/", options or {})


def filesystem(url: str, options: dict[str, Any] | None) -> Any:
    """The fsspec file system of a URL; raises `StorageFailed` where its library isn't there."""
    import fsspec

    scheme = url.split("://", 1)[0]
    try:
        return fsspec.filesystem(scheme, **(options or {}))
    except ValueError as error:
        raise StorageFailed(f"{url}: no file system for {scheme}:// ({error}).") from error
    except ImportError as error:
        extra = {"gs": "gcs", "gcs": "gcs"}.get(scheme)
        line = f"pip install 'ailab_dataproc[{extra}]'" if extra else str(error)
        raise StorageFailed(f"{url}: the library for {scheme}:// is not installed. {line}") from error


@contextlib.contextmanager
def _create_local(path: str) -> Iterator[IO[bytes]]:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.tmp-{uuid.uuid4().hex}"
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def _create_remote(fs: Any, path: str) -> Iterator[IO[bytes]]:
    file = fs.open(path, "wb")
    try:
        yield file
    except BaseException:
        # A plain close() would publish the truncated object.
        file.discard()
        file.closed = True
        raise
    file.close()


@contextlib.contextmanager
def explained(url: str, verb: str) -> Iterator[None]:
    """Turn the operating system's errors into `StorageFailed`; a missing file that is read stays what it is."""
    try:
        yield
    except AilabError:
        raise
    except FileNotFoundError as error:
        if verb == "read":  # callers say what is missing, and what to do about it
            raise
        raise StorageFailed(f"{url}: can't {verb} it ({error.strerror or error}).") from error
    except PermissionError as error:
        raise StorageFailed(f"{url}: no permission to {verb} it ({error.strerror or error}).") from error
    except OSError as error:
        raise StorageFailed(f"{url}: can't {verb} it ({error.strerror or error}).") from error
