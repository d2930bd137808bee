"""Which engine maps a function over tasks. Engines see tasks, never rows; the runner is always named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ailab_dataproc import configuration
from ailab_dataproc.errors import InvalidRequest, unknown
from ailab_dataproc.machine import processors
from ailab_dataproc.preparation.engines.beam import BeamEngine
from ailab_dataproc.preparation.engines.dask import DaskEngine
from ailab_dataproc.preparation.engines.local import MODES, LocalEngine
from ailab_dataproc.preparation.engines.processes import ProcessEngine
from ailab_dataproc.preparation.options import Options
from ailab_dataproc.storage import Folder

LOCAL = (*MODES, "processes")  # on this machine

# Run a function once for each item (which has a `label` of its own), anywhere, and wait. What it returns is dropped:
# results are files, and a function that is run twice leaves the same ones.
Run = Callable[[Callable[[Any], object], Sequence[Any]], None]


class Engine(Protocol):
    """Maps functions over items."""

    @property
    def workers(self) -> int:
        """How many; of a cluster that is only known while it is open, and 0 where the cluster doesn't tell."""

    def open(self, stage: Folder) -> AbstractContextManager[Run]:
        """Get ready, and check that all workers see the stage; one open engine may run several functions in turn."""

    def describe(self) -> dict[str, Any]:
        """Runner, workers and options for the manifest; holds no secret and no path."""


def choose(options: Options, data_dir: Folder) -> Engine:
    """The engine that the options ask for; nothing is started.

    Raises:
        UnknownName: there is no such runner.
        InvalidRequest: workers, cluster, Beam options or the data directory make no sense for it.
    """
    runner, workers = options.runner, options.workers
    if workers is not None and workers < 1:
        raise InvalidRequest(f"workers={workers}: wanted at least 1. Leave it out to use every core.")
    if options.cluster is not None and runner != "dask":
        raise InvalidRequest(f"cluster={options.cluster!r} is of runner='dask', but runner={runner!r}. Leave one out.")
    if runner == "dask":
        return DaskEngine.of(options.cluster, workers)
    if runner not in LOCAL:
        if not configuration.is_path(runner) and configuration.find("beam", runner) is None:
            raise unknown("runner", runner, [*LOCAL, "dask", *configuration.names("beam")])
        return BeamEngine.of(runner, options.beam_options or {}, workers, data_dir)
    if options.beam_options:
        raise InvalidRequest(f"beam_options are of Beam's other runners, such as 'flink', but runner={runner!r}.")
    if runner == "inline" and workers not in (None, 1):
        raise InvalidRequest(f"runner='inline' works in one thread, but workers={workers}. Use runner='threads'.")
    count = 1 if runner == "inline" else workers or processors()
    return ProcessEngine(count) if runner == "processes" else LocalEngine(runner, count)
