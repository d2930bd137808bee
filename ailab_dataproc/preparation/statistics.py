"""What the index keeps of each column of a shard: Arrow bytes, nulls, min and max."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.columns import is_pii

_LONGEST = 64  # characters or bytes of a text that is kept as min or max


def bounded(one: pa.Field) -> bool:
    """Whether min and max of a column are kept: its type has an order, and it holds no personal data."""
    type_ = one.type
    ordered = (
        t.is_integer(type_)
        or t.is_floating(type_)
        or t.is_timestamp(type_)
        or t.is_date(type_)
        or t.is_decimal128(type_)
        or t.is_duration(type_)
        or t.is_string(type_)
    )
    return ordered and not t.is_float16(type_) and not is_pii(one)


def struct_type(schema: pa.Schema) -> pa.StructType:
    """The index's ``columns``: a struct a column."""
    fields = []
    for one in schema:
        inner = [pa.field("bytes", pa.int64()), pa.field("nulls", pa.int64())]
        if bounded(one):
            inner += [pa.field("min", one.type), pa.field("max", one.type)]
        fields.append(pa.field(one.name, pa.struct(inner)))
    return pa.struct(fields)


@dataclass(slots=True)
class ColumnStatistics:
    """Collected from batches of one column of one shard."""

    column: pa.Field
    bytes: int = 0
    nulls: int = 0
    text: tuple[str, str] | None = None  # min and max of a string column, which the Parquet writer finds anyway
    _bounds: list[Any] = field(default_factory=list)  # scalars of the column's type

    def add(self, array: pa.Array) -> None:
        """Count one batch."""
        self.bytes += arrow_bytes(array)
        self.nulls += array.null_count
        if bounded(self.column) and not t.is_string(self.column.type):
            both = min_max(array)
            self._bounds += [bound for bound in (both["min"], both["max"]) if bound.is_valid]

    def to_struct(self) -> dict[str, Any]:
        """The column's entry in the index; min and max are null where unknown."""
        result: dict[str, Any] = {"bytes": self.bytes, "nulls": self.nulls}
        if t.is_string(self.column.type) and bounded(self.column):
            known = all(len(bound) <= _LONGEST for bound in self.text or ())
            result |= dict(zip(("min", "max"), self.text if self.text and known else (None, None), strict=True))
        elif bounded(self.column):
            both = min_max(pa.array(self._bounds, type=self.column.type))
            result |= {"min": both["min"], "max": both["max"]}
        return result


def arrow_bytes(array: pa.Array) -> int:
    """Bytes of the values as Arrow, the same however the array was sliced, joined or padded (`nbytes` isn't)."""
    type_, rows = array.type, len(array)
    size = -(-rows // 8) if array.null_count else 0
    if t.is_fixed_size_list(type_) or t.is_struct(type_):
        parts = array.flatten() if t.is_struct(type_) else [array.flatten()]
        return size + sum(arrow_bytes(part) for part in parts)
    if t.is_list(type_) or t.is_large_list(type_):
        return size + (rows + 1) * (8 if t.is_large_list(type_) else 4) + arrow_bytes(array.flatten())
    if t.is_string(type_) or t.is_binary(type_) or t.is_large_string(type_) or t.is_large_binary(type_):
        wide = t.is_large_string(type_) or t.is_large_binary(type_)
        if array.null_count or not rows:
            text = pc.sum(pc.binary_length(array)).as_py() or 0
        else:
            offsets = np.frombuffer(array.buffers()[1], np.int64 if wide else np.int32)
            text = int(offsets[array.offset + rows] - offsets[array.offset])
        return size + (rows + 1) * (8 if wide else 4) + text
    return size + -(-rows * type_.bit_width // 8)


def min_max(array: pa.Array) -> dict[str, pa.Scalar]:
    """Smallest and largest value of a column that has an order; null where there is no value."""
    if len(array) and not array.null_count and (t.is_integer(array.type) or t.is_floating(array.type)):
        values = array.to_numpy()  # whose bounds NumPy finds several times as fast
        low, high = values.min(), values.max()
        if low == low:  # else there is a NaN, which Arrow passes over  # noqa: PLR0124
            return {"min": pa.scalar(low.item(), array.type), "max": pa.scalar(high.item(), array.type)}
    plain = array.view(pa.int64()) if t.is_duration(array.type) else array  # Arrow orders no durations
    both = pc.min_max(plain)
    return {key: both[key].cast(array.type) for key in ("min", "max")}
