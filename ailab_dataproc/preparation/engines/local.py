"""This machine: Beam's FnApiRunner, in one thread, in threads or in processes."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ailab_dataproc.errors import require
from ailab_dataproc.preparation.engines.beam import map_items
from ailab_dataproc.preparation.engines.beam_options import quiet
from ailab_dataproc.storage import Folder

# Beam's name for the way its FnApiRunner works.
MODES = {"inline": "in_memory", "threads": "multi_threading", "processes": "multi_processing"}


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Workers on this machine."""

    runner: str  # a key of MODES
    workers: int

    @contextmanager
    def open(self, stage: Folder) -> Iterator[Callable[..., None]]:
        """Nothing is started before there is something to run."""
        require("apache_beam", "beam")
        yield functools.partial(self._run, stage)

    def describe(self) -> dict[str, Any]:
        """Runner and workers."""
        return {"runner": self.runner, "workers": self.workers}

    def _run(self, stage: Folder, function: Callable[[Any], object], items: Sequence[Any]) -> None:
        with quiet():
            import apache_beam as beam
            from apache_beam.options.pipeline_options import PipelineOptions
            from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

        # Named outright: Beam's default runner first tries to download a Go binary.
        flags = [f"--direct_running_mode={MODES[self.runner]}", f"--direct_num_workers={self.workers}"]
        pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags))
        with quiet(), _kept_memory(), _workers_log(stage, self.runner):
            map_items(self.runner, pipeline, function, items)


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
def _workers_log(stage: Folder, runner: str) -> Iterator[None]:
    """Beam's worker processes narrate on the standard error that they inherit: send it to a file in the stage."""
    if runner != "processes" or not stage.is_local:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with open(stage.path("workers.log"), "wb") as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
