"""polars.DataFrame: every type exact but dictionaries of numbers, which become their values."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends import memory, too_large
from ailab_dataproc.backends.shards import Selection, map_parts, read_part, threads
from ailab_dataproc.sizing import Machine, Need

if TYPE_CHECKING:
    import polars as pl


class Polars:
    """Backend "polars"."""

    returns = "polars.DataFrame"
    family = "eager"

    def peak(self, need: Need) -> int:
        """The frame, and the shards that are decoded meanwhile."""
        return memory.polars(need)

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """Refuses where Polars isn't installed, and what doesn't fit into memory."""
        if importlib.util.find_spec("polars") is None:
            return "polars is not installed: pip install 'ailab_dataproc[polars]'"
        return too_large(self.peak(need), need, machine)

    def read(self, selection: Selection) -> pl.DataFrame:
        """A frame in chunks, one or more a shard; `rechunk` joins them where one piece is wanted."""
        import polars as pl

        # Not by scan_parquet: it checks neither the pages nor that the rows are the index's.
        schema = selection.schema
        parts = selection.parts
        frames = map_parts(lambda part: to_polars(read_part(part, schema, schema.names), schema), parts, threads(parts))
        return pl.concat(frames or [to_polars(schema.empty_table(), schema)], rechunk=False)

    def to_arrow(self, frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
        """The frame as a table of the declared schema."""
        table = frame.to_arrow()
        return pa.table([_back(table[one.name], one.type) for one in schema], schema=schema)


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
        made[field.name] = _texts(column) if unpacked else pl.from_arrow(column, rechunk=False)
    return pl.DataFrame(made)


def _texts(column: pa.ChunkedArray) -> pl.Series:
    import polars as pl

    chunks = [pl.Series(one.dictionary).gather(pl.Series(one.indices)) for one in column.chunks]
    return pl.concat(chunks, rechunk=False) if chunks else pl.Series(pa.array([], column.type.value_type))


def _back(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    if t.is_dictionary(type_) and not t.is_dictionary(column.type):
        return column.cast(type_.value_type).dictionary_encode().cast(type_)
    return column.cast(type_)
