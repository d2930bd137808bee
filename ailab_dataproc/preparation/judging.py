"""From what the tasks found to the results of a version's checks; one that fails stops the preparation."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.checked import FAILED, judged, looked_at, spoken
from ailab_dataproc.checks import Check
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.errors import CheckFailed
from ailab_dataproc.fitting import plain
from ailab_dataproc.literals import typed
from ailab_dataproc.preparation.checking import PLACES, Tally, checks_of, folder_of, shown_values
from ailab_dataproc.preparation.fingerprint import code_hash
from ailab_dataproc.preparation.job import Job
from ailab_dataproc.preparation.moments import shown
from ailab_dataproc.preparation.reading import read_row
from ailab_dataproc.preparation.referencing import Referenced
from ailab_dataproc.preparation.tasks import Task
from ailab_dataproc.storage import Folder

FINDINGS = {"unique": "duplicates", "references": "missing"}  # the folder of what buckets found, by kind of check
_OURS = ("task", "number")  # of a place, that are not told


@dataclass(frozen=True, slots=True)
class Against:
    """What a dataset's checks compare with, found before a row is read."""

    referenced: Mapping[str, Referenced]  # by the folder of the stage
    codes: Mapping[str, str]  # by check the hash of its function

    @classmethod
    def of(cls, dataset: Dataset, data_dir: Folder) -> Against:
        """Find it; see `Referenced.of`."""
        referenced = {}
        for number, check in enumerate(dataset.checks):
            folder = folder_of(check, number)
            if check.kind == "references" and folder:
                column = dataset.schema.field(check.columns[0])
                referenced[folder] = Referenced.of(check, folder, column, data_dir)
        return cls(referenced, codes_of(dataset))

    def part(self, checks: Sequence[Check]) -> str:
        """What decides which rows fail, as text; what was found of them holds for a run where it is the same."""
        told = [looked_at({**one.describe(), "code": self.codes.get(one.name, "")}) for one in checks]
        return json.dumps([told, {folder: one.describe() for folder, one in self.referenced.items()}])


@dataclass(frozen=True, slots=True)
class Looked:
    """All that is known of the rows when checks are judged."""

    job: Job
    tasks: Sequence[Task]
    tallies: Sequence[Sequence[Mapping[str, Tally]]]  # of each task, by check and split
    against: Against


def codes_of(dataset: Dataset) -> dict[str, str]:
    """By check the hash of its function's code."""
    functions = {one.name: one.test for one in dataset.checks if callable(one.test)}
    return {name: code_hash(one, f"{dataset.name}: check {name!r}") for name, one in functions.items()}


def judge(looked: Looked) -> list[dict[str, Any]]:
    """The results of all checks.

    Raises:
        CheckFailed: a check of level "fail" does.
    """
    found = [judged(check, _result(looked, check, number)) for number, check in enumerate(checks_of(looked.job))]
    failed = [one for one in found if one["result"] == FAILED]
    if failed:
        _add_values(looked, failed[0])
        others = ", ".join(repr(one["name"]) for one in failed[1:])
        more = f" (so {'does' if len(failed) == 2 else 'do'} {others})" if others else ""
        raise CheckFailed(
            f"{looked.job.dataset}: check {failed[0]['name']!r} fails{more}: {spoken(failed[0])}. Mend the sources, "
            "drop such rows in read(), or change the check. What is read is kept: with another tolerate= or level= "
            "preparing again goes on from here."
        )
    return [{**one, "first": [_told(place) for place in one["first"]]} for one in found]


def _result(looked: Looked, check: Check, number: int) -> dict[str, Any]:
    splits, places = _merged(looked, number)
    folder = folder_of(check, number)
    if folder:
        places = _add_findings(looked, splits, f"{folder}/{FINDINGS[check.kind]}")
    rows, failed = (sum(getattr(one, key) for one in splits.values()) for key in ("rows", "failed"))
    result: dict[str, Any] = {
        **check.describe(),
        "code": looked.against.codes.get(check.name, ""),
        "rows": rows,
        "failed": failed,
        "share": failed / rows if rows else 0.0,
        "splits": {split: {"rows": one.rows, "failed": one.failed} for split, one in splits.items()},
        "first": places[:PLACES],
    }
    if folder in looked.against.referenced:
        result["referenced"] = looked.against.referenced[str(folder)].describe()
    if check.kind == "rows_between":
        result |= _enough(check, rows)
    if check.kind == "fresh":
        newest = max((one.newest for one in splits.values() if one.newest is not None), default=None)
        result |= _fresh(check, plain(looked.job.schema).field(check.columns[0]), newest)
    return result


def _merged(looked: Looked, number: int) -> tuple[dict[str, Tally], list[dict[str, Any]]]:
    """The sums by split, and the first places, in the order of the tasks."""
    check = checks_of(looked.job)[number]
    splits = {split: Tally() for split in looked.job.splits if check.split in (None, split)}
    places: list[dict[str, Any]] = []
    for task, tallies in zip(looked.tasks, looked.tallies, strict=True):
        for split, one in tallies[number].items():
            whole = splits[split]
            whole.rows += one.rows
            whole.failed += one.failed
            whole.newest = max((x for x in (whole.newest, one.newest) if x is not None), default=None)
        if len(places) < PLACES:
            found = [place for one in tallies[number].values() for place in one.places]
            found.sort(key=lambda place: (place["source"], place["row"]))
            places += [_placed(place, task) for place in found]
    return splits, places


def _add_findings(looked: Looked, splits: Mapping[str, Tally], folder: str) -> list[dict[str, Any]]:
    """Add what buckets found; returns the first places."""
    place = looked.job.stage / folder
    numbers = {task.label: number for number, task in enumerate(looked.tasks)}
    rows: list[dict[str, Any]] = []  # that fail
    for content in place.read_many(place.names()).values():
        found = json.loads(content)
        for split, count in zip(looked.job.splits, found["splits"], strict=False):
            if count:
                splits[split].failed += count
        if folder.endswith(FINDINGS["unique"]):
            first, second = found["rows"]
            rows.append({**second, "repeats": first})
        else:
            rows += found["rows"]
    rows.sort(key=lambda one: (numbers[one["task"]], one["source"], one["row"]))
    places = []
    for one in rows[:PLACES]:
        places.append(_placed({**one, "values": {}}, looked.tasks[numbers[one["task"]]]))
        if "repeats" in one:
            other = _placed({**one["repeats"], "values": {}}, looked.tasks[numbers[one["repeats"]["task"]]])
            places[-1]["repeats"] = {key: other[key] for key in ("source", "row")}
    return places


def _placed(place: Mapping[str, Any], task: Task) -> dict[str, Any]:
    source = task.sources[place["source"]].name
    return {"task": task.label, "number": place["source"], "source": source, "row": place["row"] + 1} | {
        "values": dict(place["values"])
    }


def _told(place: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in place.items() if key not in _OURS}


def _add_values(looked: Looked, result: dict[str, Any]) -> None:
    """The values of the first row that fails, read again, where hashes only were kept of it."""
    if result["kind"] in FINDINGS and result["first"]:
        first = result["first"][0]
        task = next(one for one in looked.tasks if one.label == first["task"])
        row = read_row(looked.job, task.sources[first["number"]], first["row"] - 1)
        first["values"] = dict(shown_values(row, [looked.job.schema.field(name) for name in result["columns"]]))


def _enough(check: Check, rows: int) -> dict[str, Any]:
    low, high = check.arguments["min"], check.arguments["max"]
    right = (low is None or rows >= low) and (high is None or rows <= high)
    return {"failed": 0 if right else 1, "first": [], "found": f"there are {rows:,} rows"}


def _fresh(check: Check, field: pa.Field, newest: int | None) -> dict[str, Any]:
    """Whether the newest time is new enough; times without a zone count as UTC."""
    fine = pa.timestamp("us", field.type.tz if t.is_timestamp(field.type) else None)
    as_of = check.arguments["as_of"]
    moment = pa.scalar(dt.datetime.now(dt.UTC).replace(tzinfo=None if fine.tz is None else dt.UTC), fine)
    if as_of is not None:
        moment = typed(as_of, field, check.name).cast(fine)
    told = f"against {shown(moment.value, fine)}"
    if newest is None:
        return {"failed": 1, "found": f"no row has a time, {told}"}
    latest = pa.scalar(newest, pa.int32() if t.is_date32(field.type) else pa.int64()).cast(field.type)
    oldest = pc.subtract(moment, pa.scalar(check.arguments["within"], pa.duration("us")))
    right = pc.greater_equal(latest.cast(fine, safe=False), oldest).as_py()
    return {"failed": 0 if right else 1, "found": f"the newest is {shown(newest, field.type)}, {told}"}
