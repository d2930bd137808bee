"""list_jobs: the state of many jobs with one look at the folder and one question to each scheduler."""

from __future__ import annotations

from collections.abc import Iterable

from ailab_dataproc.jobs.state import Status


def list_jobs(all_users: bool = False, state: str | Iterable[str] | None = None) -> list[Status]:
    """The jobs in the folder of jobs, the newest first.

    Args:
        all_users: those of everybody whose folders can be read, instead of your own.
        state: only those that are ``"running"``, or in one of several states.
    """
    raise NotImplementedError
