"""This machine, in one process: Beam's FnApiRunner, in one thread or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.errors import require
from ailab_dataproc.preparation.engines.beam import map_items
from ailab_dataproc.preparation.engines.beam_options import quiet
from ailab_dataproc.preparation.engines.memory import kept_memory
from ailab_dataproc.storage import Folder

# Beam's name for the way its FnApiRunner works.
MODES = {"inline": "in_memory", "threads": "multi_threading"}


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Threads of this process."""

    runner: str  # a key of MODES
    workers: int

    @contextmanager
    def open(self, stage: Folder) -> Iterator[Callable[..., None]]:
        """Nothing is started before there is something to run."""
        require("apache_beam", "beam")
        yield self._run

    def describe(self) -> dict[str, Any]:
        """Runner and workers."""
        return {"runner": self.runner, "workers": self.workers}

    def _run(self, function: Callable[[Any], object], items: Sequence[Any]) -> None:
        with quiet():
            import apache_beam as beam
            from apache_beam.options.pipeline_options import PipelineOptions
            from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

        # Named outright: Beam's default runner first tries to download a Go binary.
        flags = [f"--direct_running_mode={MODES[self.runner]}", f"--direct_num_workers={self.workers}"]
        pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags))
        with quiet(), kept_memory():
            map_items(self.runner, pipeline, function, items)
