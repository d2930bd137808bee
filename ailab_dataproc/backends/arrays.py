"""Arrow arrays as NumPy arrays: views where NumPy has the type, objects where it hasn't."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.columns import shape
from ailab_dataproc.errors import BackendRefused


def is_object(type_: pa.DataType) -> bool:
    """Whether an array of this type is one of Python's objects."""
    if t.is_dictionary(type_) or t.is_fixed_size_list(type_):
        return is_object(type_.value_type)
    return not t.is_primitive(type_) or t.is_decimal(type_)


def new(field: pa.Field, rows: int) -> np.ndarray:
    """An array for a column of so many rows, nothing in it yet."""
    type_ = field.type
    if t.is_fixed_size_list(type_):
        inner = [one or 0 for one in shape(field) or ()]
        below = new(pa.field(field.name, type_.value_type), 0)
        return np.empty((rows, *inner, *below.shape[1:]), below.dtype)
    return np.empty(rows, object if is_object(type_) else _dtype(type_))


def put(array: pa.Array, field: pa.Field, values: np.ndarray) -> None:
    """Write an array's values into their place; where a row is null, zero or None.

    Raises:
        BackendRefused: a list holds a null.
    """
    if not len(array):
        return
    if t.is_dictionary(array.type) and is_object(array.type):
        kinds = objects([*_view(array.dictionary, field), None])  # the last one is for nulls
        indices = array.indices.fill_null(len(kinds) - 1) if array.null_count else array.indices
        np.take(kinds, indices.to_numpy(), out=values, mode="clip")
        return
    values[...] = _view(array, field)
    if array.null_count:
        values[invalid(array)] = None if values.dtype == object else np.zeros(1, values.dtype)


def piece(column: pa.ChunkedArray, field: pa.Field) -> tuple[np.ndarray, np.ndarray | None]:
    """A column in one piece, a view where that can be: its values, zero where null, and of a nullable one where not.

    Raises:
        BackendRefused: a list holds a null.
    """
    if column.num_chunks == 1 and not column.null_count:
        values = _view(column.chunk(0), field)
        return values, np.ones(len(values), bool) if field.nullable else None
    values, start = new(field, len(column)), 0
    for chunk in column.chunks:
        put(chunk, field, values[start : start + len(chunk)])
        start += len(chunk)
    if not field.nullable:
        return values, None
    return values, ~np.concatenate([np.zeros(0, bool), *map(invalid, column.chunks)])


def invalid(array: pa.Array) -> np.ndarray:
    """Where an array is null."""
    if not array.null_count:
        return np.zeros(len(array), bool)
    return ~_bits(array.buffers()[0], array.offset, len(array))


def _dtype(type_: pa.DataType) -> Any:
    if t.is_dictionary(type_):
        return _dtype(type_.value_type)
    if t.is_timestamp(type_):
        return f"datetime64[{type_.unit}]"
    return "datetime64[D]" if t.is_date32(type_) else type_.to_pandas_dtype()


def _view(array: pa.Array, field: pa.Field) -> np.ndarray:  # noqa: PLR0911 - one line a kind of type
    """The values without a copy where that can be; where a row is null, anything of the right type."""
    type_ = array.type
    if t.is_dictionary(type_):
        return _view(array.cast(type_.value_type), field)
    if t.is_fixed_size_list(type_):
        return _fixed(array, field)
    if t.is_list(type_) or t.is_large_list(type_):
        return _lists(array, field)
    if t.is_struct(type_):
        return objects(array.to_pylist())
    if is_object(type_):
        return array.to_numpy(zero_copy_only=False)
    if not len(array):
        return np.empty(0, _dtype(type_))
    data = array.buffers()[1]
    if t.is_boolean(type_):
        return _bits(data, array.offset, len(array))
    if t.is_date32(type_):
        return _numbers(array, data, np.int32).astype("datetime64[D]")
    return _numbers(array, data, _dtype(type_))


def _numbers(array: pa.Array, data: pa.Buffer, dtype: Any) -> np.ndarray:
    return np.frombuffer(data, dtype, count=array.offset + len(array))[array.offset :]


def _bits(data: pa.Buffer, offset: int, rows: int) -> np.ndarray:
    """Arrow's packed bits as bools."""
    whole = np.frombuffer(data, np.uint8, count=(offset + rows + 7) // 8)[offset // 8 :]
    return np.unpackbits(whole, count=offset % 8 + rows, bitorder="little")[offset % 8 :].view(bool)


def _fixed(array: pa.FixedSizeListArray, field: pa.Field) -> np.ndarray:
    size = array.type.list_size
    inner = array.values.slice(array.offset * size, len(array) * size)
    if inner.null_count and array.null_count == 0:
        raise _null_inside(field)
    if array.null_count and array.filter(array.is_valid()).values.null_count:  # below a null row they are nobody's
        raise _null_inside(field)
    values = _view(inner, pa.field(field.name, array.type.value_type))
    return values.reshape(len(array), *(shape(field) or (size,)), *values.shape[1:])


def _lists(array: pa.ListArray, field: pa.Field) -> np.ndarray:
    inner = array.flatten()
    if inner.null_count:
        raise _null_inside(field)
    values = _view(inner, pa.field(field.name, array.type.value_type))
    ends = np.cumsum(array.value_lengths().fill_null(0).to_numpy(), dtype=np.int64).tolist()
    return objects(values[start:end] for start, end in itertools.pairwise([0, *ends]))


def objects(values: Iterable[Any]) -> np.ndarray:
    """An array of Python's objects, one of which may be an array."""
    return np.fromiter(values, dtype=object)


def _null_inside(field: pa.Field) -> BackendRefused:
    return BackendRefused(
        f"column {field.name!r} has nulls inside its lists, and NumPy has no null. Take backend='pandas'."
    )
