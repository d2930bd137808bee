"""run_job: the task on a worker that runs a job's attempts, each in a process tree of its own, until it has ended."""

from __future__ import annotations

import getpass

from ailab_dataproc import storage
from ailab_dataproc.errors import AilabError, ClusterFailed
from ailab_dataproc.jobs.attempt import Attempt
from ailab_dataproc.jobs.carried import Carried
from ailab_dataproc.jobs.folders import write_private
from ailab_dataproc.jobs.history import verdict
from ailab_dataproc.jobs.publishing import persistently
from ailab_dataproc.jobs.record import ASKED, ENDED, Asked, Ended, attempt
from ailab_dataproc.jobs.where import Here, here
from ailab_dataproc.storage import Folder

_PATIENCE = 10.0  # seconds in which a store that fails may come back before anything has begun


def run_job(url: str, carried: Carried) -> None:
    """Run the job of a folder until it has ended; nothing happens where it has ended already.

    A failure of the job itself is told in its folder and raises nothing.

    Args:
        url: the job's folder.
        carried: what never touches a file.

    Raises:
        ClusterFailed: this worker can't read or write the folder.
    """
    place = here()
    job = storage.folder(url, carried.folder_options)
    try:
        _run(job, carried, place)
    except (AilabError, FileNotFoundError, ValueError) as error:
        raise ClusterFailed(
            f"{url}: the worker {place.worker or 'here'} on {place.host} can't use the job's folder as the user "
            f"{_user()} ({error}). It must be one that workers and submitters share, and run as the same user."
        ) from error
    except OSError as error:
        raise ClusterFailed(
            f"{url}: the worker {place.worker or 'here'} on {place.host} can't start a process for it ({error}). "
            f"See to its folder {place.folder}, and to how many processes it may have."
        ) from error


def _run(job: Folder, carried: Carried, place: Here) -> None:
    asked = persistently(lambda: None if job.exists(ENDED) else Asked.of(job.read(ASKED)), _PATIENCE)
    if asked is None:
        return
    while (ended := persistently(lambda: verdict(job, asked), _PATIENCE)) is None:
        done = Attempt(job, asked, carried, place).run()
        if done is None:  # another worker has it now
            return
        _tell(job / attempt(done.attempt), done)
    _tell(job, ended)


def _tell(folder: Folder, ended: Ended) -> None:
    def write() -> None:
        if not folder.exists(ENDED):
            write_private(folder, ENDED, ended.to_bytes())

    persistently(write)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an id without a name, as in a container
        return "without a name"
