"""Sorted runs: what one task leaves for steps that gather rows from all tasks by the range of a number.

A run is an uncompressed Arrow file, sorted by its column ``KEY``, so that a range of it is a few pages of a mapped file
or a few requests to a bucket.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ailab_dataproc.preparation.job import Job
from ailab_dataproc.storage import Folder

KEY = "__key"
_BATCH = 8_192  # rows of a run that are read at a time
_ALL = "all.arrow"
_SCHEMA = pa.schema(
    [
        ("task", pa.string()),  # label
        ("split", pa.string()),
        ("path", pa.string()),
        ("bytes", pa.int64()),  # of the file
        ("rows", pa.int64()),
        ("arrow_bytes", pa.int64()),
        ("first", pa.list_(pa.uint64())),  # the smallest key of each batch
    ]
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """One of several equal ranges of all keys of a split."""

    split: str
    number: int
    count: int  # of all buckets of the split

    @property
    def label(self) -> str:
        """A file name's worth of identity."""
        return f"{self.split}-{self.number:05d}"

    @property
    def weight(self) -> int:
        """Nothing is known; buckets are about equal."""
        return 0

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest key, and the smallest that is too large."""
        return -(-self.number * 2**64 // self.count), -(-(self.number + 1) * 2**64 // self.count)


def write_run(stage: Folder, path: str, table: pa.Table, keys: np.ndarray) -> dict[str, Any]:
    """Sort rows by their keys and write them.

    Returns:
        What `write_runs` needs of it, but task, split and the rows' Arrow bytes.
    """
    order = np.argsort(keys, kind="stable")
    rows = table.combine_chunks().take(pa.array(order)).combine_chunks()
    ordered = keys[order]
    rows = rows.append_column(KEY, pa.array(ordered))
    with stage.create(path) as file:
        with pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows, max_chunksize=_BATCH)
        size = file.tell()
    return {"path": path, "bytes": size, "rows": len(rows), "first": ordered[::_BATCH].tolist()}


def write_runs(stage: Folder, name: str, runs: list[dict[str, Any]]) -> None:
    """Say, last of all, which runs a task has left."""
    write_arrow(stage, name, pa.Table.from_pylist(runs, schema=_SCHEMA))


def collect(stage: Folder, folder: str, receipts: Iterable[pa.Table]) -> pa.Table:
    """Join what all tasks left into one table that every later step reads."""
    table = pa.concat_tables([_SCHEMA.empty_table(), *receipts]).combine_chunks()
    write_arrow(stage, f"{folder}/{_ALL}", table)
    return table


def read_bucket(job: Job, folder: str, bucket: Bucket, split: str | None = None) -> Iterator[tuple[str, pa.Table]]:
    """The rows of a bucket from each run, in the order of the tasks, with the task's label; ``KEY`` is among them."""
    runs = read_arrow(job.stage.read(f"{folder}/{_ALL}"))
    if split is not None:
        runs = runs.filter(pc.field("split") == split)
    for run in runs.select(["task", "path", "first"]).to_pylist():
        rows = _read_range(job.stage, run["path"], run["first"], bucket.bounds)
        if rows is not None:
            yield run["task"], rows


def _read_range(stage: Folder, path: str, first: list[int], bounds: tuple[int, int]) -> pa.Table | None:
    low, high = bounds
    begin = max(sum(one < low for one in first) - 1, 0)
    end = sum(one < high for one in first)
    if begin >= end:
        return None
    with pa.memory_map(stage.path(path)) if stage.is_local else stage.open(path) as file:
        reader = pa.ipc.open_file(file)
        rows = pa.Table.from_batches([reader.get_batch(number) for number in range(begin, end)])
    keys = rows[KEY].to_numpy()
    start = int(np.searchsorted(keys, np.uint64(low)))
    stop = len(keys) if high >= 2**64 else int(np.searchsorted(keys, np.uint64(high)))
    return rows.slice(start, stop - start) if stop > start else None


def write_arrow(stage: Folder, name: str, table: pa.Table) -> None:
    """Write a small table as an Arrow file, with the metadata of its schema."""
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    stage.write(name, sink.getvalue())


def read_arrow(content: bytes) -> pa.Table:
    """What `write_arrow` has written."""
    return pa.ipc.open_file(io.BytesIO(content)).read_all()
