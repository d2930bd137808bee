"""The global shuffle, in two steps over files: tasks spill runs sorted by a random key, buckets become shards.

A row's key is a hash of the seed and of its place in the sources, so the order is the same on any runner. A worker
holds half a shard in the first step, and one bucket, which is one shard, in the second.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from ailab_dataproc.preparation.checking import CheckWriter
from ailab_dataproc.preparation.hashing import mix
from ailab_dataproc.preparation.job import Job
from ailab_dataproc.preparation.keys import KeyWriter
from ailab_dataproc.preparation.parquet import stored
from ailab_dataproc.preparation.reading import read_rows
from ailab_dataproc.preparation.runs import KEY, Bucket, read_bucket, write_run, write_runs
from ailab_dataproc.preparation.shards import ShardWriter
from ailab_dataproc.preparation.statistics import arrow_bytes
from ailab_dataproc.preparation.tasks import Task
from ailab_dataproc.preparation.write import RECEIPTS, shared_out, write_receipt

SPILLS = "spills"


def spill_task(job: Job, task: Task) -> None:
    """First step: read a task's sources and leave sorted runs for each split."""
    keys, checks = KeyWriter(job, task, job.key), CheckWriter(job, task)
    spilling: dict[str, _Spill] = {}
    runs = []
    row = 0
    for rows in read_rows(job, task):
        keys.add(rows.batch, rows.source, rows.numbers)
        for split, batch, numbers in shared_out(job, task, rows):
            checks.add(split, batch, rows.source, numbers)
            spill = spilling.setdefault(split, _Spill(job, task, split))
            runs += spill.add(batch, row)
        row += rows.batch.num_rows
    for spill in spilling.values():
        runs += spill.flush()
    keys.close()
    checks.close()
    write_runs(job.stage, f"{SPILLS}/{task.label}.receipt", runs)


def merge_bucket(job: Job, bucket: Bucket) -> None:
    """Second step: gather a bucket's rows from all runs and write them as one shard."""
    rows = _gathered(job, bucket)
    order = pa.array(np.argsort(rows[KEY].to_numpy(), kind="stable"))
    rows = rows.drop_columns(KEY)
    with ShardWriter(job, bucket.split, bucket.label, shard_bytes=2**62) as writer:
        for start in range(0, len(order), job.layout.chunk_rows):
            for batch in rows.take(order.slice(start, job.layout.chunk_rows)).combine_chunks().to_batches():
                writer.write(batch)
        entries = writer.close(at_least_one=True)
    write_receipt(job, f"{RECEIPTS}/{bucket.label}.arrow", entries, [writer.profile()])


def _gathered(job: Job, bucket: Bucket) -> pa.Table:
    """A bucket's rows in one piece; the mapped files are let go."""
    schema = stored(job.schema).append(pa.field(KEY, pa.uint64()))
    found = [rows for _, rows in read_bucket(job, SPILLS, bucket, bucket.split)]
    return (pa.concat_tables(found) if found else schema.empty_table()).combine_chunks()


def make_buckets(job: Job, splits: list[str], runs: pa.Table) -> list[Bucket]:
    """As many buckets for each split as it has shards' worth of Arrow bytes."""
    sizes = dict.fromkeys(splits, 0)
    for split, size in zip(runs["split"].to_pylist(), runs["arrow_bytes"].to_pylist(), strict=True):
        sizes[split] += size
    counts = {split: max(-(-size // job.layout.shard_bytes), 1) for split, size in sizes.items()}
    return [Bucket(split, number, count) for split, count in counts.items() for number in range(count)]


class _Spill:
    """Rows of one split of one task, until there are enough for a run."""

    def __init__(self, job: Job, task: Task, split: str) -> None:
        self._job = job
        self._task = task
        self._split = split
        self._batches: list[pa.RecordBatch] = []
        self._keys: list[np.ndarray] = []
        self._bytes = 0
        self._runs = 0
        text = f"{job.seed}/{split}/{task.label}".encode()
        self._base = np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))

    def add(self, batch: pa.RecordBatch, row: int) -> list[dict[str, object]]:
        """Take rows; `row` of the task came before them."""
        self._batches.append(batch)
        self._keys.append(mix(self._base + np.arange(row, row + batch.num_rows, dtype=np.uint64)))
        self._bytes += sum(map(arrow_bytes, batch.columns))
        return self.flush() if self._bytes >= self._job.layout.shard_bytes // 2 else []

    def flush(self) -> list[dict[str, object]]:
        """Write what there is as a run."""
        if not self._batches:
            return []
        table = pa.Table.from_batches(self._batches)
        path = f"{SPILLS}/{self._task.label}-{self._split}-{self._runs:05d}.arrow"
        run = write_run(self._job.stage, path, table, np.concatenate(self._keys))
        run |= {"task": self._task.label, "split": self._split, "arrow_bytes": self._bytes}
        self._batches, self._keys, self._bytes = [], [], 0
        self._runs += 1
        return [run]
