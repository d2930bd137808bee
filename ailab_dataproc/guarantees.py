"""What is known of a shard's columns before it is read, for Arrow to tell whether an Expression can hold there."""

from __future__ import annotations

import functools
import io
import operator
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as t

from ailab_dataproc.filters import RowFilter

_AT_ONCE = 4096  # shards that are looked at one by one; where there are more, blocks of them are first
_BLOCK = 256  # shards
_CALL = re.compile(r"\w\(")


def shards(rows: RowFilter, index: pa.Table) -> np.ndarray:
    """For each shard of an index whether it may hold a row that the filter keeps."""
    known = {one.name: _known(one, rows, index) for one in rows.columns}
    kept = np.arange(len(index))
    if len(index) > _AT_ONCE:
        block = kept // _BLOCK
        merged = {name: _merged(one, block) for name, one in known.items()}
        kept = kept[_may_hold(rows, merged)[block]]
    mask = np.zeros(len(index), dtype=bool)
    if len(index) > _AT_ONCE and len(kept) > len(index) // 4:  # looking at each would take longer than it spares
        mask[kept] = True
        return mask
    mask[kept[_may_hold(rows, {name: one.take(pa.array(kept)) for name, one in known.items()})]] = True
    return mask


def row_groups(rows: RowFilter, metadata: pq.FileMetaData, groups: Sequence[int]) -> list[int]:
    """Those of a file's row groups that may hold a row that the filter keeps, by their statistics."""
    import pyarrow.dataset as ds

    stored = metadata.schema.to_arrow_schema()
    same = all(one.name in stored.names and stored.field(one.name).type == one.type for one in rows.columns)
    if len(groups) < 2 or not same or not _trusts_bounds(rows):
        return list(groups)
    footer = io.BytesIO()
    metadata.write_metadata_file(footer)
    fragment = ds.ParquetFileFormat().make_fragment(pa.BufferReader(footer.getvalue()))
    kept = {group.id for one in fragment.split_by_row_group(rows.expression) for group in one.row_groups}
    return [group for group in groups if group in kept]


def _may_hold(rows: RowFilter, known: dict[str, pa.Table]) -> np.ndarray:
    """Let Arrow leave out the fragments of a dataset whose guarantees contradict the filter."""
    import pyarrow.dataset as ds
    from pyarrow import fs

    disk, format_ = fs.LocalFileSystem(), ds.IpcFileFormat()  # neither is touched
    columns = [_guarantees(rows.columns.field(name), one) for name, one in known.items()]
    fragments = [
        format_.make_fragment(str(i), disk, functools.reduce(operator.and_, some) if some else None)
        for i, some in enumerate([one for one in each if one is not None] for each in zip(*columns, strict=True))
    ]
    found = ds.FileSystemDataset(fragments, rows.columns, format_, disk).get_fragments(rows.expression)
    mask = np.zeros(len(fragments), dtype=bool)
    mask[[int(one.path) for one in found]] = True
    return mask


def _known(one: pa.Field, rows: RowFilter, index: pa.Table) -> pa.Table:
    """Nulls, other values, min and max of a column in each shard; the bounds are null where they aren't known."""
    column = index["columns"]
    nulls = pc.struct_field(column, [one.name, "nulls"])
    inner = column.type.field(one.name).type
    bounded = inner.get_field_index("min") >= 0 and (not t.is_floating(one.type) or _blind_to_nan(rows))
    bounds = [pc.struct_field(column, [one.name, key]) if bounded else None for key in ("min", "max")]
    return pa.table(
        {
            "nulls": nulls,
            "values": pc.subtract(index["rows"], nulls),
            "min": pa.nulls(len(index), one.type) if bounds[0] is None else bounds[0],
            "max": pa.nulls(len(index), one.type) if bounds[1] is None else bounds[1],
        }
    )


def _merged(known: pa.Table, block: np.ndarray) -> pa.Table:
    """The same of blocks of shards."""
    type_ = known.schema.field("min").type
    plain = (
        known
        if not t.is_duration(type_)
        else known.set_column(2, "min", known["min"].cast(pa.int64())).set_column(
            3, "max", known["max"].cast(pa.int64())
        )
    )
    unknown = pc.and_(pc.greater(known["values"], 0), pc.is_null(known["min"]))
    grouped = plain.append_column("unknown", unknown).append_column("block", pa.array(block))
    summed = grouped.group_by("block", use_threads=False).aggregate(
        [("nulls", "sum"), ("values", "sum"), ("min", "min"), ("max", "max"), ("unknown", "max")]
    )
    hidden = [
        pc.if_else(summed["unknown_max"], pa.scalar(None, summed[name].type), summed[name]).cast(type_)
        for name in ("min_min", "max_max")
    ]
    return pa.table({"nulls": summed["nulls_sum"], "values": summed["values_sum"], "min": hidden[0], "max": hidden[1]})


def _guarantees(one: pa.Field, known: pa.Table) -> list[pc.Expression | None]:
    """What holds for each row of each shard, in the only form that Arrow's simplification understands."""
    field = pc.field(one.name)
    null = field.is_null()
    if t.is_dictionary(one.type):  # Arrow takes a null of such a type for a value
        return [None] * len(known)
    found: list[pc.Expression | None] = []
    for nulls, values, low, high in zip(*(known[name] for name in ("nulls", "values", "min", "max")), strict=True):
        if not values.as_py():
            found.append(null)
        elif not low.is_valid or not high.is_valid:
            found.append(None)
        elif nulls.as_py():
            found.append(((field >= low) | null) & ((field <= high) | null))
        else:
            found.append((field >= low) & (field <= high))
    return found


def _trusts_bounds(rows: RowFilter) -> bool:
    return _blind_to_nan(rows) or not any(t.is_floating(one.type) for one in rows.columns)


def _blind_to_nan(rows: RowFilter) -> bool:
    """Whether a NaN, of which bounds know nothing, keeps no row: all conditions are comparisons that it fails."""
    text = str(rows.expression)
    return "!=" not in text and not _CALL.search(text)
