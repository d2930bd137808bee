"""The steps of a preparation: which function runs over which items, what of it is there already, how long it took."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from ailab_dataproc.errors import CheckFailed, ClusterFailed, StorageFailed
from ailab_dataproc.preparation.checking import checks_of, folder_of, read_tallies, receipts_of
from ailab_dataproc.preparation.exchange import SPILLS, make_buckets, merge_bucket, spill_task
from ailab_dataproc.preparation.job import Job, Labelled, forget_failures, guarded, raise_failure
from ailab_dataproc.preparation.judging import FINDINGS, Against, Looked, judge
from ailab_dataproc.preparation.keys import KEYS, compare_bucket, make_key_buckets, raise_duplicates
from ailab_dataproc.preparation.progress import watched
from ailab_dataproc.preparation.provenance import Step, step_done
from ailab_dataproc.preparation.referencing import REFERENCED, compare_references, write_referenced
from ailab_dataproc.preparation.runners import Run
from ailab_dataproc.preparation.runs import Bucket, collect
from ailab_dataproc.preparation.tasks import Task
from ailab_dataproc.preparation.write import RECEIPTS, read_receipts, write_task


class Steps:
    """Runs steps one after the other on one open engine."""

    def __init__(self, job: Job, run: Run, *, progress: bool) -> None:
        self.job = job
        self.done: list[Step] = []
        self.checked: list[dict[str, Any]] = []  # the results of the dataset's checks
        self._run = run
        self._progress = progress

    def run(self, step: Callable[[Job, Any], None], items: Sequence[Labelled]) -> float:
        """Do a step for each item; the first failure is raised. Returns the seconds that it took."""
        started = time.perf_counter()
        self._run(functools.partial(guarded, self.job, step=step), items)
        raise_failure(self.job)
        return time.perf_counter() - started

    def run_missing(
        self, name: str, step: Callable[[Job, Any], None], items: Sequence[Labelled], receipts: Sequence[str]
    ) -> list[list[pa.Table]]:
        """Do a step for each item that hasn't left all of its receipts yet.

        Args:
            name: of the step.
            step: what to do.
            items: for what.
            receipts: patterns of the receipts' names, with the label as ``{}``.

        Returns:
            For each pattern the receipts of all items, in order.

        Raises:
            StorageFailed: a receipt is missing afterwards: the engine has lost an item, or sees another folder.
        """
        names = {item.label: [one.format(item.label) for one in receipts] for item in items}
        every = [name for group in names.values() for name in group]
        found = read_receipts(self.job, every)
        missing = [item for item in items if not found.keys() >= set(names[item.label])]
        seconds = 0.0
        if missing:
            counted = self.job.stage / receipts[0].split("/")[0]
            with watched(counted, len(items), self.job.dataset, shown=self._progress):
                # Beam gives the items to its workers in turns, once and for all.
                seconds = self.run(step, sorted(missing, key=lambda item: -item.weight))
            found = read_receipts(self.job, every)
        lost = [label for label, group in names.items() if not found.keys() >= set(group)]
        if lost:
            raise StorageFailed(
                f"{self.job.stage.url}: the runner ended without {', '.join(lost[:3])}. "
                "Do its workers see this folder? Prepare it again; what is whole is kept."
            )
        tables = [[found[group[number]] for group in names.values()] for number in range(len(receipts))]
        self.done.append(step_done(name, seconds, len(missing), tables[0]))
        return tables


def make_shards(steps: Steps, tasks: Sequence[Task], against: Against) -> list[pa.Table]:
    """Turn tasks into shards, by way of sorted runs where rows are shuffled; what is whole from before is kept.

    Args:
        steps: runs them, and gets the results of the checks.
        tasks: from `make_tasks`.
        against: what the dataset's checks compare with.

    Returns:
        The receipts of all shards, in their order.

    Raises:
        CheckFailed: what is whole is kept.
    """
    job = steps.job
    forget_failures(job)
    job.stage.write("README.txt", b"An unfinished preparation. Preparing the version again goes on from here.\n")
    with _cleared_on_error(job):
        first = f"{SPILLS}/{{}}.receipt" if job.shuffled else f"{RECEIPTS}/{{}}.arrow"
        wanted = [first, *([f"{KEYS}/{{}}.receipt"] if job.key else []), *receipts_of(checks_of(job))]
        step = spill_task if job.shuffled else write_task
        found = steps.run_missing("read" if job.shuffled else "write", step, tasks, wanted)
        if job.key:
            _compare_keys(steps, tasks, found[1])
        if job.checks:
            steps.checked = _check(steps, tasks, found[2 if job.key else 1 :], against)
        if not job.shuffled:
            return found[0]
        runs = collect(job.stage, SPILLS, found[0])
        buckets = make_buckets(job, list(job.splits), runs)
        return steps.run_missing("write", merge_bucket, buckets, [f"{RECEIPTS}/{{}}.arrow"])[0]


def _compare_keys(steps: Steps, tasks: Sequence[Task], receipts: Sequence[pa.Table]) -> None:
    (steps.job.stage / KEYS / "duplicates").remove()
    runs = collect(steps.job.stage, KEYS, receipts)
    buckets = make_key_buckets(sum(runs["rows"].to_pylist()))
    seconds = steps.run(compare_bucket, buckets)
    steps.done.append(step_done("compare keys", seconds, len(buckets), receipts))
    raise_duplicates(steps.job, tasks)


def _check(
    steps: Steps, tasks: Sequence[Task], receipts: Sequence[Sequence[pa.Table]], against: Against
) -> list[dict[str, Any]]:
    """Compare what must be compared over all tasks, and judge."""
    job, checks = steps.job, checks_of(steps.job)
    parts = [item for one in against.referenced.values() for item in one.items()]
    read = (
        steps.run_missing("read referenced", write_referenced, parts, [f"{REFERENCED}/{{}}.receipt"])[0]
        if parts
        else []
    )
    hashed = {folder: check for number, check in enumerate(checks) if (folder := folder_of(check, number))}
    buckets = []
    for (folder, check), own in zip(hashed.items(), receipts[1:], strict=True):
        (job.stage / folder / FINDINGS[check.kind]).remove()
        other = [receipt for part, receipt in zip(parts, read, strict=True) if part.folder == folder]
        runs = collect(job.stage, folder, [*own, *other])
        buckets += make_key_buckets(sum(runs["rows"].to_pylist()), folder)
    if buckets:
        seconds = steps.run(_compare, buckets)
        steps.done.append(step_done("compare for checks", seconds, len(buckets), receipts[1]))
    tallies = [read_tallies(receipt) for receipt in receipts[0]]
    return judge(Looked(job, tasks, tallies, against))


def _compare(job: Job, bucket: Bucket) -> None:
    step = compare_bucket if bucket.split.startswith("unique") else compare_references
    step(job, bucket)


@contextmanager
def _cleared_on_error(job: Job) -> Iterator[None]:
    """Leave nothing behind where the data or the code must change; keep whole shards for a repetition elsewhere."""
    try:
        yield
    except (CheckFailed, ClusterFailed, StorageFailed):
        raise
    except Exception:
        job.stage.remove()
        raise
