"""Job: a job's state, logs, progress and result, from any machine, also after who submitted it is gone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Literal, Self, overload

from ailab_dataproc.errors import AilabError, InvalidRequest
from ailab_dataproc.jobs import asking, fetching, folders, following
from ailab_dataproc.jobs.amounts import now
from ailab_dataproc.jobs.gathering import status_of
from ailab_dataproc.jobs.record import ASKED, CANCEL, Asked, State
from ailab_dataproc.jobs.state import Status
from ailab_dataproc.settings import load_settings
from ailab_dataproc.storage import Folder


class Job:
    """A job that was submitted, by anyone, from anywhere that sees the folder of jobs.

    Args:
        id: the id, or any part of it that no other job has.
    """

    def __init__(self, id: str) -> None:
        self._open(folders.find(folders.jobs_folder(load_settings()), id))

    @classmethod
    def at(cls, folder: Folder) -> Self:
        """The job of a folder."""
        made = cls.__new__(cls)
        made._open(folder)
        return made

    def _open(self, folder: Folder) -> None:
        self.folder = folder
        self.asked = Asked.of(folder.read(ASKED))

    @property
    def id(self) -> str:
        """Its name for ever: when it was submitted, its name, and six digits."""
        return self.asked.id

    @property
    def name(self) -> str:
        """For people."""
        return self.asked.name

    @property
    def url(self) -> str:
        """Its folder."""
        return self.folder.url

    @property
    def state(self) -> State:
        """Queued, running, succeeded, failed, cancelled or lost, as of now."""
        return self.status().state

    @property
    def progress(self) -> Status:
        """How far it is: `done` of `total`, and `what`; the same as `status`."""
        return self.status()

    @property
    def result_url(self) -> str | None:
        """The file with the pickled result; None where there is none."""
        return fetching.result_url(self.folder, self.status())

    def __repr__(self) -> str:
        return f"Job({self.status()})"

    def status(self) -> Status:
        """The state with all that is known: why, attempts, where, how long, memory, progress."""
        return status_of(self.folder, self.asked)

    @overload
    def logs(self, follow: Literal[False] = False) -> str: ...
    @overload
    def logs(self, follow: Literal[True]) -> Iterator[str]: ...
    @overload
    def logs(self, follow: bool) -> str | Iterator[str]: ...
    def logs(self, follow: bool = False) -> str | Iterator[str]:
        """What the job has printed and logged, of all its attempts.

        Args:
            follow: return an iterator of pieces of text instead, which ends when the job does.
        """
        if follow:
            return following.follow_log(self.folder, self.status)
        return following.read_log(self.folder)

    def wait(self, timeout: float | None = None) -> State:
        """Wait until the job has ended, and return its state.

        Args:
            timeout: seconds; None waits for as long as it takes.

        Raises:
            TimeoutError: it hasn't ended by then.
        """
        return self._wait(timeout).state

    def result(self, timeout: float | None = None) -> Any:
        """What the function returned; None of a script. Waits as `wait` does.

        Raises:
            The job's own exception, with the traceback of where it ran.
            JobFailed: it was cancelled or lost, or its exception can't be read here.
            TimeoutError: it hasn't ended by then.
        """
        status = self._wait(timeout)
        if status.state != "succeeded":
            raise fetching.error_of(self.folder, status)
        return fetching.result_of(self.folder, status)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What `result` would raise; None of a job that succeeded. Waits as `wait` does."""
        status = self._wait(timeout)
        return None if status.state == "succeeded" else fetching.error_of(self.folder, status)

    def cancel(self) -> str:
        """Stop it, with all its processes; a queued one never starts. Returns a sentence on what happened.

        Raises:
            InvalidRequest: it has ended.
        """
        before = self.status()
        if before.is_over and before.state != "lost":
            raise InvalidRequest(f"job {self.id}: has {_ENDED[before.state]}, there is nothing to cancel.")
        content = {"at": now(), "user": folders.user()}
        folders.write_private(self.folder, CANCEL, json.dumps(content).encode())
        if before.state == "lost":
            return f"job {self.id}: was lost; should it come back, it ends"
        if before.attempt:
            return f"job {self.id}: is being stopped, with all its processes"
        self._let_go()
        after = self.status()
        began = after.state in ("running", "succeeded", "failed")
        return f"job {self.id}: " + (
            "began just now, and is being stopped" if began else "is cancelled; it never began"
        )

    def restart(self) -> Job:
        """Submit the same code and work again, as a new job; secrets are read anew from the environment.

        Raises:
            InvalidRequest: it hasn't ended.
        """
        from ailab_dataproc.jobs.repeating import repeat

        self._check_over("restart it")
        return Job.at(repeat(self.folder, self.asked))

    def remove(self) -> None:
        """Delete its folder, with log and result.

        Raises:
            InvalidRequest: it hasn't ended.
        """
        self._check_over("remove it")
        self.folder.remove()

    def _check_over(self, verb: str) -> None:
        status = self.status()
        if not status.is_over:
            raise InvalidRequest(
                f"job {self.id}: is {status.state}. Cancel it before you {verb}: ailab-dataproc jobs cancel {self.id}."
            )

    def _wait(self, timeout: float | None) -> Status:
        deadline = None if timeout is None else time.monotonic() + timeout
        ending = following.Ending(self.folder, self.status)
        pause, longest = following.pauses(self.folder)
        while True:
            status = ending.look()
            if status is not None:
                return status
            left = longest if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"job {self.id}: is {self.state} after {timeout:g} s. It goes on.")
            time.sleep(min(pause, left))
            pause = min(1.3 * pause, longest)

    def _let_go(self) -> None:
        """The task is forgotten at once; where that can't be, the worker sees CANCEL before it begins."""
        from ailab_dataproc.jobs import scheduler

        try:
            asking.scheduler_of(self.asked.cluster).ask(scheduler.let_go, asking.key(self.id))
        except AilabError:
            return


_ENDED = {"succeeded": "succeeded", "failed": "failed", "cancelled": "been cancelled"}
