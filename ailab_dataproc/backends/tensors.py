"""What the tensor backends share: columns of fixed width as NumPy arrays, a validity beside them, and the way back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends.arrays import piece
from ailab_dataproc.backends.numpy import check_nullable
from ailab_dataproc.errors import BackendRefused
from ailab_dataproc.report import count_bytes
from ailab_dataproc.sizing import Machine, Need

FACTOR = 3.0  # memory of a part in work over its Arrow bytes: packed, as Arrow, as tensors
AHEAD = 2  # parts that are read while one is worked on


def valid_name(name: str) -> str:
    """What the column is called that says where another one has a value."""
    return f"{name}__valid"


def peak(need: Need) -> int:
    """Bytes that a few parts take."""
    return int(min(need.largest * (AHEAD + 1), max(need.bytes, need.largest)) * FACTOR)


def refuse(need: Need, machine: Machine, library: str) -> str | None:
    """Why tensors can't hold these columns, or None."""
    nullable = [one.name for one in need.schema if one.nullable]
    if nullable and need.nulls != "mask":
        more = f" (and {len(nullable) - 1} more)" if len(nullable) > 1 else ""
        return (
            f"column {nullable[0]!r}{more} is nullable, and {library} has no null. Pass nulls='mask' for "
            f"{valid_name(nullable[0])!r} beside it, or leave it out with columns=[…]"
        )
    for name in nullable:
        if valid_name(name) in need.schema.names:
            return f"column {valid_name(name)!r} has the name that nulls='mask' gives to the validity of {name!r}"
    wanted = peak(need)
    if wanted > machine.memory:
        return f"its largest shards need {count_bytes(wanted)}, the free memory is {count_bytes(machine.memory)}"
    return None


def is_fixed(type_: pa.DataType) -> bool:
    """Whether a NumPy array of numbers, times or booleans holds a column of this type."""
    if t.is_dictionary(type_) or t.is_fixed_size_list(type_):
        return is_fixed(type_.value_type)
    plain = t.is_boolean(type_) or t.is_integer(type_) or t.is_floating(type_)
    return bool(plain or t.is_timestamp(type_) or t.is_duration(type_) or t.is_date32(type_))


def fixed(table: pa.Table, nulls: str) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Columns of fixed width: the values, and of nullable ones where they are valid. Views where Arrow allows it.

    Args:
        table: columns whose types `is_fixed`.
        nulls: as in `Need`.

    Raises:
        BackendRefused: a nullable column without ``nulls="mask"``, or a null inside a list.
    """
    for one in table.schema:
        check_nullable(one, nulls)
    return {one.name: piece(table[one.name], one) for one in table.schema}


def numbers(values: np.ndarray) -> np.ndarray:
    """Times as the integers that they are in their unit: days in 32 bits, the others in 64."""
    if values.dtype.kind not in "mM":
        return values
    whole = values.view(np.int64)
    return whole.astype(np.int32) if np.datetime_data(values.dtype)[0] == "D" else whole


def no_null_inside(array: pa.Array, name: str, library: str) -> pa.Array:
    """The items of lists, if none is null.

    Raises:
        BackendRefused: one is.
    """
    if array.null_count:
        raise BackendRefused(
            f"column {name!r} has nulls inside its lists, and {library} has no null. Take backend='arrow'."
        )
    return array


def restored(values: np.ndarray, valid: np.ndarray | None, type_: pa.DataType) -> pa.Array:
    """An Arrow array of a type that `is_fixed` from what `fixed` and `numbers` made of it."""
    if t.is_dictionary(type_):
        return restored(values, valid, type_.value_type).dictionary_encode().cast(type_)
    mask = None if valid is None else pa.array(~valid)
    if t.is_fixed_size_list(type_):
        inner = restored(values.reshape(-1), None, type_.value_type)
        return pa.FixedSizeListArray.from_arrays(inner, type=type_, mask=mask)
    if t.is_timestamp(type_) or t.is_duration(type_) or t.is_date32(type_):
        return pa.array(values, mask=None if valid is None else ~valid).view(type_)
    return pa.array(values, type=type_, mask=None if valid is None else ~valid)


def joined(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def one_table(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    """Tables one after another, or none as a table of no rows."""
    return pa.concat_tables(tables) if tables else schema.empty_table()


def with_valid(arrays: Mapping[str, tuple[np.ndarray, np.ndarray | None]]) -> dict[str, np.ndarray]:
    """Values and validities side by side, under their names."""
    found: dict[str, np.ndarray] = {}
    for name, (values, valid) in arrays.items():
        found[name] = numbers(values)
        if valid is not None:
            found[valid_name(name)] = valid
    return found
