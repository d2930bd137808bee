"""Is what was prepared still what was written? Names each file that is missing, damaged or foreign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.errors import DamagedData
from ailab_dataproc.manifest import INDEX, Prepared
from ailab_dataproc.storage import Folder, checksum

_ROWS = 10_000  # of the index that are looked at together


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    path: str
    what: str


def verify_version(prepared: Prepared, *, deep: bool = True) -> Iterator[Fault]:
    """Compare a version's files with its index.

    Args:
        prepared: the version.
        deep: whether to read every byte and compare checksums; otherwise only presence and sizes.

    Yields:
        The faults, in the order of the index, then what it doesn't know; nothing where all is well.
    """
    folder = prepared.folder
    if not folder.exists(INDEX):
        yield Fault(INDEX, "is missing")
        return
    foreign = dict.fromkeys(folder.find())
    try:
        opened = prepared.open_index()
    except DamagedData:
        yield Fault(INDEX, "is not the index that the manifest was written with")
        return
    with opened as index:
        for batch in index.iter_batches(_ROWS, columns=["path", "bytes", "checksum"]):
            for row in batch.to_pylist():
                foreign.pop(row["path"], None)
                yield from _check(folder, row, deep)
    for name in foreign:
        if name.split("/", 1)[0] in prepared.manifest.formats:
            yield Fault(name, "is foreign: the index doesn't know it")


def _check(folder: Folder, row: dict[str, Any], deep: bool) -> Iterator[Fault]:
    """Compare one shard with its row of the index."""
    size = folder.size(row["path"])
    if size is None:
        yield Fault(row["path"], "is missing")
    elif size != row["bytes"]:
        yield Fault(row["path"], f"has {size:,} bytes, the index says {row['bytes']:,}")
    elif deep and checksum(folder, row["path"]) != row["checksum"]:
        yield Fault(row["path"], "has other bytes than were written")
