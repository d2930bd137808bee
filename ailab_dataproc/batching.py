"""Batches of rows from shards, with the memory of a few: in order, or shuffled the same way on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from ailab_dataproc.backends.numpy import to_numpy
from ailab_dataproc.backends.shards import Part, Selection, read_part


def in_order(parts: Sequence[Part], schema: pa.Schema) -> Iterator[pa.Table]:
    """One table a part; the next one is read meanwhile."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = None
        for part in parts:
            following = pool.submit(read_part, part, schema)
            if ahead is not None:
                yield ahead.result()
            ahead = following
        if ahead is not None:
            yield ahead.result()


WINDOW = 4  # shards whose rows are permuted together


def shuffled(selection: Selection, seed: int) -> Iterator[pa.Table]:
    """Shards in a random order, rows permuted within windows of them."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(selection.parts))
    tables = in_order([selection.parts[i] for i in order], selection.schema)
    window: list[pa.Table] = []
    for number, table in enumerate(tables):
        window.append(table)
        if len(window) == WINDOW or number == len(order) - 1:
            rows = pa.concat_tables(window)
            random = np.random.Generator(np.random.PCG64([seed, number]))
            window = []
            yield rows.take(pa.array(random.permutation(len(rows))))


def cut(tables: Iterator[pa.Table], selection: Selection, size: int, format_: str, drop_last: bool) -> Iterator[Any]:
    """Batches of so many rows from tables of any size."""
    rest = selection.schema.empty_table()
    for table in tables:
        rest = pa.concat_tables([rest, table]) if len(rest) else table
        full = len(rest) - len(rest) % size
        for start in range(0, full, size):
            yield _batch(rest.slice(start, size), format_, selection.nulls)
        rest = rest.slice(full)
    if len(rest) and not drop_last:
        yield _batch(rest, format_, selection.nulls)


def _batch(table: pa.Table, format_: str, nulls: str) -> Any:
    return table if format_ == "arrow" else to_numpy(table, nulls)
