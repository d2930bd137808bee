"""The columns of one file, whose format nobody has told: Parquet, JSON Lines, or CSV as it may come."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
import pyarrow.types as t

from ailab_dataproc import urls
from ailab_dataproc.adding.dialect import Dialect, sniff, uneven_line, whole_lines
from ailab_dataproc.adding.guessing import Guess, guess, has_decimal_commas, null_texts
from ailab_dataproc.adding.naming import column_names
from ailab_dataproc.errors import InvalidData

_LOOKED = 64 << 20  # bytes of text, unpacked
_ROWS = 200_000  # of Parquet
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "ZIP (or is of Excel)",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one file holds."""

    name: str  # of the file, for messages
    kind: str  # csv, jsonl or parquet
    originals: tuple[str, ...]  # what it calls its columns
    names: tuple[str, ...]  # what they are called here
    guesses: tuple[Guess, ...]  # of each column
    values: pa.Table  # the rows that were looked at, by our names; of CSV as text
    rows: int  # looked at
    whole: bool  # whether these are all
    dialect: Dialect | None = None  # of CSV
    reading: Mapping[str, Any] = field(default_factory=dict)  # of CSV: arguments of `read_csv`
    notes: tuple[str, ...] = ()  # for people


def look(
    url: str, *, encoding: str | None = None, header: bool | None = None, options: Mapping[str, Any] | None = None
) -> Found:
    """Look at a file; the arguments are those of `sampling.infer`.

    Raises:
        InvalidData: it can't be parsed; line and reason are named.
    """
    name = urls.file_name(url)
    try:
        with urls.open_url(url, dict(options or {}), compression="infer") as file:
            start = file.read(4)
            if start == b"PAR1":
                file.seek(0)
                return _parquet(file, name)
            data = start + file.read(_LOOKED)
    except (EOFError, OSError) as error:
        raise InvalidData(f"{name}: can't be read to its end ({error}). Get the file again.") from error
    if not data.strip():
        raise InvalidData(f"{name}: is empty ({len(data)} bytes). Give a sample with rows.")
    packed = next((told for mark, told in _PACKED.items() if data.startswith(mark)), "")
    if packed:
        raise InvalidData(f"{name}: is packed by {packed}, wanted text. Unpack it, or give it the ending of its kind.")
    whole = len(data) <= _LOOKED
    if re.search(r"\.(jsonl|ndjson|json)(\.\w+)?$", name.lower()) or data.lstrip()[:1] == b"{":
        return _jsonl(data if whole else data[: data.rfind(b"\n") + 1], name, whole=whole)
    return _csv(data if whole else whole_lines(data), name, whole, (encoding, header))


def _csv(data: bytes, name: str, whole: bool, told: tuple[str | None, bool | None]) -> Found:
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidData(f"{name}: holds bytes that no text has. Wanted CSV, JSON Lines or Parquet.")
    dialect = sniff(data, name, encoding=told[0], header=told[1])
    names = column_names(dialect.names)
    table = _as_text(data, name, dialect, names)
    if not table.num_rows:
        raise InvalidData(f"{name}: holds no row below its header. Give a sample with rows.")
    point = "," if dialect.delimiter != "," and has_decimal_commas(table.columns) else "."
    nulls = null_texts(table.columns, decimal_point=point)
    if nulls:
        marked = pa.array(nulls)
        none = pa.scalar(None, pa.string())
        columns = [pc.if_else(pc.is_in(one, marked), none, one) for one in table.columns]
        table = pa.table(columns, names=names)
    renamed = {old: new for old, new in zip(dialect.names, names, strict=True) if old != new}
    by_place = not dialect.header or len(set(dialect.names)) < len(names)
    reading: dict[str, Any] = {"encoding": dialect.encoding} if dialect.encoding != "utf-8" else {}
    reading |= {} if dialect.header else {"header": False}
    reading |= {"names": names if by_place else renamed} if by_place or renamed else {}
    reading |= {"nulls": nulls} if nulls else {}
    reading |= {"decimal_point": point} if point != "." else {}
    usual = "\t" if re.search(r"\.tsv(\.\w+)?$", name.lower()) else ","
    if dialect.delimiter != usual or (reading and dialect.delimiter != ","):
        reading = {"delimiter": dialect.delimiter} | reading
    return Found(
        name=name,
        kind="csv",
        originals=dialect.names,
        names=tuple(names),
        guesses=tuple(guess(one, decimal_point=point) for one in table.columns),
        values=table,
        rows=table.num_rows,
        whole=whole,
        dialect=dialect,
        reading=reading,
        notes=_told_of_csv(dialect, nulls, point),
    )


def _as_text(data: bytes, name: str, dialect: Dialect, names: list[str]) -> pa.Table:
    try:
        return pa.csv.read_csv(
            io.BytesIO(data),
            pa.csv.ReadOptions(
                column_names=names,
                skip_rows_after_names=int(dialect.header),
                encoding=dialect.encoding,
                use_threads=False,
                block_size=max(len(data), 1 << 20),
            ),
            pa.csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        text = data.decode("utf-8-sig" if dialect.encoding == "utf-8" else dialect.encoding)
        uneven = uneven_line(text, dialect.delimiter, len(names))
        if uneven is None:
            raise InvalidData(f"{name}: can't be parsed as CSV ({str(error).partition(':')[0]}).") from None
        line, count = uneven
        fields = f"{count} field{'s' * (count != 1)}"
        raise InvalidData(
            f"{name}: line {line:,} has {fields}, wanted {len(names)} as in the first line. "
            "Mend the line, or quote what holds a delimiter."
        ) from None


def _told_of_csv(dialect: Dialect, nulls: tuple[str, ...], point: str) -> tuple[str, ...]:
    marks = {",": "", ";": "fields stand between semicolons", "\t": "fields stand between tabs"}
    told = [marks.get(dialect.delimiter, f"fields stand between {dialect.delimiter!r}")]
    if dialect.encoding not in ("utf-8", "utf-16"):
        told.append(
            f"isn't UTF-8, taken for {dialect.encoding}: look at its text, and give --encoding where it's wrong"
        )
    if not dialect.header:
        told.append(
            "its first line holds numbers or days, so that it isn't taken for names: give --header where it is one"
        )
    told += [f"{', '.join(map(repr, nulls))} stand{'s' * (len(nulls) == 1)} for no value"] if nulls else []
    told += [f"numbers have a {point!r} before their fraction"] if point != "." else []
    return tuple(one for one in told if one)


def _jsonl(data: bytes, name: str, *, whole: bool) -> Found:
    if data.lstrip()[:1] == b"[":
        raise InvalidData(f"{name}: is one JSON array, wanted JSON Lines: an object a line. Convert it: jq -c '.[]'.")
    options = pa.json.ReadOptions(block_size=len(data) + 1, use_threads=False)
    try:
        table = pa.json.read_json(io.BytesIO(data), options)
    except pa.ArrowInvalid as error:
        raise InvalidData(f"{name}: {_bad_line(data, str(error))}. Mend the line.") from None
    twice = next((one for one in table.column_names if table.column_names.count(one) > 1), None)
    if twice is not None:
        raise InvalidData(f"{name}: the key {twice!r} is there twice in an object. Rename one.")
    return _typed(table, name, kind="jsonl", whole=whole)


def _bad_line(data: bytes, error: str) -> str:
    """Which line is no JSON object, and why; without what it holds."""
    lines = [(number, line) for number, line in enumerate(data.split(b"\n"), start=1) if line.strip()]
    for number, line in lines:
        try:
            if not isinstance(json.loads(line), dict):
                return f"line {number:,} is no JSON object"
        except json.JSONDecodeError as wrong:
            return f"line {number:,} is no JSON ({wrong.msg} at column {wrong.colno})"
        except UnicodeDecodeError as wrong:
            return f"line {number:,} isn't UTF-8 ({wrong.reason} at byte {wrong.start})"
    row = re.search(r" in row (\d+)", error)
    changed = re.search(r"Column\((.*?)\) changed from (\S+) to (\S+)", error)
    where = f"line {lines[int(row[1])][0]:,}" if row and int(row[1]) < len(lines) else "a line"
    if changed:
        return f"{where} holds a JSON {changed[3]} in {changed[1].strip('/')!r}, a {changed[2]} stood there before"
    return f"{where} can't be parsed"


def _parquet(file: BinaryIO, name: str) -> Found:
    try:
        parquet = pq.ParquetFile(file)
        batches = []
        for batch in parquet.iter_batches(65_536):
            batches.append(batch)
            if sum(one.num_rows for one in batches) >= _ROWS:
                break
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidData(f"{name}: can't be read as Parquet ({error}). Get the file again.") from error
    table = pa.Table.from_batches(batches, schema=parquet.schema_arrow)
    if not table.num_rows:
        raise InvalidData(f"{name}: holds no rows. Give a sample with rows.")
    return _typed(table, name, kind="parquet", whole=table.num_rows == parquet.metadata.num_rows)


def _typed(table: pa.Table, name: str, *, kind: str, whole: bool) -> Found:
    names = column_names(table.column_names)
    guesses = [_of_typed(one, field.type) for one, field in zip(table.columns, table.schema, strict=True)]
    return Found(
        name=name,
        kind=kind,
        originals=tuple(table.column_names),
        names=tuple(names),
        guesses=tuple(guesses),
        values=table.rename_columns(names).replace_schema_metadata(None),
        rows=table.num_rows,
        whole=whole,
    )


def _of_typed(values: pa.ChunkedArray, type_: pa.DataType) -> Guess:
    if values.null_count == len(values):
        told = "holds no value in the rows that were looked at: say which type it has"
        return Guess(pa.string() if t.is_null(type_) else type_, True, told)
    known = _without_null_types(type_)
    told = "" if known == type_ else "holds lists or objects without any value: say which type these have"
    return Guess(known, values.null_count > 0, told)


def _without_null_types(type_: pa.DataType) -> pa.DataType:
    """Text in place of what has no type, since it never has a value."""
    if t.is_null(type_):
        return pa.string()
    if t.is_struct(type_):
        return pa.struct([one.with_type(_without_null_types(one.type)) for one in type_])
    if t.is_list(type_):
        return pa.list_(type_.value_field.with_type(_without_null_types(type_.value_type)))
    return type_
