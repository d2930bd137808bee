"""pandas.DataFrame with Arrow-backed columns: exact integers beside nulls, NaN and null apart, no copy."""

from __future__ import annotations

import importlib.util
from typing import Any

import pyarrow as pa

from ailab_dataproc.backends import memory, too_large
from ailab_dataproc.backends.shards import Selection, read_table
from ailab_dataproc.sizing import Machine, Need


class Pandas:
    """Backend "pandas"."""

    returns = "pandas.DataFrame"
    family = "eager"

    def peak(self, need: Need) -> int:
        """The table, and what is decoded meanwhile."""
        return memory.table(need)

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """Refuses where pandas isn't installed, and what doesn't fit into memory."""
        if importlib.util.find_spec("pandas") is None:
            return "pandas is not installed: pip install 'ailab_dataproc[pandas]'"
        return too_large(self.peak(need), need, machine)

    def read(self, selection: Selection) -> Any:
        """A frame with pd.ArrowDtype columns."""
        return to_pandas(read_table(selection))

    def to_arrow(self, frame: Any, schema: pa.Schema) -> pa.Table:
        """The frame as a table of the declared schema."""
        return pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(schema.metadata)


def to_pandas(table: pa.Table) -> Any:
    """A table as a frame with pd.ArrowDtype columns; no value is converted."""
    import pandas as pd

    return table.to_pandas(types_mapper=pd.ArrowDtype)
