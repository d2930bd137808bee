"""Job: a job's state, logs, progress and result, from any machine, also after who submitted it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, overload

from ailab_dataproc.jobs.record import Asked, Beat
from ailab_dataproc.jobs.state import Status
from ailab_dataproc.storage import Folder


class Job:
    """A job that was submitted, by anyone, from anywhere that sees the folder of jobs.

    Args:
        id: the id, or any part of it that no other job has.
    """

    folder: Folder  # of the job
    asked: Asked

    def __init__(self, id: str) -> None:
        raise NotImplementedError

    @property
    def id(self) -> str:
        """Its name for ever: when it was submitted, its name, and four digits."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """For people."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Its folder."""
        raise NotImplementedError

    @property
    def state(self) -> str:
        """Queued, running, succeeded, failed, cancelled or lost, as of now."""
        raise NotImplementedError

    @property
    def progress(self) -> Beat | None:
        """How far the newest attempt is, and the memory that it takes; None before its first sign of life."""
        raise NotImplementedError

    @property
    def result_url(self) -> str | None:
        """The file of the result; None where there is none."""
        raise NotImplementedError

    def status(self) -> Status:
        """The state with all that is known: why, attempts, where, how long, memory, progress."""
        raise NotImplementedError

    @overload
    def logs(self, follow: Literal[False] = False) -> str: ...
    @overload
    def logs(self, follow: Literal[True]) -> Iterator[str]: ...
    def logs(self, follow: bool = False) -> str | Iterator[str]:
        """What the job has printed and logged, of all its attempts.

        Args:
            follow: return an iterator of pieces of text instead, which ends when the job does.
        """
        raise NotImplementedError

    def wait(self, timeout: float | None = None) -> str:
        """Wait until the job has ended, and return its state.

        Args:
            timeout: seconds; None waits for as long as it takes.

        Raises:
            TimeoutError: it hasn't ended by then.
        """
        raise NotImplementedError

    def result(self, timeout: float | None = None) -> Any:
        """What the function returned; None of a script. Waits as `wait` does.

        Raises:
            The job's own exception, with the traceback of where it ran.
            JobFailed: it was cancelled or lost, or its exception can't be read here.
            TimeoutError: it hasn't ended by then.
        """
        raise NotImplementedError

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What `result` would raise; None of a job that succeeded. Waits as `wait` does."""
        raise NotImplementedError

    def cancel(self) -> str:
        """Stop it, with all its processes; a queued one never starts. Returns a sentence on what happened.

        Raises:
            InvalidRequest: it has ended.
        """
        raise NotImplementedError

    def restart(self) -> Job:
        """Submit the same code and work again, as a new job; secrets are read anew from the environment.

        Raises:
            InvalidRequest: it hasn't ended.
        """
        raise NotImplementedError

    def remove(self) -> None:
        """Delete its folder, with log and result.

        Raises:
            InvalidRequest: it hasn't ended.
        """
        raise NotImplementedError
