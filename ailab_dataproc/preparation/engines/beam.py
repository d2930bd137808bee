"""The one Beam pipeline, and Beam's runners for clusters: Flink, Spark, Dataflow, any portable job server."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.errors import AilabError, ClusterFailed, StorageFailed, require
from ailab_dataproc.preparation.engines import versions
from ailab_dataproc.preparation.engines.beam_options import Config, check, parsed, read_config, shown
from ailab_dataproc.preparation.engines.notebooks import as_in_a_script
from ailab_dataproc.storage import Folder


@dataclass(frozen=True, slots=True)
class BeamEngine:
    """One of Beam's runners, with the options of a configuration in configs/beam."""

    config: Config

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any], workers: int | None, data_dir: Folder) -> BeamEngine:
        """Read and check a configuration; `given` goes before what it says."""
        require("apache_beam", "beam")
        config = read_config(name, given, workers)
        check(config, data_dir)
        return cls(config)

    @property
    def workers(self) -> int:
        """As the options say, or 0: the cluster decides."""
        asked = (self.config.options.get(option) for option in ("num_workers", "parallelism"))
        return next((int(count) for count in asked if count and int(count) > 0), 0)

    @contextmanager
    def open(self, stage: Folder) -> Iterator[Callable[..., None]]:
        """Nothing is submitted before there is something to run; workers compare their versions as they start."""
        yield self._run

    def describe(self) -> dict[str, Any]:
        """Runner, workers and options; secrets hidden, paths cut to the file's name."""
        return {
            "runner": self.config.name,
            "workers": self.workers,
            "beam_runner": self.config.runner,
            "beam_options": shown(self.config.options),
        }

    def _run(self, function: Callable[[Any], object], items: Sequence[Any]) -> None:
        import apache_beam as beam
        from apache_beam.runners.runner import create_runner

        pipeline = beam.Pipeline(runner=create_runner(self.config.runner), options=parsed(self.config))
        checked = functools.partial(versions.run_checked, versions.here(), function)
        map_items(self.config.name, pipeline, checked, items)


def map_items(runner: str, pipeline: Any, function: Callable[[Any], object], items: Sequence[Any]) -> None:
    """Run a function for each item in a Beam pipeline, and wait for it.

    Raises:
        ClusterFailed: Beam's runner gave up; items that are done stay done.
    """
    import apache_beam as beam

    try:
        with as_in_a_script(), pipeline:
            _ = (
                pipeline
                | "Tasks" >> beam.Create([(item.label, item) for item in items], reshuffle=False)
                # One key a task: spreads them as Reshuffle does, at half the start-up (FnApiRunner, 2 cores: 0.1 s).
                | "Spread" >> beam.GroupByKey()
                | "Work" >> beam.Map(functools.partial(_run_group, function))
            )
    except Exception as error:
        # Failures come as files, but that no file can be written; Beam adds to the sentence, or makes a text of it.
        sentence = re.search(
            r"StorageFailed: (.+?)(?: \[while running .*)?$", f"{type(error).__name__}: {error}", re.MULTILINE
        )
        if sentence:
            raise StorageFailed(sentence[1]) from error
        if isinstance(error, AilabError):
            raise
        told = f"{type(error).__name__}: {error}".strip().split("\n", 1)[0].rstrip(": .")
        raise ClusterFailed(
            f"runner {runner!r}: Beam gave up with {told}. Whole shards are kept: prepare it again to go on; --verbose "
            "shows the traceback."
        ) from error


def _run_group(function: Callable[[Any], object], group: tuple[str, Iterable[Any]]) -> str:
    for item in group[1]:
        function(item)
    return group[0]
