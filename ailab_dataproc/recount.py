"""Decode a shard to its last value and compare it with what the index says: for `verify --deep`."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ailab_dataproc.backends.shards import Part, read_part
from ailab_dataproc.errors import DamagedData
from ailab_dataproc.manifest import Prepared
from ailab_dataproc.preparation.framing import DamagedFrame, blocks
from ailab_dataproc.preparation.parquet import stored
from ailab_dataproc.preparation.statistics import bounded, min_max


def recount(prepared: Prepared, row: dict[str, Any], columns: pa.StructScalar) -> str:
    """What is wrong with a shard, or nothing.

    Args:
        prepared: its version.
        row: of the index: format, path, rows, bytes.
        columns: of the same row.
    """
    if row["format"] == "tfrecord":
        return _recount_records(prepared.folder.read(row["path"]), row["rows"])
    part = Part(prepared.folder, row["path"], row["rows"], row["bytes"], 0, 0, row["rows"])
    try:
        table = read_part(part, prepared.schema)
    except DamagedData as error:
        return f"can't be decoded: {error}"
    for field, array in zip(prepared.schema, table.cast(stored(prepared.schema)).combine_chunks().columns, strict=True):
        said = _differs(field, array.combine_chunks(), columns[field.name])
        if said:
            return f"holds other values than were written: {said}"
    return ""


def _differs(field: pa.Field, array: pa.Array, told: pa.StructScalar) -> str:
    """How a column differs from what the index says of it, without a value, which may be personal."""
    if array.null_count != told["nulls"].as_py():
        return f"column {field.name!r} has {array.null_count:,} nulls, the index says {told['nulls'].as_py():,}"
    if bounded(field) and (told["min"].is_valid or told["max"].is_valid):
        found = min_max(array)
        for name in ("min", "max"):
            if not pc.equal(found[name], told[name]).as_py():
                return f"column {field.name!r} has another {name} than the index says"
    return ""


def _recount_records(data: bytes, rows: int) -> str:
    """Walk through the frames of a TFRecord file, whose lengths and contents have a checksum each."""
    try:
        count = sum(len(one.starts) for one in blocks(io.BytesIO(data)))
    except DamagedFrame as error:
        return str(error)
    return "" if count == rows else f"has {count:,} records, the index says {rows:,}"
