"""Is what was prepared still what was written? Names each file that is missing, damaged, swapped or foreign."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ailab_dataproc.errors import DamagedData, require, unknown
from ailab_dataproc.manifest import INDEX, MANIFEST, Prepared
from ailab_dataproc.recount import recount
from ailab_dataproc.storage import checksum

CHECKS = ("sizes", "bytes", "values")
_ROWS = 1_000  # of the index that are looked at together
_SIDE_BY_SIDE = 8  # files that are read at a time


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    path: str
    what: str


def verify_version(prepared: Prepared, *, check: str = "bytes") -> Iterator[Fault]:
    """Compare a version's files with its index.

    Args:
        prepared: the version.
        check: ``"sizes"`` looks at presence and sizes, ``"bytes"`` also compares every file's checksum, ``"values"``
            also decodes every row and compares nulls, min and max with the index.

    Yields:
        The faults, in the order of the index, then what it doesn't know; nothing where all is well.
    """
    if check not in CHECKS:
        raise unknown("check", check, CHECKS)
    if check == "values" and "tfrecord" in prepared.manifest.formats:
        require("google_crc32c", "beam")
    sizes = prepared.folder.sizes()
    foreign = dict.fromkeys(sizes)
    yield from _beside(prepared, sizes, foreign, check)
    foreign.pop(INDEX, None)
    try:
        opened = prepared.open_index()
    except DamagedData:
        missing = INDEX not in sizes
        yield Fault(INDEX, "is missing" if missing else "is not the index that the manifest was written with")
        return
    wanted = ["format", "path", "rows", "bytes", "checksum", *(["columns"] if check == "values" else [])]
    with opened as index, ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        for batch in index.iter_batches(_ROWS, columns=wanted):
            rows = _rows(batch)
            for row, _ in rows:
                foreign.pop(row["path"], None)
            faults = pool.map(lambda pair: _wrong(prepared, pair, sizes, check), rows)
            yield from (Fault(row["path"], what) for (row, _), what in zip(rows, faults, strict=True) if what)
    for name in foreign:
        yield Fault(name, "is foreign: the index doesn't know it")


def _beside(prepared: Prepared, sizes: dict[str, int], foreign: dict[str, None], check: str) -> Iterator[Fault]:
    """The files beside index and shards, whose checksums the manifest has; taken out of `foreign`."""
    foreign.pop(MANIFEST, None)
    if not prepared.manifest.files:  # a version from before they were listed
        for name in [name for name in foreign if "/" not in name]:
            del foreign[name]
    for name, written in prepared.manifest.files.items():
        foreign.pop(name, None)
        if name not in sizes:
            yield Fault(name, "is missing")
        elif check != "sizes" and checksum(prepared.folder, name, sizes[name]) != written:
            yield Fault(name, "is not the file that the manifest was written with")


def _rows(batch: pa.RecordBatch) -> list[tuple[dict[str, Any], Any]]:
    """Rows of the index, with ``columns`` as Arrow has it: a min or max may be a time that Python can't hold."""
    plain = batch.select([name for name in batch.schema.names if name != "columns"]).to_pylist()
    columns = batch["columns"] if "columns" in batch.schema.names else [None] * len(plain)
    return list(zip(plain, columns, strict=True))


def _wrong(prepared: Prepared, pair: tuple[dict[str, Any], Any], sizes: dict[str, int], check: str) -> str:
    """What is wrong with a shard, or nothing."""
    row, columns = pair
    size = sizes.get(row["path"])
    if size is None:
        return "is missing"
    if size != row["bytes"]:
        return f"has {size:,} bytes, the index says {row['bytes']:,}"
    if check != "sizes" and checksum(prepared.folder, row["path"], size) != row["checksum"]:
        return "has other bytes than were written"
    return recount(prepared, row, columns) if check == "values" else ""
