"""Which engine maps tasks over workers. Beam sees tasks, never rows; the runner is always named."""

from __future__ import annotations

import functools
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from ailab_dataproc.errors import InvalidRequest, StorageFailed, require, unknown
from ailab_dataproc.preparation.tasks import Task
from ailab_dataproc.preparation.write import Job, run_task

# Beam's name for the way its FnApiRunner works.
RUNNERS = {"inline": "in_memory", "threads": "multi_threading", "processes": "multi_processing"}


def check_runner(runner: str, workers: int | None) -> int:
    """The number of workers that a runner will use.

    Raises:
        UnknownName: there is no such runner.
        InvalidRequest: the number of workers makes no sense for it.
    """
    if runner not in RUNNERS:
        raise unknown("runner", runner, RUNNERS)
    if workers is not None and workers < 1:
        raise InvalidRequest(f"workers={workers}: wanted at least 1. Leave it out to use every core.")
    if runner == "inline":
        if workers not in (None, 1):
            raise InvalidRequest(f"runner='inline' works in one thread, but workers={workers}. Use runner='threads'.")
        return 1
    return workers or len(os.sched_getaffinity(0))


def run(job: Job, tasks: Sequence[Task], runner: str, workers: int) -> None:
    """Run all tasks on Beam's FnApiRunner and wait for them."""
    require("apache_beam", "beam")
    with _quiet():
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    # Named outright: Beam's default runner first tries to download a Go binary.
    options = PipelineOptions([f"--direct_running_mode={RUNNERS[runner]}", f"--direct_num_workers={workers}"])
    engine = beam.Pipeline(runner=FnApiRunner(), options=options)
    with _told(), _quiet(), _kept_memory(), _workers_log(job, runner), engine as pipeline:
        _ = (
            pipeline
            | "Tasks" >> beam.Create([(task.label, task) for task in tasks], reshuffle=False)
            # One key a task: spreads them as Reshuffle does, at half the start-up (FnApiRunner, 2 cores: 0.1 s).
            | "Spread" >> beam.GroupByKey()
            | "Write" >> beam.Map(functools.partial(_run_group, job))
        )


def _run_group(job: Job, group: tuple[str, Iterable[Task]]) -> str:
    for task in group[1]:
        run_task(job, task)
    return group[0]


@contextmanager
def _told() -> Iterator[None]:
    """Beam adds to what a worker raised, or makes a text of it: take out that a place could not be written.

    Other errors come by file, see `run_task`; this one is that files can't be written.
    """
    try:
        yield
    except (StorageFailed, RuntimeError) as error:
        text = f"{type(error).__name__}: {error}"
        sentence = re.search(r"StorageFailed: (.+?)(?: \[while running .*)?$", text, re.MULTILINE)
        if sentence is None:
            raise
        raise StorageFailed(sentence[1]) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Beam warns of Google libraries that nobody asked for, and of its own workers; what it raises it logs, too."""
    beam = logging.getLogger("apache_beam")
    level = beam.level
    beam.setLevel(logging.CRITICAL)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        beam.setLevel(level)


@contextmanager
def _kept_memory() -> Iterator[None]:
    """Let Arrow keep freed memory: its default pool returns it at once, and two threads then wait for fresh pages.

    Two threads took 0.75 times as long with jemalloc (benchmarks/prepare.py, medians of 4, 2 cores).
    """
    before = pa.default_memory_pool()
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


@contextmanager
def _workers_log(job: Job, runner: str) -> Iterator[None]:
    """Beam's worker processes narrate on the standard error that they inherit: send it to a file."""
    if runner != "processes":
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    local = job.stage.is_local
    with open(job.stage.path("workers.log"), "wb") if local else tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
