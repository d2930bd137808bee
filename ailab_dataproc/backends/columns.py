"""Whole columns as NumPy arrays: made once, filled part by part by the threads that read."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa

from ailab_dataproc.backends.arrays import invalid, new, put
from ailab_dataproc.backends.shards import Selection, map_parts, read_part, threads


class Columns:
    """The values of each column of a schema, and where a nullable one is null."""

    def __init__(self, schema: pa.Schema, rows: int) -> None:
        """Make the arrays; `put` fills them."""
        self.schema = schema
        self.values = {one.name: new(one, rows) for one in schema}
        self.invalid = {one.name: np.zeros(rows, bool) for one in schema if one.nullable}

    def put(self, table: pa.Table, start: int = 0) -> None:
        """Write a table's columns, from one row on; several threads may do so for different rows."""
        for field in self.schema:
            at = start
            for chunk in table[field.name].chunks:
                rows = slice(at, at + len(chunk))
                put(chunk, field, self.values[field.name][rows])
                if chunk.null_count:
                    self.invalid[field.name][rows] = invalid(chunk)
                at = rows.stop


def read_columns(selection: Selection, schema: pa.Schema) -> tuple[Columns, list[pa.Table]]:
    """Read a selection into arrays.

    Args:
        selection: what is read.
        schema: the columns that become arrays.

    Returns:
        The arrays, and the other columns, a table a part.
    """
    rest = [name for name in selection.schema.names if name not in schema.names]
    parts = selection.parts
    most = threads(parts)
    known = [part.known_rows for part in parts]
    tables = []
    if None in known:
        tables = map_parts(lambda part: read_part(part, selection.schema, schema.names), parts, most)
    rows = [len(table) for table in tables] if tables else [one or 0 for one in known]
    starts = list(itertools.accumulate(rows, initial=0))
    columns = Columns(schema, starts.pop())

    def fill(number: int) -> pa.Table:
        table = tables[number] if tables else read_part(parts[number], selection.schema, schema.names)
        if tables:
            tables[number] = table.slice(0, 0)  # its memory goes as the arrays fill
        columns.put(table, starts[number])
        return table.select(rest)

    return columns, map_parts(fill, range(len(parts)), most)
