"""One task in the order of its sources: read them, write shards, and leave a receipt last."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from ailab_dataproc.preparation.assign import assign
from ailab_dataproc.preparation.checking import CheckWriter
from ailab_dataproc.preparation.job import Job
from ailab_dataproc.preparation.keys import KeyWriter
from ailab_dataproc.preparation.reading import Rows, read_rows
from ailab_dataproc.preparation.runs import read_arrow, write_arrow
from ailab_dataproc.preparation.shards import ShardWriter, index_schema
from ailab_dataproc.preparation.tasks import Task

RECEIPTS = "receipts"


def write_task(job: Job, task: Task) -> None:
    """Write the shards of a task, and what finding duplicate keys needs of it."""
    splits = job.rule.names if job.rule else (task.split,)
    keys, checks = KeyWriter(job, task, job.key), CheckWriter(job, task)
    with contextlib.ExitStack() as stack:
        writers = {
            split: stack.enter_context(ShardWriter(job, split, f"{task.label}-{split}" if job.rule else task.label))
            for split in splits
        }
        for rows in read_rows(job, task):
            keys.add(rows.batch, rows.source, rows.numbers)
            for split, batch, numbers in shared_out(job, task, rows):
                checks.add(split, batch, rows.source, numbers)
                writers[split].write(batch)
        entries = []
        for writer in writers.values():  # a split has a shard, be it an empty one
            entries += writer.close(at_least_one=task.number == 0 or not job.rule)
    keys.close()
    checks.close()
    write_receipt(job, f"{RECEIPTS}/{task.label}.arrow", entries, [one.profile() for one in writers.values()])


def shared_out(job: Job, task: Task, rows: Rows) -> Iterator[tuple[str, pa.RecordBatch, np.ndarray]]:
    """A batch by splits, with the rows' numbers in the source: as a whole, or as the dataset's rule says."""
    if job.rule is None:
        yield task.split, rows.batch, rows.numbers
        return
    for split, numbers in assign(rows.batch, job.rule, task.sources[rows.source], rows.first):
        whole = len(numbers) == rows.batch.num_rows
        batch = rows.batch if whole else rows.batch.take(pa.array(numbers.astype(np.int64)))
        yield split, batch, rows.numbers if whole else rows.numbers[numbers]


def write_receipt(job: Job, name: str, entries: list[dict[str, Any]], profiles: Iterable[tuple[str, bytes]]) -> None:
    """Say, last of all, which shards an item has become; what statistics need of each split travels as metadata."""
    schema = index_schema(job.schema).with_metadata(dict(profiles))
    write_arrow(job.stage, name, pa.Table.from_pylist(entries, schema=schema))


def read_receipts(job: Job, names: Iterable[str]) -> dict[str, pa.Table]:
    """By name, the receipts whose files (``path`` and ``bytes``) are all there. One listing for any number."""
    sizes = job.stage.sizes()
    found = {}
    for name, content in job.stage.read_many(set(names) & sizes.keys()).items():
        receipt = read_arrow(content)
        wanted = zip(receipt["path"].to_pylist(), receipt["bytes"].to_pylist(), strict=True)
        if all(sizes.get(path) == size for path, size in wanted):
            found[name] = receipt
    return found
