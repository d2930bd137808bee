"""From what a definition or a user wrote to files: paths, URLs, globs, and package:// for what is installed."""

from __future__ import annotations

import fnmatch
import glob
import importlib.util
import io
import os
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from ailab_dataproc.errors import StorageFailed
from ailab_dataproc.storage import explained, filesystem, is_local

_BLOCK = 1 << 16  # bytes searched at a time


@dataclass(frozen=True, slots=True)
class Stat:
    """What a listing says about one file."""

    url: str
    size: int  # bytes
    identity: str | None = None  # what a store says changes with the content (a bucket's generation or etag)


def expand(pattern: str, options: dict[str, Any] | None = None) -> list[Stat]:
    """The files that a path, URL or glob names, sorted by URL; empty where there is none.

    ``package://module/path`` names a file inside an installed Python package.
    """
    if pattern.startswith("package://"):
        path = _resolve(pattern)
        return [Stat(pattern, os.stat(path).st_size)] if os.path.isfile(path) else []
    with explained(pattern, "read"):
        if is_local(pattern) or pattern.startswith("file://"):
            return _expand_local(_resolve(pattern))
        fs = filesystem(pattern, options)
        found = fs.glob(pattern, detail=True) if any(c in pattern for c in "*?[") else _info(fs, pattern)
        scheme = pattern.split("://", 1)[0]
        return [
            Stat(f"{scheme}://{path.lstrip('/')}", int(info["size"]), _store_identity(info))
            for path, info in sorted(found.items())
            if info["type"] == "file"
        ]


def open_url(url: str, options: dict[str, Any] | None = None, compression: str | None = None) -> BinaryIO:
    """Open any path or URL for reading; ``compression="infer"`` unpacks by the name's ending."""
    import fsspec
    from fsspec.compression import compr
    from fsspec.utils import infer_compression

    path = local_path(url)
    with explained(url, "read"):
        if path is None:
            return fsspec.open(url, "rb", compression=compression, **(options or {})).open()
        file = open(path, "rb")  # noqa: SIM115 - the caller's; fsspec's closes itself under `for line in source.open()`
        packed = infer_compression(path) if compression == "infer" else None
        return compr[packed](file, mode="rb") if packed else file


class _Within(io.RawIOBase):
    """The bytes of a file up to an end."""

    def __init__(self, file: BinaryIO, stop: int) -> None:
        self._file = file
        self._stop = stop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._stop - self._file.tell()))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def lines_within(file: BinaryIO, start: int, stop: int) -> BinaryIO:
    """The lines of a file that begin at the bytes from `start` up to `stop`; the file is closed with the result."""
    bounds = [line_start(file, place) for place in (start, stop)]
    file.seek(bounds[0])
    return cast(BinaryIO, io.BufferedReader(_Within(file, bounds[1]), 1 << 20))


def line_start(file: BinaryIO, place: int) -> int:
    """The first byte at or after a place at which a line begins; the end where there is none."""
    if place == 0:
        return 0
    file.seek(place - 1)
    while block := file.read(_BLOCK):
        found = block.find(b"\n")
        if found >= 0:
            return file.tell() - len(block) + found + 1
    return file.tell()


def local_path(url: str) -> str | None:
    """The path on this machine's disk, or None for a URL elsewhere."""
    if is_local(url) or url.startswith(("package://", "file://")):
        return _resolve(url)
    return None


def _resolve(url: str) -> str:
    if url.startswith("package://"):
        package, _, inside = url.removeprefix("package://").partition("/")
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise StorageFailed(f"{url}: the Python package {package!r} is not installed. pip install it first.")
        return os.path.join(next(iter(spec.submodule_search_locations)), inside)
    return os.path.abspath(os.path.expanduser(url.removeprefix("file://")))


def _expand_local(pattern: str) -> list[Stat]:
    if os.path.isfile(pattern):
        return [Stat(pattern, os.stat(pattern).st_size)]
    found = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
    return [Stat(path, os.stat(path).st_size) for path in found if not fnmatch.fnmatch(os.path.basename(path), ".*")]


def _info(fs: Any, url: str) -> dict[str, Any]:
    try:
        info = fs.info(url)
    except FileNotFoundError:
        return {}
    return {info["name"]: info}


def _store_identity(info: dict[str, Any]) -> str | None:
    for key in ("generation", "ETag", "etag", "md5Hash", "crc32c"):
        if info.get(key):
            return f"{key.lower()}:{str(info[key]).strip(chr(34))}"
    return None
