"""dask.dataframe.DataFrame, a partition a shard, with the same columns as pandas."""

from __future__ import annotations

import importlib.util
from typing import Any

import pyarrow as pa

from ailab_dataproc.backends.pandas import Pandas, to_pandas
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
        import dask
        import dask.dataframe as dd
        from dask.dataframe.utils import clear_known_categories

        kept = {"schema": selection.schema, "dtypes": selection.dtypes}
        # Each partition has the categories of its own rows.
        meta = clear_known_categories(to_pandas(selection.schema.empty_table(), selection.dtypes))
        # convert-string would turn lists into text.
        with dask.config.set({"dataframe.convert-string": False}):
            return dd.from_map(
                _read, selection.parts or (None,), **kept, meta=meta, enforce_metadata=False, label="ailab-dataproc"
            )

    def to_arrow(self, frame: Any, schema: pa.Schema) -> pa.Table:
        """The computed frame as a table of the declared schema."""
        import dask

        with dask.config.set({"dataframe.convert-string": False}):
            return Pandas().to_arrow(frame.compute(), schema)


def _read(part: Part | None, *, schema: pa.Schema, dtypes: str, columns: list[str] | None = None) -> Any:
    """One partition; Dask passes the columns that it needs."""
    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    return to_pandas(wanted.empty_table() if part is None else read_part(part, wanted), dtypes)
