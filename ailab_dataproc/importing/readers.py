"""Readers of imported definitions: Arrow files, what Hugging Face writes into columns, folders that are values."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.dataset import Source
from ailab_dataproc.errors import InvalidData
from ailab_dataproc.preparation import readers

_FILE_FORMAT = b"ARROW1"  # the magic of Arrow's file format; its streams have none
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def read_arrow(source: Source, schema: pa.Schema, names: Mapping[str, str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read a file of Arrow (a stream, as Hugging Face saves datasets, or Arrow's file format) batch by batch.

    Args:
        source: the file.
        schema: the declared columns: where they are bytes, the images or sounds in the file become these.
        names: by the file's name of a column, ours.

    Raises:
        InvalidData: the file isn't of Arrow, or is cut off.
    """
    path = source.local_path
    try:
        with pa.memory_map(path) if path else pa.PythonFile(source.open()) as file:
            for batch in _batches(file):
                yield _fitted(batch, schema, names, source)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidData(f"{source.name}: can't be read as Arrow ({error}). Get the file again.") from error


def read_parquet(source: Source, schema: pa.Schema, names: Mapping[str, str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read a Parquet file as `read_arrow` reads one of Arrow."""
    for batch in readers.read_parquet(source):
        yield _fitted(batch, schema, names, source)


def read_jsonl(source: Source, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Read JSON Lines, whatever the file's ending."""
    return readers.read_jsonl(source, schema)


def read_plain(source: Source, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Read a file as it is read by default, by its ending."""
    return iter(readers.reader(schema)(source))


def with_folders(batches: Iterable[pa.RecordBatch], source: Source, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Add the columns whose values stand in the names of the folders, such as ``day=2021-01-31``.

    Args:
        batches: the file's own columns.
        source: the file.
        schema: the declared columns.
    """
    known = {key: value for key, value in folder_values(source.url).items() if key in schema.names}
    for batch in batches:
        table = batch
        for key, value in known.items():
            one = pa.scalar(value).cast(schema.field(key).type)
            table = table.append_column(key, pa.repeat(one, batch.num_rows))
        yield table


def own_columns(source: Source, schema: pa.Schema) -> pa.Schema:
    """The columns that stand in the file itself."""
    outside = folder_values(source.url)
    return pa.schema([one for one in schema if one.name not in outside])


def folder_values(url: str) -> dict[str, str | None]:
    """What the folders of a path say, by name."""
    found = {}
    for part in url.split("/")[:-1]:
        key, equals, value = part.partition("=")
        if key and equals:
            found[unquote(key)] = None if value == _NO_VALUE else unquote(value)
    return found


def open_arrow(file: pa.NativeFile) -> pa.RecordBatchStreamReader | pa.RecordBatchFileReader:
    """A reader of an open Arrow file of either format."""
    start = file.read(len(_FILE_FORMAT))
    file.seek(0)
    return pa.ipc.open_file(file) if start == _FILE_FORMAT else pa.ipc.open_stream(file)


def _batches(file: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    reader = open_arrow(file)
    if isinstance(reader, pa.RecordBatchFileReader):
        yield from map(reader.get_batch, range(reader.num_record_batches))
    else:
        yield from reader


def _fitted(
    batch: pa.RecordBatch, schema: pa.Schema, names: Mapping[str, str] | None, source: Source
) -> pa.RecordBatch:
    """The batch by our names, and its columns as bytes and arrays where these are declared."""
    called = [(names or {}).get(name, name) for name in batch.schema.names]
    columns = [
        _fit(column, schema.field(name).type, source) if name in schema.names else column
        for name, column in zip(called, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=called)


def _fit(array: pa.Array, wanted: pa.DataType, source: Source) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):  # the library that defines the type is loaded
        array = array.storage
    if array.type == wanted:
        return array
    if t.is_struct(array.type) and (t.is_binary(wanted) or t.is_large_binary(wanted)):
        return _encoded(array, source)
    if t.is_fixed_size_list(wanted) and _depth(array.type) > _depth(wanted):
        return _flat(array, wanted.list_size, source)
    if t.is_large_list(array.type) and t.is_list(wanted):
        array = array.cast(pa.list_(array.type.value_type))
    if t.is_list(array.type) and t.is_list(wanted):
        array = pa.concat_arrays([array]) if array.offset else array
        inner = _fit(array.values, wanted.value_type, source)
        return pa.ListArray.from_arrays(array.offsets, inner, mask=array.is_null())
    if t.is_struct(array.type) and t.is_struct(wanted) and array.type.names == wanted.names:
        members = [_fit(one, field.type, source) for one, field in zip(array.flatten(), wanted, strict=True)]
        return pa.StructArray.from_arrays(members, names=wanted.names, mask=array.is_null())
    return array  # what is left is told, or cast, like the columns of any other `read`


def _encoded(array: pa.StructArray, source: Source) -> pa.Array:
    """The bytes of images or sounds, of which the file holds these or a path."""
    found, paths = pc.struct_field(array, "bytes"), pc.struct_field(array, "path")
    outside = pc.and_(found.is_null(), paths.is_valid())
    if not pc.any(outside).as_py():
        return found
    there = zip(found.to_pylist(), paths.to_pylist(), strict=True)
    values = [_content(path, source) if value is None and path is not None else value for value, path in there]
    return pa.array(values, found.type)


def _content(path: str, source: Source) -> bytes:
    """The file that a row names, from the folder of the source where the path is relative."""
    if "://" not in path and source.local_path:
        path = os.path.join(os.path.dirname(source.local_path), path)
    try:
        with replace(source, url=path, place=None, part=None).open() as file:
            return file.read()
    except OSError as error:
        raise InvalidData(
            f"{source.name}: names the file {path}, which can't be read ({error}). Put it there, or save the dataset "
            "with its files in it."
        ) from error


def _depth(type_: pa.DataType) -> int:
    is_list = t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_)
    return 1 + _depth(type_.value_type) if is_list else 0


def _flat(array: pa.Array, size: int, source: Source) -> pa.Array:
    """Nested lists of one shape as lists of a fixed size."""
    values = filled = array.drop_null()
    while _depth(values.type):
        lengths = pc.list_value_length(values)
        if lengths.null_count or len(pc.unique(lengths)) > 1:
            raise InvalidData(f"{source.name}: arrays differ in shape, wanted {size} values each. Mend the source.")
        values = values.flatten()
    if len(values) != size * len(filled):
        raise InvalidData(f"{source.name}: arrays have another shape, wanted {size} values each. Mend the source.")
    fixed = pa.FixedSizeListArray.from_arrays(values, size)
    if not array.null_count:
        return fixed
    rows = pc.subtract(pc.cumulative_sum(array.is_valid().cast(pa.int64())), 1)
    return fixed.take(pc.if_else(array.is_valid(), rows, pa.scalar(None, pa.int64())))
