"""The columns of Parquet and Arrow files, whose types are known: one schema, where nulls are, what images look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as t

from ailab_dataproc import schema as contract
from ailab_dataproc.adding.code import Named, call, mapped, quoted
from ailab_dataproc.adding.draft import PLACE
from ailab_dataproc.adding.naming import column_names
from ailab_dataproc.adding.personal import hint
from ailab_dataproc.adding.reading import Reading
from ailab_dataproc.errors import InvalidData
from ailab_dataproc.importing.columns import Columns, check_same, reading_by
from ailab_dataproc.importing.features import declared, is_image, of_schema
from ailab_dataproc.importing.finding import Found
from ailab_dataproc.importing.readers import open_arrow

_ROWS = 10_000  # read at a time
_IMAGES = 100  # the same, of images


def columns_of(found: Found) -> Columns:
    """The columns of all files.

    Raises:
        InvalidData: a file can't be read, or has other columns than another; both are named, and the column.
        InvalidDefinition: a type that we don't keep.
    """
    files = found.all_files
    schema = _common({one: _schema(found.kind, one) for one in files})
    features = {**found.words.features, **of_schema(schema)}
    names = dict(zip(schema.names, column_names(schema.names), strict=True))
    empty = _with_nulls(found.kind, files, schema)
    texts = [one.name for one in schema if t.is_string(one.type) or t.is_large_string(one.type)]
    sample = next(_batches(found.kind, files[0], texts), None)
    fields, remarks = [], {}
    for one in schema:
        feature, name = features.get(one.name), names[one.name]
        images = _images(found.kind, files, one.name) if is_image(feature) else ()
        looks = hint(name, sample[one.name] if sample is not None and one.name in texts else None)
        if looks:
            remarks[name] = f"{PLACE}: looks like {looks}. Keep pii=True, or write pii=False if it is none."
        nullable, pii = one.name in empty, True if looks else None
        fields.append(declared(one.with_name(name), feature, nullable=nullable, pii=pii, images=images))
    made_schema = pa.schema(fields)
    contract.check_types(made_schema, str(found.root))
    notes = tuple(f"{old!r} can't be a column's name: it is called {new!r}" for old, new in names.items() if old != new)
    reading = _reading(found.kind, schema, made_schema, names)
    allow_empty = any(not _rows(found.kind, one) for one in files)
    return Columns(schema=made_schema, reading=reading, remarks=remarks, notes=notes, allow_empty=allow_empty)


def _reading(kind: str, schema: pa.Schema, ours: pa.Schema, names: Mapping[str, str]) -> Reading:
    """How the files are read, where the default isn't enough."""
    renamed = {old: quoted(new) for old, new in names.items() if old != new}
    changed = any(_changes(one.type, ours.field(names[one.name]).type) for one in schema)
    if kind == "parquet" and not renamed and not changed:
        return Reading()
    given = [Named("names=", mapped(renamed))] if renamed else []
    return reading_by(call(f"read_{kind}", "source", "dataset.schema", *given), f"read_{kind}")


def _changes(type_: pa.DataType, ours: pa.DataType) -> bool:
    """Whether the reader has to make something else of a column than a cast would."""
    if isinstance(type_, pa.BaseExtensionType):
        return True
    if t.is_struct(type_):
        return not t.is_struct(ours) or any(_changes(one.type, ours.field(one.name).type) for one in type_)
    if t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_):
        return not t.is_nested(ours) or _changes(type_.value_type, ours.value_type)
    return t.is_nested(ours)


def _common(schemas: Mapping[str, pa.Schema]) -> pa.Schema:
    """The schema of all files; a column that is all null in some has the type of the others."""
    (first, schema), *others = schemas.items()
    for file, other in others:
        check_same((first, schema.names), (file, other.names))
        for number, one in enumerate(schema):
            two = other.field(one.name)
            if t.is_null(one.type):
                schema = schema.set(number, two.with_name(one.name))
            elif one.type != two.type and not t.is_null(two.type):
                raise InvalidData(
                    f"{file}: column {one.name!r} is {two.type}, and {one.type} in {first}. Cast one of them, or "
                    "import them apart."
                )
    untyped = next((one.name for one in schema if t.is_null(one.type)), None)
    if untyped is not None:
        raise InvalidData(f"{first}: column {untyped!r} has no value and no type in any file. Drop it, or give it one.")
    return schema


@contextmanager
def _told(kind: str, file: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        what = "Parquet" if kind == "parquet" else "Arrow"
        raise InvalidData(f"{file}: can't be read as {what} ({error}). Get the file again.") from error


def _schema(kind: str, file: str) -> pa.Schema:
    with _told(kind, file):
        if kind == "parquet":
            schema = pq.read_schema(file)
        else:
            with pa.memory_map(file) as mapped_file:
                schema = open_arrow(mapped_file).schema
    twice = next((one for one in schema.names if schema.names.count(one) > 1), None)
    if twice is not None:
        raise InvalidData(f"{file}: the column {twice!r} is there twice. Rename one.")
    return schema


def _rows(kind: str, file: str) -> int:
    """How many rows a file holds; of Arrow, whether there are any."""
    if kind == "parquet":
        return int(pq.read_metadata(file).num_rows)
    return next((batch.num_rows for batch in _batches(kind, file, []) if batch.num_rows), 0)


def _batches(kind: str, file: str, columns: list[str], at_a_time: int = _ROWS) -> Iterator[pa.RecordBatch]:
    """The rows of a file, some columns of them."""
    with _told(kind, file):
        if kind == "parquet":
            with pq.ParquetFile(file) as parquet:
                yield from parquet.iter_batches(at_a_time, columns=columns)
            return
        with pa.memory_map(file) as mapped_file:
            reader = open_arrow(mapped_file)
            if isinstance(reader, pa.RecordBatchFileReader):
                yield from (reader.get_batch(number).select(columns) for number in range(reader.num_record_batches))
            else:
                yield from (batch.select(columns) for batch in reader)


def _with_nulls(kind: str, files: list[str], schema: pa.Schema) -> set[str]:
    """The columns that have a row without a value. Of Parquet only those are read whose statistics leave it open."""
    found: set[str] = set()
    for file in files:
        known, unknown = _by_statistics(file, schema) if kind == "parquet" else (set(), set(schema.names))
        found |= known
        for batch in _batches(kind, file, sorted(unknown - found)) if unknown - found else ():
            found |= {name for name, one in zip(batch.schema.names, batch.columns, strict=True) if one.null_count}
    return found


def _by_statistics(file: str, schema: pa.Schema) -> tuple[set[str], set[str]]:
    """The columns of a Parquet file that have nulls, and those of which its footer doesn't say so."""
    has: set[str] = set()
    free: dict[str, list[bool]] = {}  # for each row group and column: whether one of its leaves has no null
    with _told("parquet", file):
        footer = pq.read_metadata(file)
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        leaves: dict[str, list[int | None]] = {}
        for leaf in map(group.column, range(group.num_columns)):
            name = next(one for one in schema.names if _is_leaf_of(leaf.path_in_schema, one))
            told = leaf.statistics is not None and leaf.statistics.has_null_count
            leaves.setdefault(name, []).append(leaf.statistics.null_count if told else None)
        for name, counts in leaves.items():
            if not t.is_nested(schema.field(name).type) and counts[0]:
                has.add(name)
            free.setdefault(name, []).append(0 in counts)
    return has, {name for name, groups in free.items() if not all(groups)} - has


def _is_leaf_of(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}.")


def _images(kind: str, files: list[str], name: str) -> Iterator[bytes | None]:
    """The images of a column, one after the other; None for those that lie outside of the file."""
    for file in files:
        for batch in _batches(kind, file, [name], at_a_time=_IMAGES):
            yield from _bytes(batch.column(0))


def _bytes(array: pa.Array) -> Iterator[bytes | None]:
    """What rows with a value hold."""
    for one in array.drop_null():
        yield one["bytes"].as_py() if t.is_struct(array.type) else one.as_py()
