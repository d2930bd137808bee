"""Rows with equal keys: each task leaves two hashes of its rows' keys, sorted; buckets of them are compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ailab_dataproc.columns import is_pii
from ailab_dataproc.errors import InvalidData
from ailab_dataproc.preparation.hashing import hash_rows
from ailab_dataproc.preparation.job import Job
from ailab_dataproc.preparation.reading import read_row
from ailab_dataproc.preparation.runs import KEY, Bucket, read_bucket, write_run, write_runs
from ailab_dataproc.preparation.tasks import Task

KEYS = "keys"
RUN = 4_000_000  # rows of a run, 30 bytes each
_BUCKET = 8_000_000  # rows compared at a time, 52 bytes each


class KeyWriter:
    """Notes the keys of a task's rows, where there is a key."""

    def __init__(self, job: Job, task: Task, columns: Sequence[str], folder: str = KEYS, run: int = RUN) -> None:
        """Begin.

        Args:
            job: says where.
            task: whose rows they are.
            columns: the key; none where nothing is to be noted.
            folder: of the stage, for runs and the receipt.
            run: rows that are held at most.
        """
        self._stage = job.stage
        self._task = task
        self._columns = list(columns)
        self._folder = folder
        self._limit = run
        self._pending: list[tuple[np.ndarray, pa.Table]] = []
        self._rows = 0
        self._runs: list[dict[str, Any]] = []

    def add(self, batch: pa.RecordBatch, source: int, rows: np.ndarray, split: int = 0) -> None:
        """Note a batch.

        Args:
            batch: with the key's columns.
            source: its number within the task.
            rows: their numbers within the source.
            split: its number within the dataset.
        """
        if not self._columns:
            return
        columns = [batch.column(name) for name in self._columns]
        # Two independent hashes: 128 bits don't meet by chance, 64 would among 10**9 rows.
        noted = {
            "other": hash_rows(columns, seed=1),
            "source": np.full(len(rows), source, np.int32),
            "row": rows,
            "split": np.full(len(rows), split, np.int16),
        }
        self._pending.append((hash_rows(columns), pa.table(noted)))
        self._rows += len(rows)
        if self._rows >= self._limit:
            self._flush()

    def close(self) -> None:
        """Write what is pending, and say so."""
        if self._columns:
            self._flush()
            write_runs(self._stage, f"{self._folder}/{self._task.label}.receipt", self._runs)

    def _flush(self) -> None:
        if self._pending:
            path = f"{self._folder}/{self._task.label}-{len(self._runs):05d}.arrow"
            table = pa.concat_tables([one for _, one in self._pending])
            run = write_run(self._stage, path, table, np.concatenate([keys for keys, _ in self._pending]))
            self._runs.append(run | {"task": self._task.label, "split": self._task.split, "arrow_bytes": 0})
        self._pending, self._rows = [], 0


def make_key_buckets(rows: int, folder: str = KEYS) -> list[Bucket]:
    """As many buckets of so many rows as fit into a worker's memory one by one."""
    count = max(-(-rows // _BUCKET), 1)
    return [Bucket(folder, number, count) for number in range(count)]


def compare_bucket(job: Job, bucket: Bucket) -> None:
    """Find rows of a bucket that have the same key; what is found becomes a file below ``<folder>/duplicates``."""
    labels, tables = [], []
    for label, rows in read_bucket(job, bucket.split, bucket):
        labels.append(label)
        tables.append(rows.append_column("task", pa.array(np.full(len(rows), len(labels) - 1, np.int32))))
    if tables:
        table = pa.concat_tables(tables)
        first, second = (table[name].to_numpy() for name in (KEY, "other"))
        order = np.lexsort((second, first))  # stable: rows with one key stay in the order of the tasks
        same = (first[order][1:] == first[order][:-1]) & (second[order][1:] == second[order][:-1])
        if same.any():
            left, right = order[:-1][same], order[1:][same]
            places = [table[name].to_numpy()[left] for name in ("row", "source", "task")]
            first_pair = np.lexsort(places)[0]
            pair = pa.array([left[first_pair], right[first_pair]])
            told = table.select(["task", "source", "row"]).take(pair).to_pylist()
            found = {
                "count": int(same.sum()),
                "rows": [one | {"task": labels[one["task"]]} for one in told],
                "splits": np.bincount(table["split"].to_numpy()[right]).tolist(),
            }
            job.stage.write(f"{bucket.split}/duplicates/{bucket.label}.json", json.dumps(found).encode())


def raise_duplicates(job: Job, tasks: Sequence[Task]) -> None:
    """Raise `InvalidData` with two rows that share a key; nothing where all keys differ."""
    folder = job.stage / KEYS / "duplicates"
    found = [json.loads(folder.read(name)) for name in folder.names()]
    if not found:
        return
    numbers = {task.label: number for number, task in enumerate(tasks)}
    ordered = sorted((one["rows"] for one in found), key=lambda pair: [_place(row, numbers) for row in pair])
    left, right = ordered[0]
    sources = [tasks[numbers[row["task"]]].sources[row["source"]] for row in (left, right)]
    values = read_row(job, sources[0], left["row"]).select(list(job.key))
    told = ", ".join(
        f"{one.name}={'<not shown: PII>' if is_pii(job.schema.field(one.name)) else repr(values[one.name][0].as_py())}"
        for one in values.schema
    )
    count = sum(one["count"] for one in found)
    raise InvalidData(
        f"{job.dataset}: the key {told} is in row {left['row'] + 1} of {sources[0].name} and in row {right['row'] + 1} "
        f"of {sources[1].name}; {count:,} row{' repeats' if count == 1 else 's repeat'} a key. "
        "Mend the sources, or drop rows in read()."
    )


def _place(row: dict[str, Any], numbers: dict[str, int]) -> tuple[int, int, int]:
    return numbers[row["task"]], row["source"], row["row"]
