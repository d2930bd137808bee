"""polars.DataFrame: every type exact but dictionaries of numbers, which become their values."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pyarrow as pa

from ailab_dataproc.backends import memory, too_large
from ailab_dataproc.backends.polars_reader import read_whole, to_arrow, to_polars
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

        if (found := read_whole(selection)) is not None:
            return found
        schema, parts = selection.schema, selection.parts
        frames = map_parts(lambda part: to_polars(read_part(part, schema, schema.names), schema), parts, threads(parts))
        return pl.concat(frames or [to_polars(schema.empty_table(), schema)], rechunk=False)

    def to_arrow(self, frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
        """The frame as a table of the declared schema."""
        return to_arrow(frame, schema)
