"""polars.DataFrame: every type exact but dictionaries of numbers, which become their values."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends import memory, too_large
from ailab_dataproc.backends.shards import Selection, check_part, map_parts, read_part, share_of, threads
from ailab_dataproc.sizing import Machine, Need

if TYPE_CHECKING:
    import polars as pl

_MOST = 0.5  # of a shard's bytes: where fewer are wanted, checking all of them takes longer than is gained


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

        schema, parts = selection.schema, selection.parts
        if by_polars(selection):
            map_parts(lambda part: check_part(part, schema), parts)  # Polars itself looks at no page's checksum
            files = pl.scan_parquet([one.folder.path(one.path) for one in parts], glob=False, hive_partitioning=False)
            if files.select(schema.names).collect_schema() == to_polars(schema.empty_table(), schema).schema:
                return files.select(schema.names).collect(engine="streaming")
        frames = map_parts(lambda part: to_polars(read_part(part, schema, schema.names), schema), parts, threads(parts))
        return pl.concat(frames or [to_polars(schema.empty_table(), schema)], rechunk=False)

    def to_arrow(self, frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
        """The frame as a table of the declared schema."""
        table = frame.to_arrow()
        return pa.table([_back(table[one.name], one.type) for one in schema], schema=schema)


def by_polars(selection: Selection) -> bool:
    """Whether Polars' own reader gives the same: most bytes of whole shards on the disk, whose checksums are known."""
    parts = selection.parts
    whole = all(
        one.folder.is_local and one.checksum and one.filter is None and one.pick is None and one.take == one.rows
        for one in parts
    )
    images = any(t.is_fixed_size_list(one.type) for one in selection.schema)  # half the memory that `peak` says
    return bool(parts) and whole and not images and share_of(parts[0], selection.schema) > _MOST


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
