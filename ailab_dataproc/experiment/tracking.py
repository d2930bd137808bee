"""track: write into a run of MLflow which data it used, and never stop a training for it."""

from __future__ import annotations

import os
import warnings
from typing import Any

from ailab_dataproc.errors import AilabError, InvalidRequest, TrackingFailed
from ailab_dataproc.experiment import describing
from ailab_dataproc.experiment.knowing import Known, know
from ailab_dataproc.experiment.reaching import asking, mlflow, quickly
from ailab_dataproc.experiment.used import Used


def track(
    data: Any = None, *, split: str = "all", run: Any = None, context: str = "", strict: bool = False
) -> Used | None:
    """Write into a run of MLflow which data it used.

    The run shows name and version, split, fingerprint, columns, rows, and how they were loaded; `data_of` gives the
    same data back, and `runs_of` finds the run by the version.

    Args:
        data: what `load` or `batches` returned (not what was made of it), a `Plan`, a `Report`, a `Used`, the name of
            a prepared version; None for what was loaded last in this thread.
        split: of a name: which rows, such as ``"train[:80%]"``.
        run: a run or its id; None for the active one. Where none is active one is started, as `mlflow.log_metric` does.
        context: what the data are for, such as ``"train"`` or ``"test"``; MLflow shows it.
        strict: whether a server that is down or refuses raises. Else it is one warning, after half a minute at most.

    Returns:
        What was written; None where it could not be.

    Raises:
        InvalidRequest: it isn't known which data this is.
        NotPrepared, UnknownName: there is no such version.
        TrackingFailed: the server is down, or refuses; with `strict` only.
    """
    try:
        known = data if isinstance(data, Used) else know(data, split)
    except InvalidRequest as error:
        raise InvalidRequest(f"track: {error}") from error
    used, run_id = Used.of(known), _id(run)
    try:
        _write(used, known, run_id, context)
    except TrackingFailed as error:
        if strict:
            raise
        warnings.warn(f"{error} The run goes on, without a note of its data.", stacklevel=2)
        return None
    return used


def _id(run: Any) -> str | None:
    found = getattr(getattr(run, "info", None), "run_id", run)
    if found is None or (isinstance(found, str) and found):
        return found
    raise InvalidRequest(f"track: run={run!r:.80}, wanted a run of MLflow or its id. Leave it out for the active one.")


def _write(used: Used, data: Known | Used, run: str | None, context: str) -> None:
    """All that may fail for reasons that are none of a training's; whatever it is becomes `TrackingFailed`."""
    what, library = f"track {used.reference}", mlflow()
    if os.environ.get("AILAB_JOB") and not library.is_tracking_uri_set():
        raise TrackingFailed(
            f"{what}: this job knows no tracking server, and what MLflow writes beside it ends with it. "
            "Submit it with env={'MLFLOW_TRACKING_URI': …}."
        )
    try:
        run_id = run or _active(what, library)
        known = describing.known_of(data, used)
        found = describing.entity(used, known)
        told = describing.tags(used, known) | ({"mlflow.data.context": describing.cut(context)} if context else {})
        of_run = _of_run(used, context, describing.line(used, known))
        quickly(what, lambda: _log(library.MlflowClient(), run_id, (found, told), of_run), run_id)
    except TrackingFailed:
        raise
    except AilabError as error:
        raise TrackingFailed(f"{what}: {error}") from error
    except Exception as error:  # such as a library for logins that can't get a token
        first = next(iter(str(error).splitlines()), "")
        raise TrackingFailed(f"{what}: {type(error).__name__}: {first}") from error


def _active(what: str, library: Any) -> str:
    """The active run; one is started where there is none, if there is a server."""
    run = library.active_run()
    if run is None:
        quickly(what, lambda: None)
        with asking(what):
            run = library.start_run()
    return str(run.info.run_id)


def _of_run(used: Used, context: str, line: str) -> dict[str, str]:
    """What the page of the run shows: a line for each of its data."""
    job = os.environ.get("AILAB_JOB")
    told = describing.cut(": ".join(filter(None, [context, line])))
    return {f"data.{used.digest[:6]}": told} | ({"ailab.job": job} if job else {})


def _log(client: Any, run_id: str, data: tuple[Any, dict[str, str]], of_run: dict[str, str]) -> None:
    from mlflow.entities import DatasetInput, InputTag, RunTag

    dataset, told = data
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag(key, value) for key, value in told.items()])])
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in of_run.items()])
