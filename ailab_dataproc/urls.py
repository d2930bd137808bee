"""From what a definition or a user wrote to files: paths, URLs, globs, and package:// for what is installed."""

from __future__ import annotations

import fnmatch
import glob
import importlib.util
import os
from dataclasses import dataclass
from typing import Any, BinaryIO

from ailab_dataproc.errors import StorageFailed
from ailab_dataproc.storage import explained, filesystem, is_local


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

    with explained(url, "read"):
        if (path := local_path(url)) is not None:
            return fsspec.open(path, "rb", compression=compression).open()
        return fsspec.core.OpenFile(
            filesystem(url, options), url, "rb", compression=fsspec.core.get_compression(url, compression)
        ).open()


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
