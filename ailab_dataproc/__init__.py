"""Prepare, load and process a lab's private datasets: define once, prepare once, load in one line on any backend."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ailab_dataproc import checks, models
    from ailab_dataproc.bridge.from_tfds import from_tfds
    from ailab_dataproc.bridge.to_tfds import register_with_tfds
    from ailab_dataproc.cluster import connect
    from ailab_dataproc.columns import column
    from ailab_dataproc.comparing import diff
    from ailab_dataproc.dataset import Dataset, Source
    from ailab_dataproc.download import Download
    from ailab_dataproc.experiment.finding import data_of, runs_of
    from ailab_dataproc.experiment.flow import Flow
    from ailab_dataproc.experiment.tracking import track
    from ailab_dataproc.jobs.job import Job
    from ailab_dataproc.jobs.listing import list_jobs
    from ailab_dataproc.jobs.submitting import submit
    from ailab_dataproc.loading import batches, even_splits, load, plan
    from ailab_dataproc.mapping import map_partitions
    from ailab_dataproc.planning import Plan
    from ailab_dataproc.preparation.readers import read_csv
    from ailab_dataproc.preparing import prepare
    from ailab_dataproc.progressing import progress
    from ailab_dataproc.report import Report, last_report
    from ailab_dataproc.serving import transform_graph
    from ailab_dataproc.splitting import by_hash, by_value
    from ailab_dataproc.transforming import transform

__version__ = "0.1.0"

# Imported on first use: `import ailab_dataproc` loads no pyarrow, pandas, dask, beam or tensorflow.
_PUBLIC = {
    "connect": "cluster",
    "Dataset": "dataset",
    "Source": "dataset",
    "column": "columns",
    "checks": "",
    "by_hash": "splitting",
    "by_value": "splitting",
    "Download": "download",
    "from_tfds": "bridge.from_tfds",
    "register_with_tfds": "bridge.to_tfds",
    "prepare": "preparing",
    "read_csv": "preparation.readers",
    "transform": "transforming",
    "map_partitions": "mapping",
    "transform_graph": "serving",
    "load": "loading",
    "plan": "loading",
    "batches": "loading",
    "even_splits": "loading",
    "Plan": "planning",
    "progress": "progressing",
    "Report": "report",
    "diff": "comparing",
    "last_report": "report",
    "submit": "jobs.submitting",
    "Job": "jobs.job",
    "list_jobs": "jobs.listing",
    "track": "experiment.tracking",
    "data_of": "experiment.finding",
    "runs_of": "experiment.finding",
    "Flow": "experiment.flow",
    "models": "",
}

__all__ = [
    "Dataset",
    "Download",
    "Flow",
    "Job",
    "Plan",
    "Report",
    "Source",
    "batches",
    "by_hash",
    "by_value",
    "checks",
    "column",
    "connect",
    "data_of",
    "diff",
    "even_splits",
    "from_tfds",
    "last_report",
    "list_jobs",
    "load",
    "map_partitions",
    "models",
    "plan",
    "prepare",
    "progress",
    "read_csv",
    "register_with_tfds",
    "runs_of",
    "submit",
    "track",
    "transform",
    "transform_graph",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _PUBLIC[name]:  # a module itself
        return importlib.import_module(f"{__name__}.{name}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
