"""A dict of numpy arrays, a declared projection of Arrow: what NumPy can't hold is refused, never bent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends import memory, too_large
from ailab_dataproc.backends.arrays import new
from ailab_dataproc.backends.columns import Columns, read_columns
from ailab_dataproc.backends.shards import Selection
from ailab_dataproc.errors import BackendRefused
from ailab_dataproc.sizing import Machine, Need


class NumPy:
    """Backend "numpy"."""

    returns = "dict of numpy.ndarray"
    family = "eager"

    def peak(self, need: Need) -> int:
        """The arrays, and the shards that are decoded meanwhile."""
        return memory.arrays(need)

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
        found = read_columns(selection, selection.schema)[0]
        return {one.name: masked(found, one, selection.nulls) for one in selection.schema}

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
    columns = Columns(table.schema, len(table))
    columns.put(table)
    return {one.name: masked(columns, one, nulls) for one in table.schema}


def masked(columns: Columns, field: pa.Field, nulls: str) -> np.ndarray:
    """A column as NumPy users get it: a plain array or, where it is nullable, one with a mask.

    Raises:
        BackendRefused: it is nullable, and no mask was asked for.
    """
    check_nullable(field, nulls)
    values = columns.values[field.name]
    if not field.nullable:
        return values
    rows = columns.invalid[field.name]
    mask = rows if values.ndim == 1 else np.repeat(rows, values[:1].size or 1).reshape(values.shape)
    return np.ma.MaskedArray(values, mask=mask)


def check_nullable(field: pa.Field, nulls: str) -> None:
    """Raise `BackendRefused` for a nullable column where no mask was asked for."""
    if field.nullable and nulls != "mask":
        raise BackendRefused(f"column {field.name!r} is nullable, and NumPy has no null. Pass nulls='mask'.")


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
    if t.is_list(field.type) or t.is_large_list(field.type):
        return _lists(values, field, mask)
    kept = [None if mask is not None and mask[i] else value for i, value in enumerate(values)]
    return pa.array(kept, type=field.type, from_pandas=False)


def _lists(values: np.ndarray, field: pa.Field, mask: np.ndarray | None) -> pa.Array:
    """One array a row, end to end: Arrow itself takes no arrays of two dimensions, nor some types within them."""
    inner = pa.field(field.name, field.type.value_type)
    empty = new(inner, 0)
    kept = [empty if mask is not None and mask[i] else value for i, value in enumerate(values)]
    flat = _back(np.concatenate([empty, *kept]), inner)
    ends = np.cumsum([0, *map(len, kept)])
    kind = pa.LargeListArray if t.is_large_list(field.type) else pa.ListArray
    offsets = pa.array(ends, pa.int64() if kind is pa.LargeListArray else pa.int32())
    return kind.from_arrays(offsets, flat, type=field.type, mask=None if mask is None else pa.array(mask))


def _integer(type_: pa.DataType) -> pa.DataType:
    return pa.int32() if t.is_date32(type_) else pa.int64()
