"""A dict of numpy arrays, a declared projection of Arrow: what NumPy can't hold is refused, never bent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends import memory, too_large
from ailab_dataproc.backends.shards import Selection, read_table
from ailab_dataproc.dataset import shape
from ailab_dataproc.errors import BackendRefused
from ailab_dataproc.sizing import Machine, Need


class NumPy:
    """Backend "numpy"."""

    returns = "dict of numpy.ndarray"
    family = "eager"

    def peak(self, need: Need) -> int:
        """The table, its copy, and Python's objects."""
        return memory.converted(need, memory.array, memory.is_object)

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """Refuses nullable columns unless a mask was asked for, and what doesn't fit into memory."""
        nullable = [one.name for one in need.schema if one.nullable]
        if nullable and need.nulls != "mask":
            more = f" (and {len(nullable) - 1} more)" if len(nullable) > 1 else ""
            return (
                f"column {nullable[0]!r}{more} is nullable, and NumPy has no null. Pass nulls='mask' for masked "
                "arrays, leave it out with columns=[…], or take backend='pandas'"
            )
        return too_large(self.peak(need), need, machine)

    def read(self, selection: Selection) -> dict[str, np.ndarray]:
        """An array a column, of `rows` entries each."""
        return to_numpy(read_table(selection), selection.nulls)

    def to_arrow(self, frame: dict[str, Any], schema: pa.Schema) -> pa.Table:
        """The arrays as a table of the declared schema."""
        return pa.table([_back(frame[one.name], one) for one in schema], schema=schema)


def to_numpy(table: pa.Table, nulls: str = "refuse") -> dict[str, np.ndarray]:
    """A table's columns as arrays, by the contract in `schema.CONTRACTS`.

    Args:
        table: any number of rows.
        nulls: "refuse" to raise for a nullable column, "mask" to return a ``numpy.ma.MaskedArray`` for it.

    Raises:
        BackendRefused: a nullable column without ``nulls="mask"``, or a null inside a list.
    """
    return {field.name: _column(table.column(i), field, nulls) for i, field in enumerate(table.schema)}


def _column(column: pa.ChunkedArray, field: pa.Field, nulls: str) -> np.ndarray:
    if field.nullable and nulls != "mask":
        raise BackendRefused(f"column {field.name!r} is nullable, and NumPy has no null. Pass nulls='mask'.")
    if t.is_dictionary(column.type):  # a dictionary's to_numpy gives the last value for a null
        column = column.cast(column.type.value_type)
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=column.type)
    values = _values(array, field)
    if not field.nullable:
        return values
    mask = array.is_null().to_numpy(zero_copy_only=False)
    return np.ma.MaskedArray(values, mask=mask.reshape(-1, *[1] * (values.ndim - 1)) & np.ones(values.shape, bool))


def _values(array: pa.Array, field: pa.Field) -> np.ndarray:
    """The values; where a row is null, anything of the right type."""
    type_ = array.type
    if t.is_fixed_size_list(type_):
        return _fixed(array, field)
    if t.is_list(type_) or t.is_large_list(type_):
        return _lists(array, field)
    if t.is_decimal(type_) or t.is_struct(type_):
        return _objects(array.to_pylist())
    if t.is_timestamp(type_) or t.is_duration(type_):
        kind = "datetime64" if t.is_timestamp(type_) else "timedelta64"
        return _plain(array.view(pa.int64())).view(f"{kind}[{type_.unit}]")
    if t.is_date32(type_):
        return _plain(array.view(pa.int32())).astype("datetime64[D]")
    return _plain(array)


def _plain(array: pa.Array) -> np.ndarray:
    type_ = array.type
    if array.null_count and (t.is_integer(type_) or t.is_floating(type_) or t.is_boolean(type_)):
        array = array.fill_null(pa.scalar(False if t.is_boolean(type_) else 0, type=type_))
    return array.to_numpy(zero_copy_only=False)


def _fixed(array: pa.FixedSizeListArray, field: pa.Field) -> np.ndarray:
    size = array.type.list_size
    inner = array.values.slice(array.offset * size, len(array) * size)
    if inner.null_count and array.null_count == 0:
        raise _null_inside(field)
    if array.null_count:  # the values below a null row are nobody's
        filled = array.filter(array.is_valid()).values
        if filled.null_count:
            raise _null_inside(field)
    values = _values(inner, pa.field(field.name, array.type.value_type))
    return values.reshape(len(array), *(shape(field) or (size,)), *values.shape[1:])


def _lists(array: pa.ListArray, field: pa.Field) -> np.ndarray:
    inner = array.flatten()
    if inner.null_count:
        raise _null_inside(field)
    values = _values(inner, pa.field(field.name, array.type.value_type))
    lengths = np.nan_to_num(array.value_lengths().to_numpy(zero_copy_only=False)).astype(np.int64)
    ends = np.cumsum(lengths)
    return _objects([values[end - length : end] for end, length in zip(ends, lengths, strict=True)])


def _objects(values: list[Any]) -> np.ndarray:
    result = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        result[i] = value
    return result


def _null_inside(field: pa.Field) -> BackendRefused:
    return BackendRefused(
        f"column {field.name!r} has nulls inside its lists, and NumPy has no null. Take backend='pandas'."
    )


def _back(values: np.ndarray, field: pa.Field) -> pa.Array:
    if t.is_dictionary(field.type):
        return _back(values, field.with_type(field.type.value_type)).dictionary_encode().cast(field.type)
    mask = None
    if isinstance(values, np.ma.MaskedArray):
        every = np.ma.getmaskarray(values)
        mask = np.asarray(every.all(axis=tuple(range(1, values.ndim)))) if values.ndim > 1 else every
        values = values.data
    if t.is_fixed_size_list(field.type):
        inner = _back(values.reshape(-1), pa.field("item", field.type.value_type))
        return pa.FixedSizeListArray.from_arrays(inner, type=field.type, mask=None if mask is None else pa.array(mask))
    if values.dtype != object:
        if values.dtype.kind in "mM":
            return pa.array(values.astype(np.int64), mask=mask).cast(_integer(field.type)).view(field.type)
        return pa.array(values, type=field.type, mask=mask, from_pandas=False)
    kept = [None if mask is not None and mask[i] else value for i, value in enumerate(values)]
    return pa.array(kept, type=field.type, from_pandas=False)


def _integer(type_: pa.DataType) -> pa.DataType:
    return pa.int32() if t.is_date32(type_) else pa.int64()
