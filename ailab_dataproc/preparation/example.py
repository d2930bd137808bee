"""Columns -> the fields of a tf.train.Example: which key holds which values. Nothing is stored that can't be read back.

A scalar is one value a row, a list many; a struct's children are keys `a/b`, a list of lists is TFDS's ragged pair
`a/ragged_flat_values`, `a/ragged_row_lengths_0`. A null scalar is left out (a null float64 is no bytes, since TFDS
can't leave it out), any other null is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ailab_dataproc.errors import InvalidData, InvalidDefinition

_ADVICE = "Prepare with formats=('parquet',)"


@dataclass(frozen=True, slots=True)
class Values:
    """What one field holds in a batch of n rows, flattened."""

    array: pa.Array  # the innermost values
    offsets: np.ndarray | None = None  # int64 (n + 1,): row i has the values offsets[i]:offsets[i + 1]; None: one each


Pick = Callable[[pa.RecordBatch], Values]


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a tf.train.Example and where its values come from."""

    key: str
    column: str  # for messages, such as "a" or "a.b"
    kind: str  # "int64", "float" or "bytes": the list of tf.train.Feature that holds it
    pick: Pick
    scalar: bool  # one value a row
    nullable: bool = False  # a null scalar is left out

    def values(self, batch: pa.RecordBatch) -> Values:
        """The values of a batch as int64, float32 or large_binary; raises `InvalidData` for a null it can't hold."""
        found = self.pick(batch)
        dictionary = types.is_dictionary(found.array.type)  # a dictionary may hold a null that null_count misses
        picked = Values(found.array.dictionary_decode(), found.offsets) if dictionary else found
        if picked.array.null_count and not (self.scalar and self.nullable):
            if self.scalar:
                _refuse_nulls(picked, self.column, "a null, but the column isn't nullable", "declare nullable=True")
            _refuse_nulls(picked, self.column, "a null inside a list has no place in a tf.train.Example")
        return Values(_stored(picked.array, self.kind), picked.offsets)


def fields(schema: pa.Schema, where: str) -> tuple[Field, ...]:
    """The fields that hold the columns of a schema, sorted by key as protobuf sorts them.

    Raises:
        InvalidDefinition: a column that a tf.train.Example can't hold; the message names it.
    """
    found = [one for index, column in enumerate(schema) for one in _fields(column, column.name, where, _column(index))]
    keys = [one.key for one in found]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise InvalidDefinition(f"{where}: two columns become {twice!r} in a tf.train.Example. Rename one.")
    return tuple(sorted(found, key=lambda one: one.key.encode()))


def stored_as(kind: pa.DataType) -> str | None:
    """How a scalar type is stored: ``"int64"``, ``"float"``, ``"bytes"``, or None where it can't be."""
    if types.is_dictionary(kind):
        return stored_as(kind.value_type)
    if kind == pa.month_day_nano_interval():
        return None
    if types.is_integer(kind) or types.is_boolean(kind) or types.is_temporal(kind):
        return "int64"
    if types.is_float16(kind) or types.is_float32(kind):
        return "float"
    return "bytes" if is_text(kind) or is_blob(kind) or types.is_float64(kind) else None


def is_text(kind: pa.DataType) -> bool:
    """Whether a type's values are stored as text; a decimal is, as its exact digits."""
    strings = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(strings or types.is_decimal(kind))


def is_blob(kind: pa.DataType) -> bool:
    """Whether a type's values are bytes."""
    plain = types.is_binary(kind) or types.is_large_binary(kind)
    return bool(plain or types.is_binary_view(kind) or types.is_fixed_size_binary(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is a list of any length."""
    return bool(types.is_list(kind) or types.is_large_list(kind))


def binary(data: np.ndarray | pa.Buffer, ends: np.ndarray) -> pa.Array:
    """Bytes cut at `ends`, int64 (n + 1,), as large_binary (n,); nothing is copied."""
    buffer = data if isinstance(data, pa.Buffer) else pa.py_buffer(np.ascontiguousarray(data))
    cuts = pa.py_buffer(np.ascontiguousarray(ends))
    return pa.Array.from_buffers(pa.large_binary(), len(ends) - 1, [None, cuts, buffer])


def _fields(column: pa.Field, path: str, where: str, pick: Pick) -> Iterator[Field]:
    kind, key = column.type, path.replace(".", "/")
    if not column.name or "/" in column.name or "." in column.name:
        raise InvalidDefinition(f"{where}: column {path!r}: the name {column.name!r} has a / or a dot. Rename it.")
    stored = stored_as(kind)
    if types.is_float64(kind) and column.nullable:
        yield Field(key, path, "bytes", _maybe_number(pick), scalar=True)
    elif stored is not None:
        yield Field(key, path, stored, pick, scalar=True, nullable=column.nullable)
    elif not types.is_struct(kind):
        yield from _list_fields(kind, path, where, pick)
    elif not kind.num_fields:
        raise _refused(where, path, kind)
    else:
        for index, child in enumerate(kind):
            yield from _fields(child, f"{path}.{child.name}", where, _child(pick, index, path))


def _list_fields(kind: pa.DataType, path: str, where: str, pick: Pick) -> Iterator[Field]:
    """The fields of a list, a list of lists or a fixed-size list (of fixed-size lists)."""
    whole, key, depth, fixed = kind, path.replace(".", "/"), 0, False
    while is_list(kind):
        if depth:
            yield Field(f"{key}/ragged_row_lengths_{depth - 1}", path, "int64", _row_lengths(pick, path), scalar=False)
        pick, kind, depth = _items(pick, path), kind.value_type, depth + 1
    while types.is_fixed_size_list(kind) and kind.list_size:
        pick, kind, fixed = _fixed_items(pick, path, kind.list_size), kind.value_type, True
    stored = stored_as(kind)
    numbers = types.is_float64(kind)
    if stored is None or (depth > 0) == fixed or (numbers and depth > 1):
        raise _refused(where, path, whole)
    if numbers:  # TFDS's encoding="bytes": all numbers of a row are one value
        yield Field(key, path, stored, _raw(pick, path), scalar=True)
    else:
        yield Field(f"{key}/ragged_flat_values" if depth > 1 else key, path, stored, pick, scalar=False)


def _refused(where: str, path: str, kind: pa.DataType) -> InvalidDefinition:
    return InvalidDefinition(
        f"{where}: column {path!r} is {kind}, which a tf.train.Example can't hold. {_ADVICE}, or convert the column."
    )


def _column(index: int) -> Pick:
    return lambda batch: Values(batch.column(index))


def _child(pick: Pick, index: int, path: str) -> Pick:
    def picked(batch: pa.RecordBatch) -> Values:
        outer = pick(batch)
        _refuse_nulls(outer, path, "a null struct can't be told from a struct of nulls in a tf.train.Example")
        return Values(outer.array.field(index))

    return picked


def _items(pick: Pick, path: str) -> Pick:
    def picked(batch: pa.RecordBatch) -> Values:
        outer = pick(batch)
        _refuse_nulls(outer, path, "a null list can't be told from an empty one in a tf.train.Example")
        ends = _list_ends(outer.array)
        return Values(outer.array.flatten(), ends if outer.offsets is None else ends[outer.offsets])

    return picked


def _fixed_items(pick: Pick, path: str, size: int) -> Pick:
    def picked(batch: pa.RecordBatch) -> Values:
        outer = pick(batch)
        _refuse_nulls(outer, path, "a null list of a fixed size has no place in a tf.train.Example")
        rows = np.arange(len(outer.array) + 1, dtype=np.int64) if outer.offsets is None else outer.offsets
        return Values(outer.array.flatten(), rows * size)

    return picked


def _row_lengths(pick: Pick, path: str) -> Pick:
    def picked(batch: pa.RecordBatch) -> Values:
        lists = pick(batch)
        _refuse_nulls(lists, path, "a null list can't be told from an empty one in a tf.train.Example")
        return Values(pa.array(np.diff(_list_ends(lists.array))), lists.offsets)

    return picked


def _raw(pick: Pick, path: str) -> Pick:
    def picked(batch: pa.RecordBatch) -> Values:
        inner = pick(batch)
        _refuse_nulls(inner, path, "a null inside a list has no place in a tf.train.Example")
        ends = cast(np.ndarray, inner.offsets)  # the values of a list
        return Values(binary(inner.array.to_numpy().view(np.uint8), ends * 8))

    return picked


def _maybe_number(pick: Pick) -> Pick:
    def picked(batch: pa.RecordBatch) -> Values:
        array = pick(batch).array
        raw = _stored_bytes(array)
        return Values(pc.fill_null(raw, b"") if array.null_count else raw)

    return picked


def _refuse_nulls(values: Values, path: str, what: str, instead: str = "fill it in read") -> None:
    if values.array.null_count:
        row = int(np.argmax(values.array.is_null().to_numpy(zero_copy_only=False)))
        if values.offsets is not None:
            row = int(np.searchsorted(values.offsets, row, side="right")) - 1
        raise InvalidData(f"column {path!r} row {row}: {what}. {_ADVICE}, or {instead}.")


def _list_ends(array: pa.Array) -> np.ndarray:
    ends: np.ndarray = array.offsets.to_numpy().astype(np.int64)
    ends -= ends[0]  # a slice doesn't start at 0
    return ends


def _stored(array: pa.Array, kind: str) -> pa.Array:
    """The values as int64, float32 or large_binary, bit by bit the same, nulls kept."""
    if kind == "float":
        return array.cast(pa.float32())
    if kind == "bytes":
        return _stored_bytes(array)
    if types.is_boolean(array.type):
        return array.cast(pa.int8()).cast(pa.int64())
    signed = {1: pa.int8(), 2: pa.int16(), 4: pa.int32(), 8: pa.int64()}
    if types.is_temporal(array.type) or types.is_uint64(array.type):
        array = array.view(signed[array.type.bit_width // 8])
    return array.cast(pa.int64())


def _stored_bytes(array: pa.Array) -> pa.Array:
    if types.is_float64(array.type):
        numbers = pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False)
        raw = binary(numbers.view(np.uint8), np.arange(len(array) + 1, dtype=np.int64) * 8)
        return pc.if_else(array.is_valid(), raw, pa.scalar(None, pa.large_binary())) if array.null_count else raw
    if types.is_decimal(array.type):
        array = array.cast(pa.string())
    return array.cast(pa.large_binary())
