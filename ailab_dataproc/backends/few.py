"""A selection as an Arrow table, by whichever reader is quicker: of few rows Polars' decodes only what is kept."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends.polars_reader import read_whole, to_arrow
from ailab_dataproc.backends.shards import Selection, count_part, map_parts, read_table
from ailab_dataproc.machine import processors

_FEW = 0.2  # of the rows: where a filter keeps more, Polars' texts take longer to become Arrow's than is gained
_MORE = 2  # times the shards that are looked at before
_PROCESS = os.getpid()  # Polars' threads don't survive a fork, and are waited for
_LOOK = 100_000  # rows of each of those


def keeps_few(selection: Selection) -> bool:
    """Whether there are many shards, and a filter keeps few of the first rows of the first ones, one a core."""
    looked, parts = processors(), selection.parts
    if len(parts) <= _MORE * looked or (rows := parts[0].filter) is None or not rows.groups:
        return False
    if os.getpid() != _PROCESS or importlib.util.find_spec("polars") is None:
        return False
    if any(t.is_dictionary(one.type) for one in selection.schema):  # from Polars others come back
        return False
    first = [replace(one, take=min(one.take, _LOOK)) for one in parts[:looked]]
    return sum(map_parts(count_part, first)) <= _FEW * sum(one.take for one in first)


def read(selection: Selection) -> pa.Table:
    """All selected rows as one table of the declared schema."""
    found = read_whole(selection) if keeps_few(selection) else None
    return read_table(selection) if found is None else to_arrow(found, selection.schema)
