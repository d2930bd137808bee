"""MLflow as this package asks it: without telemetry, and what it raises told in one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ailab_dataproc.errors import TrackingFailed, require


def mlflow() -> Any:
    """The library, imported on first use (seconds), with its telemetry off unless the user says otherwise.

    Raises:
        MissingLibrary: it isn't installed.
    """
    require("mlflow", "experiment")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    return mlflow


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn what MLflow raises within into one sentence.

    Args:
        what: what is being done, as the place of the message, such as ``"model ctr@champion"``.

    Raises:
        TrackingFailed: MLflow raised.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise TrackingFailed(f"{what}: {_told(error)}") from error


def _told(error: Any) -> str:
    place = mlflow().get_tracking_uri()
    status = error.get_http_status_code()
    if status == 401:
        return f"{place} does not know who asks (401). Log in, or set MLFLOW_TRACKING_AUTH=ailab."
    if status == 403:
        return f"{place} refuses it to you (403). Ask the platform team for access."
    return str(error).splitlines()[0]
