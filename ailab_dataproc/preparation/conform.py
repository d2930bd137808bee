"""Whatever `read` yields becomes record batches of the declared schema, or an error that names the row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.columns import is_pii
from ailab_dataproc.dataset import Source
from ailab_dataproc.errors import InvalidData
from ailab_dataproc.preparation.cast import allowed, cast, is_list

_ROWS = 10_000  # dicts that become one batch
_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError)  # what Arrow raises for a value that doesn't fit


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a source a batch begins, for messages."""

    source: Source
    row: int  # rows before it
    by: str  # the function that made it


def conform(produced: Iterable[Any], schema: pa.Schema, source: Source, by: str = "read()") -> Iterator[pa.RecordBatch]:
    """Check and convert what `read` yields.

    No value changes: an integer may become wider or a float that holds it, never the other way round with loss.

    Args:
        produced: Arrow tables or record batches, pandas frames, dicts (a row each), or lists of dicts.
        schema: the declared columns.
        source: where the rows come from, for messages.
        by: the function that yields, for messages.

    Yields:
        Record batches of exactly `schema` (without metadata), never empty.

    Raises:
        InvalidData: a column is missing or unknown, or a value doesn't fit; source, row, column and value are named.
    """
    row = 0
    for item in _grouped(produced, source, by):
        for batch in _batches(item, schema, _Place(source, row, by)):
            if batch.num_rows:
                yield _checked(batch, schema, _Place(source, row, by))
                row += batch.num_rows


def _grouped(produced: Iterable[Any], source: Source, by: str) -> Iterator[Any]:
    frame = hasattr(produced, "__dataframe__")
    if isinstance(produced, dict | str | bytes) or not (frame or isinstance(produced, Iterable)):
        raise InvalidData(
            f"{source.name}: {by} returned {type(produced).__name__}, wanted an iterable. Use `yield` in it."
        )
    if frame or isinstance(produced, pa.Table | pa.RecordBatch):
        yield produced
        return
    rows: list[dict[str, Any]] = []
    for item in produced:
        if isinstance(item, dict):
            rows.append(item)
        elif isinstance(item, list):
            rows.extend(item)
        else:
            if rows:
                yield rows
                rows = []
            yield item
        if len(rows) >= _ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _batches(item: Any, schema: pa.Schema, place: _Place) -> list[pa.RecordBatch]:
    if isinstance(item, pa.RecordBatch):
        return [item]
    if isinstance(item, pa.Table):
        return item.to_batches()
    if isinstance(item, list):
        return [_from_rows(item, schema, place)]
    if type(item).__module__.partition(".")[0] == "pandas" and hasattr(item, "columns"):
        return [_from_pandas(item, schema, place)]
    raise InvalidData(
        f"{place.source.name}: {place.by} yielded a {type(item).__name__}, wanted Arrow tables or record batches, "
        "pandas frames, or dicts (one a row)."
    )


def _from_rows(rows: list[Any], schema: pa.Schema, place: _Place) -> pa.RecordBatch:
    wanted = set(schema.names)
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != wanted:
            where = f"row {place.row + number + 1} of {place.source.name}"
            if not isinstance(row, dict):
                raise InvalidData(f"{where} is a {type(row).__name__}, wanted a dict with the columns as keys.")
            raise InvalidData(f"{where} {_difference(row.keys(), schema)}")
    arrays = []
    for field in schema:
        values = [row[field.name] for row in rows]
        try:
            arrays.append(_array(values, field.type))
        except _ERRORS as error:
            bad = next((i for i, value in enumerate(values) if not _converts(value, field.type)), None)
            if bad is None:
                told = f"doesn't fit {field.type}" if is_pii(field) else error
                raise InvalidData(f"{place.source.name}: column {field.name!r}: {told}") from error
            raise _bad_value(field, values[bad], place, bad) from error
    return pa.RecordBatch.from_arrays(arrays, schema=_plain(schema))


def _array(values: list[Any], type_: pa.DataType) -> pa.Array:
    """Python values as an array. Arrow cuts 1.7 to 1, 1e300 to inf, a time off a date, a key off a struct: refused."""
    array = pa.array(values, type=type_)
    if _may_change(type_, values, array) and not all(map(_kept, values, array.to_pylist())):
        raise ValueError("a value would change")
    return array


def _may_change(type_: pa.DataType, values: list[Any], array: pa.Array) -> bool:
    """Whether the values must be looked at one by one."""
    if t.is_floating(type_):
        return bool(pc.any(pc.is_inf(array)).as_py())
    if is_list(type_) and t.is_floating(type_.value_type):
        return bool(pc.any(pc.is_inf(array.flatten())).as_py())
    if t.is_integer(type_):
        return any(type(value) is not int for value in values if value is not None)
    return bool(t.is_nested(type_) or t.is_temporal(type_))


def _kept(value: Any, back: Any) -> bool:
    """Whether a value and what Arrow made of it are the same; floats may be rounded to their type."""
    if isinstance(back, float):
        return not math.isinf(back) or math.isinf(value)
    if isinstance(back, dict):
        return not isinstance(value, dict) or (
            value.keys() == back.keys() and all(_kept(value[k], back[k]) for k in back)
        )
    if isinstance(back, list):
        return all(map(_kept, value, back))
    if isinstance(back, str | bytes | Decimal):
        return True
    return bool(value == back)


def _converts(value: Any, type_: pa.DataType) -> bool:
    try:
        _array([value], type_)
    except _ERRORS:
        return False
    return True


def _from_pandas(frame: Any, schema: pa.Schema, place: _Place) -> pa.RecordBatch:
    if list(frame.columns) != schema.names:
        _check_names([str(name) for name in frame.columns], schema, place)
    arrays = []
    for field in schema:
        column = frame[field.name]
        if t.is_nested(field.type) and column.dtype == object:  # Python values, under the same rules as dicts
            arrays.append(_from_rows([{field.name: value} for value in column], pa.schema([field]), place).column(0))
            continue
        try:
            # NumPy-backed columns mark a missing value by NaN; from_pandas=True makes nulls of them where declared.
            array = pa.Array.from_pandas(column) if field.nullable else pa.array(column.array, from_pandas=False)
        except (pa.ArrowException, TypeError, ValueError):
            array = _from_rows([{field.name: value} for value in column], pa.schema([field]), place).column(0)
        arrays.append(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)
    return pa.RecordBatch.from_arrays(arrays, names=schema.names)


def _checked(batch: pa.RecordBatch, schema: pa.Schema, place: _Place) -> pa.RecordBatch:
    if batch.schema.names != schema.names:
        _check_names(batch.schema.names, schema, place)
        batch = batch.select(schema.names)
    arrays = [_fit(batch.column(i), field, place) for i, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(arrays, schema=_plain(schema))


def _check_names(found: list[str], schema: pa.Schema, place: _Place) -> None:
    twice = next((name for i, name in enumerate(found) if name in found[:i]), None)
    if twice is not None:
        raise InvalidData(f"{place.source.name}: column {twice!r} is there twice. Drop one in {place.by}.")
    if set(found) != set(schema.names):
        raise InvalidData(f"{place.source.name} {_difference(found, schema)}")


def _difference(found: Iterable[str], schema: pa.Schema) -> str:
    names = list(found)
    missing = [name for name in schema.names if name not in names]
    extra = [name for name in names if name not in schema.names]
    told = [f"lacks the column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}"] if missing else []
    if extra:
        told.append(f"has {', '.join(map(repr, extra))}, which the schema doesn't declare")
    return f"{' and '.join(told)}. Declare or drop columns so that rows and schema agree."


def _fit(array: pa.Array, field: pa.Field, place: _Place) -> pa.Array:
    if array.type != field.type:
        try:
            array = cast(array, field.type)
        except (pa.ArrowException, ValueError) as error:
            bad = _first_bad(array, field.type)
            if bad is None:
                raise InvalidData(
                    f"{place.source.name}: column {field.name!r} is {array.type}, want {field.type}. "
                    f"Cast it in {place.by}."
                ) from error
            raise _bad_value(field, array[bad].as_py(), place, bad) from error
    if array.null_count and not field.nullable:
        bad = pc.index(array.is_null(), True).as_py()
        raise InvalidData(
            f"row {place.row + bad + 1} of {place.source.name} has no value for {field.name!r}, which isn't nullable. "
            f"Declare nullable=True, or fill it in {place.by}."
        )
    return array


def _first_bad(array: pa.Array, wanted: pa.DataType) -> int | None:
    """The first row that can't be cast, found by halving; None where it isn't one row's fault."""
    if not allowed(array.type, wanted) and array.null_count == len(array):
        return None
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            cast(array.slice(low, middle - low), wanted)
            low = middle
        except (pa.ArrowException, ValueError):
            high = middle
    return low


def _bad_value(field: pa.Field, value: Any, place: _Place, offset: int) -> InvalidData:
    shown = "<not shown: PII>" if is_pii(field) else short(value)
    return InvalidData(
        f"row {place.row + offset + 1} of {place.source.name} has {field.name}={shown}, want {field.type}. "
        f"Mend the source, cast it in {place.by}, or declare another type."
    )


def short(value: Any) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _plain(schema: pa.Schema) -> pa.Schema:
    return schema.remove_metadata()
