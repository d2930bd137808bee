"""A small source for tests: some real rows, with made-up values in place of personal data; or made-up rows."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as t

from ailab_dataproc.adding.dialect import Dialect
from ailab_dataproc.adding.sampling import Sample

_FIRST = 10  # rows
_MOST = 30
_START = dt.datetime(2000, 1, 1)
_TEXTS = {
    "mail addresses": "person{}@example.org",
    "telephone numbers": "+1 555 01{:02d}",
    "IP addresses": "192.0.2.{}",
    "names of people": "Person {}",
}


def dummy(sample: Sample) -> tuple[str, bytes]:
    """The ending and the content of a file with a few rows of a sample; never of what looks like personal data."""
    found = sample.found
    rows = found.values.take(_chosen(found.values))
    columns = {
        name: _made_up(rows[name], sample, name) if name in sample.personal else rows[name].to_pylist()
        for name in found.names
    }
    if found.dialect is not None:
        return _ending(found.name), _csv_bytes(columns, found.originals, found.dialect)
    if found.kind == "jsonl":
        named = dict(zip(found.originals, columns.values(), strict=True))
        return _ending(found.name), _json_bytes(named)
    arrays = [pa.array(columns[one.name], one.type) for one in sample.schema]
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays, names=list(found.originals)), sink)
    return ".parquet", sink.getvalue()


def made_up_rows(schema: pa.Schema, rows: int) -> bytes:
    """A CSV file of made-up rows, for columns that a CSV file can hold."""
    columns = {one.name: [_text(example(one.type, number)) for number in range(1, rows + 1)] for one in schema}
    return _csv_bytes(columns, schema.names, Dialect("utf-8", ",", True, tuple(schema.names)))


def example(type_: pa.DataType, number: int) -> Any:  # noqa: PLR0911 - one line a kind of type
    """A made-up value of an Arrow type; equal numbers give equal values."""
    if t.is_dictionary(type_):
        return example(type_.value_type, number)
    if t.is_boolean(type_):
        return number % 2 == 0
    if t.is_integer(type_):
        return number % 128
    if t.is_floating(type_):
        return number + 0.5
    if t.is_decimal(type_):
        return decimal.Decimal(number % 10)
    if t.is_timestamp(type_):
        return (_START + dt.timedelta(hours=number)).replace(tzinfo=dt.UTC if type_.tz else None)
    if t.is_date(type_):
        return (_START + dt.timedelta(days=number)).date()
    if t.is_duration(type_):
        return dt.timedelta(seconds=number)
    if t.is_struct(type_):
        return {one.name: example(one.type, number) for one in type_}
    if t.is_fixed_size_list(type_):
        return [example(type_.value_type, number)] * type_.list_size
    if t.is_list(type_) or t.is_large_list(type_):
        return [example(type_.value_type, number)]
    return f"made up {number}".encode() if t.is_binary(type_) or t.is_large_binary(type_) else f"made up {number}"


def _chosen(rows: pa.Table) -> list[int]:
    """The first rows, and for each column the first row with no value, as far as these are few."""
    nulls = (pc.index(one.is_null(), True).as_py() for one in rows.columns if one.null_count)
    first = range(min(_FIRST, rows.num_rows))
    return sorted({*first, *list(dict.fromkeys(nulls))[: _MOST - _FIRST]})


def _made_up(values: pa.ChunkedArray, sample: Sample, name: str) -> list[Any]:
    """A value in place of each; equal ones in place of equal ones, and none where there is none."""
    numbers: dict[str, int] = {}
    type_, point = sample.schema.field(name).type, sample.found.reading.get("decimal_point", ".")
    pattern = next((text for kind, text in _TEXTS.items() if sample.personal[name].startswith(kind)), "")
    found = []
    for value in values.to_pylist():
        number = numbers.setdefault(repr(value), len(numbers) + 1)
        made = pattern.format(number) if pattern and t.is_string(type_) else example(type_, number)
        if sample.found.kind == "csv":
            made = _text(made).replace(".", point) if t.is_floating(type_) else _text(made)
        found.append(None if value is None else made)
    return found


def _text(value: Any) -> str:
    """A value as CSV has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat(" ") if isinstance(value, dt.datetime) else str(value)


def _csv_bytes(columns: Mapping[str, Sequence[Any]], names: Sequence[str], dialect: Dialect) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, delimiter=dialect.delimiter, lineterminator="\n")
    if dialect.header:
        writer.writerow(names)
    writer.writerows(zip(*columns.values(), strict=True))
    return sink.getvalue().encode(dialect.encoding)


def _json_bytes(columns: Mapping[str, Sequence[Any]]) -> bytes:
    rows: Iterator[dict[str, Any]] = (
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    )
    return b"".join(json.dumps(row, default=_text, ensure_ascii=False).encode() + b"\n" for row in rows)


def _ending(name: str) -> str:
    """The ending of a file's name, without that of its packing."""
    for packed in (".gz", ".bz2", ".xz", ".zst"):
        name = name.removesuffix(packed)
    _, dot, ending = name.rpartition(".")
    return dot + ending if dot else ""
