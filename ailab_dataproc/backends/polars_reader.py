"""Whole shards on the disk by Polars' own reader, where it gives the same; and between Polars and Arrow."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends.polars_filters import to_polars_filter
from ailab_dataproc.backends.shards import Selection, check_part, map_parts, share_of

if TYPE_CHECKING:
    import polars as pl

_MOST = 0.5  # of a shard's bytes: where fewer are wanted, checking all of them takes longer than is gained


def read_whole(selection: Selection) -> pl.DataFrame | None:
    """The rows in Polars' types; None where Polars' reader isn't known to give the rows and values of `read_part`.

    Raises:
        DamagedData: a shard isn't, byte for byte, the one that was written: Polars looks at no page's checksum.
    """
    import polars as pl

    if not selection.parts or not _is_whole(selection):
        return None
    rows = selection.parts[0].filter
    condition = to_polars_filter(rows) if rows else None
    if rows and condition is None:
        return None
    asked = rows.with_columns(selection.schema) if rows else selection.schema
    if any(t.is_fixed_size_list(one.type) for one in asked):  # images: it takes twice the memory that `peak` says
        return None
    if share_of(selection.parts[0], asked) <= _MOST:
        return None
    map_parts(check_part, selection.parts)
    places = [one.folder.path(one.path) for one in selection.parts]
    files = pl.scan_parquet(places, glob=False, hive_partitioning=False)
    if files.select(asked.names).collect_schema() != _types(asked):
        return None
    kept = files if condition is None else files.filter(condition)
    return kept.select(selection.schema.names).collect(engine="streaming")


@lru_cache(maxsize=16)
def _types(schema: pa.Schema) -> pl.Schema:
    return to_polars(schema.empty_table(), schema).schema


def _is_whole(selection: Selection) -> bool:
    """Whether the parts are whole shards on the disk, whose bytes are quickly checked."""
    import google_crc32c

    return google_crc32c.implementation == "c" and all(
        one.folder.is_local and one.crc32c is not None and one.pick is None and one.take == one.rows
        for one in selection.parts
    )


def to_polars(table: pa.Table, schema: pa.Schema) -> pl.DataFrame:
    """A table as a frame.

    Args:
        table: whose texts may have come as dictionaries; they become plain strings that share the dictionary's bytes.
        schema: the declared one.
    """
    import polars as pl

    made = {}
    for field, column in zip(schema, table.columns, strict=True):
        unpacked = t.is_dictionary(column.type) and not t.is_dictionary(field.type)
        made[field.name] = _texts(column) if unpacked else pl.from_arrow(_unsliced(column), rechunk=False)
    return pl.DataFrame(made)


def to_arrow(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """A frame as a table of the declared schema."""
    table = frame.to_arrow()
    return pa.table([_back(table[one.name], one.type) for one in schema], schema=schema)


def _unsliced(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without slices that Polars 2.1 refuses: of lists of a fixed size, with nulls."""
    if not t.is_fixed_size_list(column.type) or not column.null_count:
        return column
    size = column.type.list_size
    chunks = [
        pa.concat_arrays([one]) if one.offset or len(one.values) != len(one) * size else one for one in column.chunks
    ]
    return pa.chunked_array(chunks, column.type)


def _texts(column: pa.ChunkedArray) -> pl.Series:
    import polars as pl

    chunks = [pl.Series(one.dictionary).gather(pl.Series(one.indices)) for one in column.chunks]
    return pl.concat(chunks, rechunk=False) if chunks else pl.Series(pa.array([], column.type.value_type))


def _back(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    if t.is_dictionary(type_) and not t.is_dictionary(column.type):
        return column.cast(type_.value_type).dictionary_encode().cast(type_)
    return column.cast(type_)
