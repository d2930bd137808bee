"""Foreign keys: tasks leave hashes of the values that occur, parts of the other dataset theirs; buckets are compared.

A hash of 64 bits is enough here: a value that is missing is taken for one that is there with a chance of the number of
those in 2**64.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends.shards import Part, read_part
from ailab_dataproc.checks import Check
from ailab_dataproc.errors import InvalidDefinition, unknown
from ailab_dataproc.fitting import plain
from ailab_dataproc.manifest import Prepared, open_prepared
from ailab_dataproc.preparation.hashing import hash_rows
from ailab_dataproc.preparation.job import Job
from ailab_dataproc.preparation.runs import KEY, Bucket, read_bucket, write_run, write_runs
from ailab_dataproc.preparation.tasks import Task
from ailab_dataproc.selecting import Request, select
from ailab_dataproc.storage import Folder

REFERENCED = "referenced"
_FIRST = 3  # places that are told of a bucket
_NUMBERS = (("rows", np.int64), ("source", np.int32), ("row", np.int64), ("split", np.int16))


@dataclass(frozen=True, slots=True)
class Referenced:
    """The column that a check refers to."""

    folder: str  # of the stage, for the hashes of both sides
    prepared: Prepared
    column: str

    @classmethod
    def of(cls, check: Check, folder: str, column: pa.Field, data_dir: Folder) -> Referenced:
        """Find the other dataset.

        Raises:
            NotPrepared, UnknownName: there is no such version, or no such column in it.
            InvalidDefinition: the columns are of types that can't be compared.
        """
        prepared = open_prepared(data_dir, check.arguments["dataset"])
        schema, name = plain(prepared.schema), check.arguments["to"]
        if name not in schema.names:
            raise unknown("column", name, schema.names, where=f"check {check.name!r}: {prepared.name}")
        mine, other = plain(pa.schema([column])).field(0), schema.field(name)
        if not _alike(mine.type, other.type):
            raise InvalidDefinition(
                f"check {check.name!r}: column {column.name!r} is {mine.type}, and {name!r} of {prepared.name} is "
                f"{other.type}; wanted types that hold the same values. Cast one of them in its read()."
            )
        return cls(folder, prepared, name)

    def describe(self) -> dict[str, str]:
        """What is kept of it in the results."""
        manifest = self.prepared.manifest
        return {"name": manifest.name, "version": manifest.version, "fingerprint": manifest.fingerprint}

    def items(self) -> list[ReferencedPart]:
        """What is to be read, a part a shard."""
        found = select(self.prepared, Request(columns=[self.column], allow_pii=True)).selection  # hashes only
        return [ReferencedPart(self.folder, number, part, found.schema) for number, part in enumerate(found.parts)]


@dataclass(frozen=True, slots=True)
class ReferencedPart:
    """A part of the column that a check refers to."""

    folder: str
    number: int
    part: Part
    schema: pa.Schema

    @property
    def label(self) -> str:
        """A file name's worth of identity."""
        return f"{self.folder}-{self.number:05d}"

    @property
    def weight(self) -> int:
        """Bytes that are read."""
        return self.part.bytes


class ReferenceWriter:
    """Notes which values occur in a column of a task's rows: their hashes, how often, and where first."""

    def __init__(self, job: Job, task: Task, column: str, folder: str, run: int) -> None:
        """Begin; see `KeyWriter`."""
        self._stage = job.stage
        self._task = task
        self._column = column
        self._folder = folder
        self._limit = run
        self._pending: list[pa.Table] = []
        self._rows = 0
        self._runs: list[dict[str, Any]] = []

    def add(self, batch: pa.RecordBatch, source: int, rows: np.ndarray, split: int) -> None:
        """Note a batch without nulls; see `KeyWriter.add`."""
        if not batch.num_rows:
            return
        encoded = batch.column(self._column).dictionary_encode()
        places = encoded.indices.to_numpy()
        first = np.empty(len(encoded.dictionary), np.int64)
        first[places[::-1]] = rows[::-1]
        counts = np.bincount(places, minlength=len(first))
        self._pending.append(_table(hash_rows([encoded.dictionary]), counts, source, first, split))
        self._rows += len(first)
        if self._rows >= self._limit:
            self._gather()
            if self._rows >= self._limit // 2:
                self._flush()

    def close(self) -> None:
        """Write what is pending, and say so."""
        self._gather()
        self._flush()
        write_runs(self._stage, f"{self._folder}/{self._task.label}.receipt", self._runs)

    def _gather(self) -> None:
        """One row for each value and split."""
        if self._pending:
            found = pa.concat_tables(self._pending).group_by([KEY, "split"], use_threads=False)
            rows = found.aggregate([("rows", "sum"), ("source", "first"), ("row", "first")])
            names = {"rows_sum": "rows", "source_first": "source", "row_first": "row"}
            rows = rows.rename_columns([names.get(one, one) for one in rows.column_names])
            self._pending, self._rows = [rows.select([KEY, *(name for name, _ in _NUMBERS)])], len(rows)

    def _flush(self) -> None:
        for table in self._pending:
            path = f"{self._folder}/{self._task.label}-{len(self._runs):05d}.arrow"
            run = write_run(self._stage, path, table.drop_columns(KEY), table[KEY].to_numpy())
            self._runs.append(run | {"task": self._task.label, "split": self._task.split, "arrow_bytes": 0})
        self._pending, self._rows = [], 0


def write_referenced(job: Job, item: ReferencedPart) -> None:
    """Leave the hashes of the values of a part, as rows that count none."""
    column = read_part(item.part, item.schema).column(0)
    values = (column.cast(column.type.value_type) if t.is_dictionary(column.type) else column).unique().drop_null()
    keys = hash_rows([values])
    table = _table(keys, np.zeros(len(keys), np.int64), -1, np.zeros(len(keys), np.int64), 0)
    run = write_run(job.stage, f"{item.folder}/{item.label}.arrow", table.drop_columns(KEY), keys)
    run |= {"task": item.label, "split": REFERENCED, "arrow_bytes": 0}
    write_runs(job.stage, f"{REFERENCED}/{item.label}.receipt", [run])


def compare_references(job: Job, bucket: Bucket) -> None:
    """Find values of a bucket that the other dataset lacks; what is found becomes a file below ``<folder>/missing``."""
    labels: list[str] = []
    keys, known = [], []
    parts: dict[str, list[np.ndarray]] = {name: [] for name, _ in _NUMBERS}
    tasks: list[np.ndarray] = []
    for label, rows in read_bucket(job, bucket.split, bucket):
        found = rows[KEY].to_numpy()
        if rows["source"][0].as_py() < 0:
            known.append(found)
            continue
        keys.append(found)
        tasks.append(np.full(len(found), len(labels), np.int32))
        labels.append(label)
        for name, part in parts.items():
            part.append(rows[name].to_numpy())
    if not keys:
        return
    missing = ~np.isin(np.concatenate(keys), np.concatenate(known) if known else np.empty(0, np.uint64))
    if not missing.any():
        return
    lacking = {name: np.concatenate(part)[missing] for name, part in parts.items()}
    task = np.concatenate(tasks)[missing]
    order = np.lexsort([lacking["row"], lacking["source"], task])[:_FIRST].tolist()
    told = {
        "count": int(lacking["rows"].sum()),
        "splits": np.bincount(lacking["split"], lacking["rows"]).astype(np.int64).tolist(),
        "rows": [
            {"task": labels[task[i]], "source": int(lacking["source"][i]), "row": int(lacking["row"][i])} for i in order
        ],
    }
    job.stage.write(f"{bucket.split}/missing/{bucket.label}.json", json.dumps(told).encode())


def _table(keys: np.ndarray, counts: np.ndarray, source: int, rows: np.ndarray, split: int) -> pa.Table:
    given: Sequence[np.ndarray] = (counts, np.full(len(keys), source), rows, np.full(len(keys), split))
    numbers = {name: one.astype(type_) for (name, type_), one in zip(_NUMBERS, given, strict=True)}
    return pa.table({KEY: keys, **numbers})


def _alike(left: pa.DataType, right: pa.DataType) -> bool:
    """Whether equal values of two types have equal hashes."""
    texts, blobs = (t.is_string, t.is_large_string), (t.is_binary, t.is_large_binary)
    for kind in ((t.is_integer,), texts, blobs):
        if any(one(left) for one in kind) and any(one(right) for one in kind):
            return True
    return bool(left == right)
