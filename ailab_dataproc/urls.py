"""From what a definition or a user wrote to files: paths, URLs, globs, and package:// for what is installed."""

from __future__ import annotations

import fnmatch
import glob
import importlib.util
import io
import os
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit, urlunsplit

from ailab_dataproc.errors import InvalidRequest, StorageFailed
from ailab_dataproc.storage import explained, filesystem, is_local

_BLOCK = 1 << 16  # bytes searched at a time
_GONE = (404, 410)  # what a web server answers for what isn't there


@dataclass(frozen=True, slots=True)
class Stat:
    """What a listing says about one file."""

    url: str
    size: int | None  # bytes; None where a web server doesn't say
    identity: str | None = None  # what a store says changes with the content (a bucket's generation or etag)


def expand(pattern: str, options: dict[str, Any] | None = None) -> list[Stat]:
    """The files that a path, URL or glob names, sorted by URL; empty where there is none.

    ``package://module/path`` names a file inside an installed Python package.
    """
    if pattern.startswith("package://"):
        path = _resolve(pattern)
        return [Stat(pattern, os.stat(path).st_size)] if os.path.isfile(path) else []
    if is_web(pattern):
        return _expand_web(pattern)
    with explained(pattern, "read"):
        if is_local(pattern) or pattern.startswith("file://"):
            return _expand_local(_resolve(pattern))
        fs = filesystem(pattern, options)
        found = fs.glob(pattern, detail=True) if any(c in pattern for c in "*?[") else _info(fs, pattern)
        scheme = pattern.split("://", 1)[0]
        return [
            Stat(f"{scheme}://{path.lstrip('/')}", int(info["size"]), store_identity(info))
            for path, info in sorted(found.items())
            if info["type"] == "file"
        ]


def open_url(url: str, options: dict[str, Any] | None = None, compression: str | None = None) -> BinaryIO:
    """Open any path or URL for reading; ``compression="infer"`` unpacks by the name's ending."""
    from fsspec.compression import compr
    from fsspec.utils import infer_compression

    packed = infer_compression(file_name(url)) if compression == "infer" else None
    path = local_path(url)
    with explained(shown(url), "read"):
        # A local file not by way of fsspec, whose kind closes itself under `for line in source.open()`.
        file = open(path, "rb") if path else filesystem(url, options).open(url, "rb")  # noqa: SIM115 - the caller's
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


def is_web(url: str) -> bool:
    """True for http:// and https://, where a ``?`` begins a query and nothing can be listed."""
    return url.startswith(("http://", "https://"))


def file_name(url: str) -> str:
    """The last part of a path or URL, without query and fragment: by its ending readers go."""
    path = urlsplit(url).path if is_web(url) else url
    return path.rstrip("/").rsplit("/", 1)[-1] or url


def shown(url: str) -> str:
    """A URL for messages and manifests: without a password, and without a query, which may hold a token."""
    if not is_web(url):
        return url
    parts = urlsplit(url)
    query = "…" if parts.query else ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


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


def _expand_web(url: str) -> list[Stat]:
    if "*" in urlsplit(url).path:
        raise InvalidRequest(f"{shown(url)}: files on a web server can't be listed. Name each of them.")
    try:
        info = filesystem(url, None).info(url)
    except FileNotFoundError as error:  # fsspec's word for every failure; the cause says which
        status = getattr(error.__cause__, "status", None)
        if status in _GONE:
            return []
        reason = f"HTTP {status}" if status else error.__cause__
        raise StorageFailed(f"{shown(url)}: can't read it ({reason}). Check the address and your network.") from error
    etag = info.get("ETag", "")  # a weak one (W/) may stay when bytes change
    return [Stat(url, info["size"], f"etag:{etag.strip(chr(34))}" if etag.startswith('"') else None)]


def _info(fs: Any, url: str) -> dict[str, Any]:
    try:
        info = fs.info(url)
    except FileNotFoundError:
        return {}
    return {info["name"]: info}


def store_identity(info: dict[str, Any]) -> str | None:
    """What a bucket's listing says changes with the content, or None."""
    for key in ("generation", "ETag", "etag", "md5Hash", "crc32c"):
        if info.get(key):
            return f"{key.lower()}:{str(info[key]).strip(chr(34))}"
    return None
