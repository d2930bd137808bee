"""What a GPU can hold, and how its columns lead back to the declared types: pure functions, which need no GPU."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends.parquet import Located
from ailab_dataproc.report import count_bytes
from ailab_dataproc.sizing import Machine, Need

FACTOR = 2.5  # memory of the GPU over Arrow bytes while Parquet is decoded; a guess, until benchmarks/gpu.py was run
MOST = 2**31 - 1  # rows of a cuDF column, and values in all lists of one
_SHARE = 32  # a partition takes this part of a GPU, as dask_cudf's own blocksize: joins and sorts need room


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of some files, laid one after the other, and which of these rows are wanted."""

    groups: list[list[int]] | None  # row groups of each file; None for all
    rows: int  # that these row groups have
    wanted: slice | np.ndarray | None  # of these rows; None for all


def count_as_nvml() -> None:
    """CUDA, which counts the fastest GPU as the first, is to count as NVML does; where it isn't in use yet."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


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


def reading(located: Sequence[Located]) -> Reading:
    """What to read where rows lie so: whole row groups, as rows can't be skipped inside lists without a risk.

    Args:
        located: at least one file, each with a row.
    """
    groups: list[list[int]] = []
    pieces: list[range | np.ndarray] = []  # of each file, the numbers of its wanted rows in what is read
    rows = 0
    for one in located:
        numbers, ends = one.numbers, np.cumsum(one.groups)
        edges = np.array([numbers[0], numbers[-1]]) if isinstance(numbers, range) else numbers
        hit = np.unique(np.searchsorted(ends, edges, side="right"))
        if isinstance(numbers, range):  # and what lies between
            hit = np.arange(hit[0], hit[-1] + 1)
            shift = rows - int(ends[hit[0]] - one.groups[hit[0]])
            pieces.append(range(numbers.start + shift, numbers.stop + shift))
        else:
            shifts = np.zeros(len(ends), dtype=np.int64)
            shifts[hit] = rows + np.cumsum(one.groups[hit]) - ends[hit]
            pieces.append(numbers + shifts[np.searchsorted(ends, numbers, side="right")])
        groups.append(hit[one.groups[hit] > 0].tolist())
        rows += int(one.groups[hit].sum())
    whole = all(len(some) == np.count_nonzero(one.groups) for some, one in zip(groups, located, strict=True))
    return Reading(None if whole else groups, rows, _joined(pieces, rows))


def _joined(pieces: Sequence[range | np.ndarray], rows: int) -> slice | np.ndarray | None:
    if sum(map(len, pieces)) == rows:
        return None
    first, last = int(pieces[0][0]), int(pieces[-1][-1])
    if last - first + 1 == sum(map(len, pieces)):
        return slice(first, last + 1)
    return np.concatenate([np.asarray(piece, dtype=np.int32) for piece in pieces])


def held(schema: pa.Schema) -> pa.Schema:
    """The Arrow types that cuDF finds in the files of declared ones: no dictionaries, time zones, fixed-size lists."""
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
    if t.is_timestamp(type_):  # Parquet knows no seconds
        return pa.timestamp("ms" if type_.unit == "s" else type_.unit)
    return type_
