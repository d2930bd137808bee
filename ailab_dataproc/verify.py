"""Is what was prepared still what was written? Names each file that is missing, damaged or foreign."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.errors import DamagedData
from ailab_dataproc.manifest import INDEX, STATISTICS, Prepared
from ailab_dataproc.storage import Folder, checksum

_ROWS = 10_000  # of the index that are looked at together
_SIDE_BY_SIDE = 8  # files that are read at a time


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
    sizes = folder.sizes()
    if INDEX not in sizes:
        yield Fault(INDEX, "is missing")
        return
    written = prepared.manifest.statistics_checksum
    if written and STATISTICS not in sizes:
        yield Fault(STATISTICS, "is missing")
    elif written and checksum(folder, STATISTICS, sizes[STATISTICS]) != written:
        yield Fault(STATISTICS, "is not the file that the manifest was written with")
    try:
        opened = prepared.open_index()
    except DamagedData:
        yield Fault(INDEX, "is not the index that the manifest was written with")
        return
    foreign = dict.fromkeys(sizes)
    with opened as index, ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        for batch in index.iter_batches(_ROWS, columns=["path", "bytes", "checksum"]):
            rows = batch.to_pylist()
            for row in rows:
                foreign.pop(row["path"], None)
            faults = pool.map(lambda row: _wrong(folder, row, sizes, deep=deep), rows)
            yield from (Fault(row["path"], what) for row, what in zip(rows, faults, strict=True) if what)
    for name in foreign:
        if name.split("/", 1)[0] in prepared.manifest.formats:
            yield Fault(name, "is foreign: the index doesn't know it")


def _wrong(folder: Folder, row: dict[str, Any], sizes: dict[str, int], *, deep: bool) -> str:
    """What is wrong with a shard, or nothing."""
    size = sizes.get(row["path"])
    if size is None:
        return "is missing"
    if size != row["bytes"]:
        return f"has {size:,} bytes, the index says {row['bytes']:,}"
    if deep and checksum(folder, row["path"], size) != row["checksum"]:
        return "has other bytes than were written"
    return ""
