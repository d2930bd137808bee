"""track: write into the active MLflow run which data it used."""

from __future__ import annotations

import warnings
from typing import Any

from ailab_dataproc.errors import TrackingFailed
from ailab_dataproc.experiment.reaching import asking, mlflow
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.report import last_report


def track(
    data: Any = None,
    *,
    split: str = "all",
    run: Any = None,
    context: str = "",
    strict: bool = False,
) -> Used | None:
    """Write into an MLflow run which data it used.

    Args:
        data: what `load` returned, a `Plan`, a `Report`, or a name; None: what was loaded last.
        split: of a name.
        run: the run or its id; None: the active one.
        context: what the data were for, such as ``"train"``.
        strict: whether a server that fails raises; else it is one warning.

    Returns:
        What was written; None where the server failed.
    """
    used = Used.of(last_report() if data is None else data, split=split)
    try:
        _log(used, getattr(getattr(run, "info", None), "run_id", run), context)
    except TrackingFailed as error:
        if strict:
            raise
        warnings.warn(str(error), stacklevel=2)
        return None
    return used


def _log(used: Used, run_id: str | None, context: str) -> None:
    library = mlflow()
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    from ailab_dataproc.experiment.source import AilabDatasetSource

    made = MetaDataset(AilabDatasetSource(used), used.reference, used.digest)
    tags = {"split": used.split} | ({"mlflow.data.context": context} if context else {})
    with asking(f"track {used.reference}"):
        if run_id is None:
            run_id = (library.active_run() or library.start_run()).info.run_id
        told = DatasetInput(made._to_mlflow_entity(), [InputTag(key, value) for key, value in tags.items()])
        library.MlflowClient().log_inputs(run_id, [told])
