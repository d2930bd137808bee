"""Lazy frames of Dask, a partition a group of shards, whichever library holds the rows of a partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from ailab_dataproc.backends.shards import Part

Group = tuple[Part, ...]
_LABEL = "ailab-dataproc"  # of the tasks, in Dask's dashboard


def grouped(parts: Sequence[Part], most_bytes: int, most_rows: int) -> Iterator[Group]:
    """Neighbours together up to a size; a shard is never cut, and one that is larger stands alone.

    Args:
        parts: in order.
        most_bytes: of a group, as Arrow.
        most_rows: of the files of a group.
    """
    group: list[Part] = []
    size = rows = 0
    for part in parts:
        if group and (size + part.bytes > most_bytes or rows + part.rows > most_rows):
            yield tuple(group)
            group, size, rows = [], 0, 0
        group.append(part)
        size, rows = size + part.bytes, rows + part.rows
    if group:
        yield tuple(group)


def partitioned(groups: Sequence[Group], schema: pa.Schema, read: Callable[[Group, pa.Schema], Any], meta: Any) -> Any:
    """A lazy frame with a partition for each group; only the columns that a computation uses are read.

    Args:
        groups: none makes a frame of one partition without rows.
        schema: the declared columns.
        read: makes the rows of a group, or of no part, into a frame; safe to pickle.
        meta: a frame without rows, of the library and with the dtypes of all partitions.
    """
    import dask
    import dask.dataframe as dd

    # convert-string would turn lists into text.
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_map(
            _read, list(groups) or [()], load=read, schema=schema, meta=meta, enforce_metadata=False, label=_LABEL
        )


def collected(frame: Any, schema: pa.Schema, to_arrow: Callable[[Any, pa.Schema], pa.Table]) -> pa.Table:
    """All partitions as one table: each is made Arrow where it was computed, so that no GPU must hold all."""
    import dask
    from dask.base import compute
    from dask.delayed import delayed

    with dask.config.set({"dataframe.convert-string": False}):
        tables = [delayed(to_arrow)(one, schema) for one in frame.to_delayed()]
        return pa.concat_tables(compute(*tables))


def _read(
    group: Group, *, load: Callable[[Group, pa.Schema], Any], schema: pa.Schema, columns: Sequence[str] | None = None
) -> Any:
    """One partition; Dask passes the columns that it needs."""
    return load(group, schema if columns is None else pa.schema([schema.field(name) for name in columns]))
