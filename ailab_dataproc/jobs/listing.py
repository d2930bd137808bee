"""list_jobs: the state of many jobs with one look at the folder and one question to each scheduler."""

from __future__ import annotations

from collections.abc import Iterable

from ailab_dataproc.errors import StorageFailed, unknown
from ailab_dataproc.jobs import folders
from ailab_dataproc.jobs.gathering import statuses
from ailab_dataproc.jobs.state import STATES, Status
from ailab_dataproc.settings import load_settings


def list_jobs(all_users: bool = False, state: str | Iterable[str] | None = None) -> list[Status]:
    """The jobs in the folder of jobs, the newest first.

    Args:
        all_users: those of everybody whose folders can be read, instead of your own.
        state: only those that are ``"running"``, or in one of several states.

    Raises:
        UnknownName: there is no such state.
        StorageFailed: the folder can't be read.
    """
    wanted = {state} if isinstance(state, str) else set(state or STATES)
    for one in wanted - set(STATES):
        raise unknown("state", one, STATES)
    jobs = folders.jobs_folder(load_settings())
    mine = folders.user()
    found: list[Status] = []
    for owner in folders.users(jobs) if all_users else [mine]:
        try:
            found += statuses(jobs / owner, folders.ids(jobs / owner))
        except (StorageFailed, PermissionError):
            if owner == mine:
                raise
    return sorted((one for one in found if one.state in wanted), key=lambda one: one.id, reverse=True)
