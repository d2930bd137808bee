"""MLflow as this package asks it: without telemetry, its errors told in one sentence, and never waiting for long."""

from __future__ import annotations

import contextvars
import math
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ailab_dataproc.errors import TrackingFailed, require

_PATIENCE = 15  # seconds for a first answer: a server that sleeps needs about ten to wake up
_FILES = ("sqlite:", "file:")  # tracking URIs without a server
_ADVICE = "See that MLFLOW_TRACKING_URI is right and the server is up."
_REASON = re.compile(r"\[Errno -?\d+\] ([^\"'()\\]+)|(Failed to resolve '[^']*')|\((?:Caused by )?(SSL\w*)")


def mlflow() -> Any:
    """The library, imported on first use (seconds), with its telemetry off unless the user says otherwise.

    Raises:
        MissingLibrary: it isn't installed.
    """
    require("mlflow", "experiment")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    return mlflow


def place() -> str:
    """Where MLflow writes to, without a password."""
    return _without_password(mlflow().get_tracking_uri())


def registry() -> str:
    """Where MLflow keeps the versions of models, without a password."""
    return _without_password(mlflow().get_registry_uri())


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn what MLflow raises within into one sentence.

    Args:
        what: what is being done, as the place of the message, such as ``"model ctr@champion"``.

    Raises:
        TrackingFailed: MLflow raised.
    """
    mlflow()
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise TrackingFailed(f"{what}: {_told(error)}") from error


def knock(what: str, run_id: str | None = None) -> float:
    """Ask the server one question, once: for one that is down MLflow itself would wait for minutes.

    Args:
        what: is to be done, as the place of the message.
        run_id: the run that it is about.

    Returns:
        The seconds after which it is given up; infinite where there is no server to wait for.

    Raises:
        TrackingFailed: the server is down, or refuses.
    """
    address = mlflow().get_tracking_uri()
    if not address.startswith(("http://", "https://")):
        return math.inf if address.startswith(_FILES) or "://" not in address else _PATIENCE
    from mlflow import environment_variables
    from mlflow.utils import credentials, rest_utils

    variables: Any = environment_variables
    logins: Any = credentials
    rest: Any = rest_utils
    patience = min(_PATIENCE, variables.MLFLOW_HTTP_REQUEST_TIMEOUT.get())
    path, asked = "/api/2.0/mlflow/experiments/search", {"max_results": "1"}
    if run_id:
        path, asked = "/api/2.0/mlflow/runs/get", {"run_id": run_id}
    once = {"max_retries": 0, "timeout": patience, "raise_on_status": False}
    with asking(what):
        login = logins.get_default_host_creds(address)
        rest.verify_rest_response(rest.http_request(login, path, "GET", params=asked, **once), path)
    return patience


def knock_to_read(what: str) -> None:
    """Ask one question, as `knock`; and where there is no server make no empty store, as MLflow would.

    Raises:
        TrackingFailed: the server is down, or refuses; or nothing was ever written there.
    """
    path = mlflow().get_tracking_uri().partition("sqlite:///")[2]
    if path and not Path(unquote(path)).exists():
        raise TrackingFailed(f"{what}: there is no {path}. Set MLFLOW_TRACKING_URI to where runs are tracked.")
    knock(what)


def quickly(what: str, call: Callable[[], None], run_id: str | None = None) -> None:
    """Do something with a server that may be down, and give up soon.

    The call may take no longer than two answers. It is left alone where it does, and may still succeed.

    Args:
        what: is done, as the place of the message.
        call: asks the server.
        run_id: the run that it is about.

    Raises:
        TrackingFailed: the server is down, refuses, or takes too long.
    """
    patience = knock(what, run_id)
    with asking(what):
        if patience == math.inf:
            call()
        elif not _within(2 * patience, call):
            raise TrackingFailed(f"{what}: {place()} gave no answer within {2 * patience} s. {_ADVICE}")


def _within(seconds: float, call: Callable[[], None]) -> bool:
    """Whether a call ended in time; what it raised is raised here."""
    raised: list[BaseException] = []
    context = contextvars.copy_context()  # MLflow keeps the workspace there

    def work() -> None:
        try:
            context.run(call)
        except BaseException as error:  # raised again by the thread that waits
            raised.append(error)

    thread = threading.Thread(target=work, name="ailab-tracking", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    return not thread.is_alive()


def _without_password(address: str) -> str:
    return re.sub(r"//[^/]*@", "//", address)


def _told(error: Any) -> str:
    """What an MlflowException says, in a sentence."""
    from requests.exceptions import RequestException, Timeout

    status, said = error.get_http_status_code(), str(getattr(error, "json", {}).get("message") or "")
    if said.rstrip(".").lower() == "permission denied":  # MLflow's own, which says no more than the status
        said = ""
    if status == 401:
        return f"{place()} does not know who asks (401). {said or 'Log in, or set MLFLOW_TRACKING_AUTH=ailab.'}"
    if status == 403:
        return f"{place()} refuses it to you (403). {said or 'Ask the platform team for access.'}"
    cause = error.__cause__ or error.__context__
    if isinstance(cause, Timeout) or "timed out" in str(cause):  # a ConnectionError where it wasn't asked again
        return f"{place()} gave no answer in time. {_ADVICE}"
    if isinstance(cause, RequestException):
        found = _REASON.search(str(cause))
        reason = next(filter(None, found.groups()), "") if found else type(cause).__name__
        return f"{place()} can't be reached ({reason.strip()}). {_ADVICE}"
    first = str(error).splitlines()[0]
    failed = re.search(r"failed with error code (\d+)", first)
    if failed:  # what a server or a proxy answers that isn't MLflow's JSON
        return f"{place()} answered {failed[1]}. {_ADVICE}"
    return f"{place()}: {first[:300]}"
