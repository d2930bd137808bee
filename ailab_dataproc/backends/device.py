"""What a GPU can hold, and how its columns lead back to the declared types: pure functions, which need no GPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends.shards import Part
from ailab_dataproc.report import count_bytes
from ailab_dataproc.sizing import Machine, Need

FACTOR = 2.5  # memory of the GPU over Arrow bytes while Parquet is decoded; from the papers, not measured here yet
MOST = 2**31 - 1  # rows of a cuDF column, and values in all lists of one
_SHARE = 32  # a partition takes this part of a GPU, as dask_cudf's own blocksize: joins and sorts need room


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of some files, one after the other, are wanted: `take` after `skip`, and of these those `at`."""

    skip: int
    take: int
    at: np.ndarray | None  # counted after `skip`, ascending; None for all


def refusal(need: Need, machine: Machine, libraries: Sequence[str], instead: str) -> str | None:
    """Why no GPU can take this: none is there, a library isn't, or a column has a type that cuDF lacks.

    Args:
        need: what is asked for.
        machine: what is there.
        libraries: that must be installed.
        instead: the backend to advise.
    """
    if not machine.gpus:
        return f"no GPU visible ({machine.no_gpu or 'none was looked for'}); take backend={instead!r}"
    for library in libraries:
        if importlib.util.find_spec(library) is None:
            return f"{library} is not installed: pip install 'ailab_dataproc[gpu]'"
    lacking = [f"{one.name!r} ({one.type})" for one in need.schema if not _holds(one.type)]
    if lacking:
        return (
            f"cuDF has no such type as that of column {', '.join(lacking)}; leave it out with columns=[…], "
            f"or take backend={instead!r}"
        )
    return None


def too_large(peak: int, need: Need, machine: Machine) -> str | None:
    """Why one GPU, the first, can't hold all rows at once, or None."""
    free = machine.gpus[0]
    if peak > free:
        ratio = peak / max(need.bytes, 1)
        return f"needs {count_bytes(peak)} ({ratio:.1f} x data), the GPU has {count_bytes(free)} free"
    if need.filtered:  # how many rows are left is not known yet
        return None
    if need.rows > MOST:
        return f"{need.rows:,} rows are more than a cuDF frame can have ({MOST:,})"
    for field in need.schema:
        values = need.columns[field.name] // _value_bytes(field.type)
        if _is_list(field.type) and values > MOST:
            return f"the lists of column {field.name!r} have up to {values:,} values, cuDF holds {MOST:,} in a column"
    return None


def partition_bytes(gpu: int, threads: int, schema: pa.Schema) -> int:
    """Arrow bytes that a partition may have.

    Args:
        gpu: bytes of memory of the smallest GPU.
        threads: that use a GPU at a time.
        schema: the columns; lists are limited by how many values a column can have.
    """
    lists = [MOST * _value_bytes(one.type) for one in schema if _is_list(one.type)]
    return min(gpu // _SHARE, int(gpu / (FACTOR * max(threads, 1))), *lists)


def wanted_rows(parts: Sequence[Part], kept: Sequence[np.ndarray | None]) -> Rows:
    """The rows of parts in their files, laid one after the other.

    Args:
        parts: at least one.
        kept: of each part, which of its taken rows its filter keeps; None for all.
    """
    starts = np.cumsum([0, *(part.rows for part in parts[:-1])])
    firsts = [int(start) + part.skip for start, part in zip(starts, parts, strict=True)]
    ends = [first + part.take for first, part in zip(firsts, parts, strict=True)]
    if all(one is None for one in kept) and ends[:-1] == firsts[1:]:
        return Rows(firsts[0], ends[-1] - firsts[0], None)
    numbers = np.concatenate(
        [
            first + (np.arange(part.take) if one is None else one)
            for first, part, one in zip(firsts, parts, kept, strict=True)
        ]
    )
    if not len(numbers):
        return Rows(0, 0, None)
    skip, take = int(numbers[0]), int(numbers[-1] - numbers[0]) + 1
    return Rows(skip, take, None if len(numbers) == take else (numbers - skip).astype(np.int32))


def held(schema: pa.Schema) -> pa.Schema:
    """The Arrow types that cuDF takes for declared ones: no dictionaries, time zones and fixed-size lists."""
    return pa.schema([pa.field(one.name, _held(one.type)) for one in schema])


def dtype(type_: pa.DataType) -> np.dtype[Any] | None:
    """The NumPy dtype of a declared type's cuDF column; None where it has none, or comes right by itself."""
    if t.is_timestamp(type_) or t.is_duration(type_):
        return np.dtype(f"{'datetime64' if t.is_timestamp(type_) else 'timedelta64'}[{type_.unit}]")
    if t.is_date32(type_):
        return np.dtype("datetime64[s]")
    if t.is_boolean(type_) or t.is_integer(type_) or t.is_floating(type_):
        return np.dtype(type_.to_pandas_dtype())
    return None


def declared(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """What cuDF's `to_arrow` gives, as a table of the declared schema.

    Columns whose rows are all null come as Arrow's null type, texts as large_string, dates as seconds.
    """
    columns = []
    for field in schema:
        column = table.column(field.name)
        if t.is_dictionary(field.type):  # its categories are those that cuDF found, in an order of its own
            column = column.cast(field.type.value_type).dictionary_encode()
        columns.append(column.cast(field.type))
    return pa.table(columns, schema=schema)


def _holds(type_: pa.DataType) -> bool:
    """Whether cuDF keeps every value: libcudf has no half floats, and takes bytes for text."""
    inner = [type_.value_type] if t.is_dictionary(type_) else [type_.field(i).type for i in range(type_.num_fields)]
    return not (t.is_float16(type_) or t.is_binary(type_) or t.is_large_binary(type_)) and all(map(_holds, inner))


def _is_list(type_: pa.DataType) -> bool:
    return bool(t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_))


def _value_bytes(type_: pa.DataType) -> int:
    """Bytes that a value inside lists takes at least."""
    while _is_list(type_):
        type_ = type_.value_type
    return type_.byte_width if t.is_primitive(type_) and not t.is_boolean(type_) else 1


def _held(type_: pa.DataType) -> pa.DataType:
    if t.is_dictionary(type_):
        return _held(type_.value_type)
    if _is_list(type_):
        return pa.list_(_held(type_.value_type))
    if t.is_struct(type_):
        return pa.struct([pa.field(one.name, _held(one.type)) for one in type_])
    if t.is_large_string(type_):
        return pa.string()
    return pa.timestamp(type_.unit) if t.is_timestamp(type_) else type_
