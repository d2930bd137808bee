"""What a task finds out for a dataset's checks: counts and places by split, and hashes where all rows must be known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.checks import Check
from ailab_dataproc.columns import is_pii
from ailab_dataproc.errors import InvalidData, SourceFailed
from ailab_dataproc.filters import RowFilter
from ailab_dataproc.fitting import plain, row_filter
from ailab_dataproc.preparation.conform import short
from ailab_dataproc.preparation.job import Job
from ailab_dataproc.preparation.keys import RUN, KeyWriter
from ailab_dataproc.preparation.reading import raised_at, unpickled
from ailab_dataproc.preparation.referencing import ReferenceWriter
from ailab_dataproc.preparation.runs import write_arrow
from ailab_dataproc.preparation.tasks import Task

CHECKED = "checks"
PLACES = 3  # of rows that fail a check, which are told
_SAMPLE = 4_096  # rows that tell whether few values differ
_FOUND = b"found"
_LEAST = 1_000_000  # rows of a run of hashes, where many checks share the memory
_RECEIPT = pa.schema([("path", pa.string()), ("bytes", pa.int64()), ("rows", pa.int64())])


@dataclass(slots=True)
class Tally:
    """What is known of one check in one split."""

    rows: int = 0  # that were looked at
    failed: int = 0
    newest: int | None = None  # of `fresh`, in the unit of the column's type
    places: list[dict[str, Any]] = field(default_factory=list)  # of the first that failed: source, row, values


def checks_of(job: Job) -> tuple[Check, ...]:
    """The dataset's checks."""
    found: tuple[Check, ...] = unpickled(job.module, job.checks) if job.checks else ()
    return found


def folder_of(check: Check, number: int) -> str | None:
    """The folder of the stage for hashes of a check that must know all rows; None for others."""
    return f"{check.kind}-{number}" if check.kind in ("unique", "references") else None


def receipts_of(checks: Sequence[Check]) -> list[str]:
    """Patterns of the names of the receipts that a `CheckWriter` leaves; the first one holds the tallies."""
    folders = [folder_of(check, number) for number, check in enumerate(checks)]
    return [f"{one}/{{}}.receipt" for one in (CHECKED, *folders) if one] if checks else []


def read_tallies(receipt: pa.Table) -> list[dict[str, Tally]]:
    """For each check by split what a task found."""
    found = json.loads(receipt.schema.metadata[_FOUND])
    return [{split: Tally(**one) for split, one in tallies.items()} for tallies in found]


class CheckWriter:
    """Looks at a task's rows, where the dataset has checks."""

    def __init__(self, job: Job, task: Task) -> None:
        self._job = job
        self._task = task
        checks = checks_of(job)
        hashed = sum(folder_of(check, 0) is not None for check in checks)
        run = max(RUN // (hashed or 1), _LEAST)
        self._lookers = [self._looker(check, number, run) for number, check in enumerate(checks)]

    def add(self, split: str, batch: pa.RecordBatch, source: int, rows: np.ndarray) -> None:
        """Look at rows of one split.

        Args:
            split: its name.
            batch: of the declared columns, dictionaries by their values.
            source: its number within the task.
            rows: their numbers within the source.
        """
        for one in self._lookers:
            if one.check.split in (None, split) and batch.num_rows:
                one.look(_Seen(split, batch, source, rows), one.tallies.setdefault(split, Tally()))

    def close(self) -> None:
        """Write what was found, and last of all say so."""
        if self._lookers:
            for one in self._lookers:
                one.close()
            told = [{split: asdict(tally) for split, tally in one.tallies.items()} for one in self._lookers]
            receipt = _RECEIPT.with_metadata({_FOUND: json.dumps(told).encode()}).empty_table()
            write_arrow(self._job.stage, f"{CHECKED}/{self._task.label}.receipt", receipt)

    def _looker(self, check: Check, number: int, run: int) -> _Looker:
        job, task = self._job, self._task
        folder = folder_of(check, number)
        if check.kind == "unique":
            keys = KeyWriter(job, task, check.columns, str(folder), run)
            return _Looker(check, _hashed(check, job.splits, keys.add), keys.close)
        if check.kind == "references":
            values = ReferenceWriter(job, task, check.columns[0], str(folder), run)
            return _Looker(check, _hashed(check, job.splits, values.add), values.close)
        if check.kind == "fresh":
            return _Looker(check, _newest(check))
        if check.kind == "rows_between":
            return _Looker(check, _count)
        return _Looker(check, _judged(check, job))


@dataclass(frozen=True, slots=True)
class _Seen:
    """Rows of one split, as `CheckWriter.add` gets them."""

    split: str
    batch: pa.RecordBatch
    source: int
    rows: np.ndarray


@dataclass(slots=True)
class _Looker:
    """A check at work."""

    check: Check
    look: Callable[[_Seen, Tally], None]
    close: Callable[[], None] = lambda: None
    tallies: dict[str, Tally] = field(default_factory=dict)


def _count(seen: _Seen, tally: Tally) -> None:
    tally.rows += seen.batch.num_rows


def _newest(check: Check) -> Callable[[_Seen, Tally], None]:
    def look(seen: _Seen, tally: Tally) -> None:
        column = seen.batch.column(check.columns[0])
        tally.rows += len(column) - column.null_count
        newest = pc.max(column.view(pa.int32() if t.is_date32(column.type) else pa.int64())).as_py()
        tally.newest = max((one for one in (tally.newest, newest) if one is not None), default=None)

    return look


def _hashed(
    check: Check, splits: Sequence[str], add: Callable[[pa.RecordBatch, int, np.ndarray, int], None]
) -> Callable[[_Seen, Tally], None]:
    """Hand on rows that have a value in each of the columns."""

    def look(seen: _Seen, tally: Tally) -> None:
        batch, rows = seen.batch.select(list(check.columns)), seen.rows
        if any(column.null_count for column in batch.columns):
            valid = np.logical_and.reduce([one.is_valid().to_numpy(zero_copy_only=False) for one in batch.columns])
            batch, rows = batch.filter(pa.array(valid)), rows[valid]
        tally.rows += len(rows)
        add(batch, seen.source, rows, splits.index(seen.split))

    return look


def _judged(check: Check, job: Job) -> Callable[[_Seen, Tally], None]:
    """Ask each row by itself."""
    test = row_filter(check, plain(job.schema))
    personal = any(map(is_pii, job.schema))

    def look(seen: _Seen, tally: Tally) -> None:
        try:
            if check.kind == "matches":
                answers = _by_value(test, seen.batch.column(check.columns[0]))
            elif test is not None:
                answers = test.mask(pa.Table.from_batches([seen.batch]))
            else:
                answers = _answers(check.test(seen.batch.select(list(check.columns))))
        except Exception as error:  # of the author's function or Expression
            told = "message not shown: PII" if personal else str(error).split("\n", 1)[0]
            raise SourceFailed(
                f"{job.dataset}: check {check.name!r} raised {type(error).__name__}: {told} ({raised_at(error)}). "
                "Mend it; --verbose shows the traceback."
            ) from (None if personal else error)
        if not t.is_boolean(answers.type) or len(answers) != seen.batch.num_rows:
            raise InvalidData(
                f"{job.dataset}: check {check.name!r} gave {len(answers):,} values of {answers.type} for "
                f"{seen.batch.num_rows:,} rows, wanted true or false for each. Mend its function."
            )
        _note(tally, answers, seen, [job.schema.field(name) for name in check.columns])

    return look


def _by_value(test: RowFilter | None, column: pa.Array) -> pa.ChunkedArray:
    """Ask each distinct text once, where few differ: a regular expression takes 60 ns, to find equal texts 15."""
    assert test is not None  # noqa: S101 - for the type checker
    name = test.columns.names[0]
    if len(pc.unique(column.slice(0, _SAMPLE))) * 2 > min(len(column), _SAMPLE):
        return test.mask(pa.table({name: column}))
    encoded = column.dictionary_encode()
    return test.mask(pa.table({name: encoded.dictionary})).take(encoded.indices)


def _answers(found: Any) -> pa.Array | pa.ChunkedArray:
    return found if isinstance(found, pa.Array | pa.ChunkedArray) else pa.array(found)


def _note(tally: Tally, answers: pa.Array | pa.ChunkedArray, seen: _Seen, fields: Sequence[pa.Field]) -> None:
    judged = len(answers) - answers.null_count
    failed = judged - (pc.sum(answers).as_py() or 0)
    tally.rows += judged
    tally.failed += failed
    if failed and len(tally.places) < PLACES:
        wrong = np.asarray(pc.fill_null(pc.invert(answers), False))
        for place in np.flatnonzero(wrong)[: PLACES - len(tally.places)].tolist():
            values = shown_values(seen.batch.slice(place, 1), fields)
            tally.places.append({"source": seen.source, "row": int(seen.rows[place]), "values": values})


def shown_values(row: pa.RecordBatch, fields: Sequence[pa.Field]) -> Mapping[str, str]:
    """A row's values as text; those of personal data are left out."""
    return {one.name: _shown(row.column(one.name)[0]) for one in fields if not is_pii(one)}


def _shown(value: pa.Scalar) -> str:
    if not value.is_valid:
        return "null"
    if t.is_temporal(value.type):  # Python can't hold each of them
        return str(value.cast(pa.string()))
    found = value.as_py()
    return str(found) if isinstance(found, Decimal) else short(found)
