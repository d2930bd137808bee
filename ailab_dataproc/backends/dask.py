"""dask.dataframe.DataFrame, a partition a shard, with the same columns as pandas."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from ailab_dataproc.backends.pandas import Pandas, to_pandas
from ailab_dataproc.backends.partitions import collected, partitioned
from ailab_dataproc.backends.shards import Part, Selection, read_part
from ailab_dataproc.report import count_bytes
from ailab_dataproc.sizing import Machine, Need

FACTOR = 3.0  # memory of a worker thread over the Arrow bytes of its partition


class Dask:
    """Backend "dask"."""

    returns = "dask.dataframe.DataFrame"
    family = "lazy"

    def peak(self, need: Need) -> int:
        """The largest partition, in one worker thread."""
        return int(need.largest * FACTOR)

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """Refuses where Dask isn't installed, and where one shard is more than a worker's memory."""
        if importlib.util.find_spec("dask") is None or importlib.util.find_spec("pandas") is None:
            return "dask is not installed: pip install 'ailab_dataproc[dask]'"
        wanted, room = self.peak(need), machine.a_thread(need.shards)
        if wanted > room:
            where = f"a thread of {machine.address}" if machine.address else "a thread"
            return f"its largest shard needs {count_bytes(wanted)} in {where}, which has {count_bytes(room)} free"
        return None

    def read(self, selection: Selection) -> Any:
        """A lazy frame; only the columns that a computation uses are read."""
        from dask.dataframe.utils import clear_known_categories

        read = partial(_read, dtypes=selection.dtypes)
        meta = clear_known_categories(read((), selection.schema))  # each partition has the categories of its own rows
        return partitioned([(part,) for part in selection.parts], selection.schema, read, meta)

    def to_arrow(self, frame: Any, schema: pa.Schema) -> pa.Table:
        """The computed frame as a table of the declared schema."""
        return collected(frame, schema, Pandas().to_arrow)


def _read(parts: Sequence[Part], schema: pa.Schema, *, dtypes: str) -> Any:
    """One partition."""
    tables = [read_part(part, schema) for part in parts]
    return to_pandas(pa.concat_tables(tables) if tables else schema.empty_table(), dtypes)
