"""pyarrow.Table: the value space, every type exact."""

from __future__ import annotations

import pyarrow as pa

from ailab_dataproc.backends import few, memory, too_large
from ailab_dataproc.backends.shards import Selection
from ailab_dataproc.sizing import Machine, Need


class Arrow:
    """Backend "arrow"."""

    returns = "pyarrow.Table"
    family = "eager"

    def peak(self, need: Need) -> int:
        """The table, and what is decoded meanwhile."""
        return memory.table(need)

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """Refuses what doesn't fit into memory."""
        return too_large(self.peak(need), need, machine)

    def read(self, selection: Selection) -> pa.Table:
        """A table of the declared schema, in chunks."""
        return few.read(selection)

    def to_arrow(self, frame: pa.Table, schema: pa.Schema) -> pa.Table:
        """The table itself."""
        return frame.cast(schema)
