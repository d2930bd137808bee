"""What a job leaves: the object that its function returned, or the error that it raised."""

from __future__ import annotations

import pickle
from typing import Any

from ailab_dataproc.errors import JobFailed
from ailab_dataproc.jobs.record import attempt
from ailab_dataproc.jobs.state import Status
from ailab_dataproc.storage import Folder


class RemoteTraceback(Exception):
    """The traceback of where a job ran, as the cause of its exception."""

    def __init__(self, traceback: str) -> None:
        super().__init__(traceback)
        self.traceback = traceback

    def __str__(self) -> str:
        return f'\n"""\n{self.traceback.rstrip()}\n"""'


def result_url(job: Folder, status: Status) -> str | None:
    """The file with the pickled result; None where there is none."""
    return None if status.result is None else job.path(f"{attempt(status.attempt)}/result.pkl")


def result_of(job: Folder, status: Status) -> Any:
    """What the function of a job that has succeeded returned.

    Raises:
        JobFailed: it can't be read here.
    """
    if status.result is None:
        return None
    try:
        with job.open(f"{attempt(status.attempt)}/result.pkl", status.result) as file:
            return pickle.load(file)  # noqa: S301 - of the user's own job
    except (ImportError, AttributeError, pickle.UnpicklingError, EOFError) as error:
        raise JobFailed(
            f"job {status.id}: succeeded, but its result can't be read here ({type(error).__name__}: {error}). "
            f"It is in {result_url(job, status)}; read it where its modules can be imported."
        ) from error


def error_of(job: Folder, status: Status) -> BaseException:
    """Why a job that is over has no result: its own exception where that can be read here, else `JobFailed`."""
    if status.state == "failed":
        found = _own(job, status)
        if found is not None:
            found.__cause__ = RemoteTraceback(status.traceback) if status.traceback else None
            return found
    failed = JobFailed(f"job {status.id}: {_sentence(status)}")
    if status.traceback:
        failed.__cause__ = RemoteTraceback(status.traceback)
    return failed


def _own(job: Folder, status: Status) -> BaseException | None:
    name = f"{attempt(status.attempt)}/error.pkl"
    content = job.read_many([name]).get(name)
    if not content:
        return None
    try:
        found = pickle.loads(content)  # noqa: S301 - of the user's own job
    except Exception:  # its class isn't here, or refuses; the type, text and traceback are in the status
        return None
    return found if isinstance(found, BaseException) else None


def _sentence(status: Status) -> str:
    why = (status.why or "").strip()
    told = f"{status.state} ({why.rstrip('.')})" if why else status.state
    return f"{told}. See its log: ailab-dataproc jobs logs {status.id}"
