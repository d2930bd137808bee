"""The readers that a dataset has by default: CSV, JSON Lines and Parquet, streamed, typed by the declared schema."""

from __future__ import annotations

import csv
import io
import lzma
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
import pyarrow.types as t

from ailab_dataproc.columns import is_pii
from ailab_dataproc.dataset import Read, Source
from ailab_dataproc.errors import AilabError, InvalidData, InvalidDefinition
from ailab_dataproc.urls import line_start

_BLOCK = 8 << 20  # bytes of text parsed at a time
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


def reader(schema: pa.Schema) -> Read:
    """A `read` for sources whose ending says their format (.csv, .tsv, .jsonl, .ndjson, .parquet; also compressed)."""

    def read(source: Source) -> Iterator[pa.RecordBatch]:
        name = replace(source, part=None).name.lower()
        for ending in _COMPRESSED:
            name = name.removesuffix(ending)
        if _no_lines(source, name):
            return iter(())
        if name.endswith((".csv", ".tsv")):
            return read_csv(source, schema, delimiter="\t" if name.endswith(".tsv") else ",")
        if name.endswith((".jsonl", ".ndjson")):
            return read_jsonl(source, schema)
        if name.endswith((".parquet", ".pq")):
            return read_parquet(source)
        raise InvalidDefinition(
            f"{source.name}: its ending names no format that is read by itself (.csv, .tsv, .jsonl, .parquet). "
            "Give the dataset a read= function."
        )

    return read


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a CSV file is written."""

    delimiter: str = ","
    encoding: str = "utf-8"
    header: bool = True
    names: Sequence[str] | Mapping[str, str] | None = None

    def columns(self, source: Source) -> list[str]:
        """What the file's columns are called here."""
        if self.names is not None and not isinstance(self.names, Mapping):
            return list(self.names)
        return [self.called(name) for name in self._first_line(source)]

    def reading(self, source: Source) -> dict[str, Any]:
        """What Arrow needs to know of the lines."""
        inside = bool(source.part and source.part[0])  # in a part below the header
        if self.names is not None and not isinstance(self.names, Mapping):
            return {"column_names": list(self.names), "skip_rows_after_names": int(self.header and not inside)}
        return {"column_names": self._first_line(source)} if inside else {}

    def called(self, name: str) -> str:
        """What a column of the file is called here."""
        return self.names.get(name, name) if isinstance(self.names, Mapping) else name

    def _first_line(self, source: Source) -> list[str]:
        encoding = "utf-8-sig" if self.encoding == "utf-8" else self.encoding
        with replace(source, part=None).open() as file:
            text = io.TextIOWrapper(file, encoding, "replace", newline="")
            return next(csv.reader(text, delimiter=self.delimiter), [])


def read_csv(  # noqa: PLR0913 - all but the first two have a name and a default
    source: Source,
    schema: pa.Schema,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    header: bool = True,
    names: Sequence[str] | Mapping[str, str] | None = None,
    nulls: Sequence[str] = (),
    decimal_point: str = ".",
) -> Iterator[pa.RecordBatch]:
    """Read a CSV file, typed by the declared columns, for the `read` of a definition.

    Args:
        source: the file.
        schema: the declared columns.
        delimiter: between fields.
        encoding: of the text, as Python names it.
        header: whether the first line names the columns.
        names: by the name in the header, what a column is called here; or all names in order, in place of the header.
        nulls: texts that stand for no value, besides the empty one. By default an empty field is null, but "" in a
            string column that isn't nullable; with `nulls` it is null there, too, and stops the preparation.
        decimal_point: of numbers.

    Yields:
        Record batches.

    Raises:
        InvalidData: a value that isn't of its column's type, a line with another number of fields, text that isn't
            in the encoding.
    """
    dialect = _Dialect(delimiter, encoding, header, names)
    of_file = {new: old for old, new in names.items()} if isinstance(names, Mapping) else {}
    options = {
        "read_options": pa.csv.ReadOptions(
            block_size=_BLOCK, use_threads=False, encoding=encoding, **dialect.reading(source)
        ),
        "parse_options": pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        "convert_options": pa.csv.ConvertOptions(
            column_types={of_file.get(field.name, field.name): _parsed(field.type) for field in schema},
            null_values=["", *nulls],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            decimal_point=decimal_point,
        ),
    }
    try:
        with _whole(source), _opened(source) as file:
            for batch in pa.csv.open_csv(file, **options):
                named = batch.rename_columns([dialect.called(name) for name in batch.schema.names])
                yield named if nulls else _empty_strings(named, schema)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _located(source, schema, str(error), dialect) from error


def read_jsonl(source: Source, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Read a file with one JSON object a line. A key that is absent is null.

    Raises:
        InvalidData: a line that is no JSON object, or has a value of another type or a key that isn't declared.
    """
    parse = pa.json.ParseOptions(
        explicit_schema=pa.schema([(field.name, _parsed(field.type)) for field in schema]),
        unexpected_field_behavior="error",
    )
    rows = 0
    try:
        with _whole(source), _opened(source) as file:
            for batch in pa.json.open_json(file, pa.json.ReadOptions(block_size=_BLOCK, use_threads=False), parse):
                rows += batch.num_rows
                yield batch
    except pa.ArrowInvalid as error:  # its rows count from 0, in its block
        told = re.sub(
            r" in row (\d+)", lambda found: f" in row {rows + int(found[1]) + 1} of {source.name}", str(error)
        )
        raise InvalidData(f"{source.name}: {told}. Mend the source or the schema.") from error


def read_parquet(source: Source) -> Iterator[pa.RecordBatch]:
    """Read a Parquet file batch by batch.

    Raises:
        InvalidData: the file isn't Parquet, or is cut off.
    """
    try:
        with _whole(source), _opened(replace(source, part=None)) as file:
            parquet = pq.ParquetFile(file)
            groups = range(*source.part) if source.part else range(parquet.num_row_groups)
            yield from parquet.iter_batches(65_536, row_groups=list(groups), use_threads=False)
    except pa.ArrowInvalid as error:
        raise InvalidData(f"{source.name}: can't be read as Parquet ({error}). Get the file again.") from error


def _opened(source: Source) -> BinaryIO:
    """A plain file on this disk is read by Arrow itself, without the interpreter's lock; the rest through Python."""
    path = source.local_path
    if path is None or path.endswith(_COMPRESSED):
        return source.open()
    if source.part is None:
        return cast(BinaryIO, pa.memory_map(path))
    with open(path, "rb") as plain:
        start, stop = (line_start(plain, place) for place in source.part)
    with pa.memory_map(path) as mapped:
        mapped.seek(start)
        return cast(BinaryIO, pa.BufferReader(mapped.read_buffer(stop - start)))


def _no_lines(source: Source, name: str) -> bool:
    """Whether no line begins in a part of a text file: the one before it was longer than a part."""
    if source.part is None or name.endswith((".parquet", ".pq")):
        return False
    with source.open() as file:
        return not file.read(1)


@contextmanager
def _whole(source: Source) -> Iterator[None]:
    """Explain a file that ends too soon or can't be unpacked."""
    try:
        yield
    except AilabError:
        raise
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise InvalidData(f"{source.name}: can't be read to its end ({error}). Get the file again.") from error


def _empty_strings(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    for number, name in enumerate(batch.schema.names):
        column = batch.column(number)
        declared = schema.field(name) if name in schema.names else None
        if column.null_count and declared is not None and not declared.nullable and t.is_string(column.type):
            batch = batch.set_column(number, name, column.fill_null(""))
    return batch


def _parsed(type_: pa.DataType) -> pa.DataType:
    """The type that text is parsed to; a dictionary is encoded afterwards."""
    return type_.value_type if t.is_dictionary(type_) else type_


def _located(source: Source, schema: pa.Schema, message: str, dialect: _Dialect) -> InvalidData:
    """Turn Arrow's CSV message into ours: it counts lines from the header, if there is one, and columns from 0."""
    header = 0 if not dialect.header or (source.part and source.part[0]) else 1
    column = re.search(r"In CSV column #(\d+)(?:: )?(?:Row #(\d+): )?", message)
    value = re.search(r"CSV conversion error to (\S+): invalid value '(.*)'", message, re.DOTALL)
    if not column or not value:
        if any(is_pii(one) for one in schema):  # Arrow shows the line
            message = re.sub(r"(got \d+): .*", r"\1 (the line is not shown: PII)", message, flags=re.DOTALL)
        if "invalid UTF8" in message:
            message = f"{message.strip()} data that isn't UTF-8"
        message = re.sub(r"Row #(\d+)", lambda found: f"row {int(found[1]) - header}", message)
        return InvalidData(f"{source.name}: {message.strip().rstrip('.')}. Mend the source, or read it with read=.")
    number = int(column[1])
    name = dict(enumerate(dialect.columns(source))).get(number, f"column {number + 1}")
    pii = name in schema.names and is_pii(schema.field(name))
    shown = "<not shown: PII>" if pii else repr(value[2])
    row = f"row {int(column[2]) - header} of " if column[2] else ""
    return InvalidData(
        f"{row}{source.name} has {name}={shown}, want {value[1]}. Mend the source, or read it with read=."
    )
