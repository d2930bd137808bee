"""The only file I/O: folders on a disk or in a bucket, alike. A file appears whole or not at all."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from ailab_dataproc.storage.bucket import Bucket, RangeFile
from ailab_dataproc.storage.disk import Disk
from ailab_dataproc.storage.places import Folder, HashingFile
from ailab_dataproc.storage.sentences import explained
from ailab_dataproc.storage.stores import filesystem, is_local

__all__ = [
    "Bucket",
    "Disk",
    "Folder",
    "HashingFile",
    "RangeFile",
    "checksum",
    "checksum_of",
    "explained",
    "filesystem",
    "folder",
    "is_local",
]

_BLOCK = 8 << 20  # bytes hashed at a time; of a bucket, a request each


def folder(url: str | os.PathLike[str], options: dict[str, Any] | None = None) -> Folder:
    """A `Folder` from what a user wrote: ``~`` is expanded, ``file://`` dropped, local paths made absolute."""
    text = os.fspath(url).removeprefix("file://")
    if is_local(text):
        return Disk(os.path.abspath(os.path.expanduser(text)), options or {})
    return Bucket(text.rstrip("/"), options or {})


def checksum(place: Folder, name: str, size: int | None = None) -> str:
    """The checksum of a file, in the form of `HashingFile.checksum`.

    Args:
        place: the folder.
        name: the file below it.
        size: its bytes where they are known, which spares a bucket the question.
    """
    with place.open(name, size) as file:
        return checksum_of(file)


def checksum_of(file: Any) -> str:
    """The checksum of what an open file still holds, in the form of `HashingFile.checksum`."""
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"
