"""An attempt's number belongs to one worker; the attempt before it is over before another begins."""

from __future__ import annotations

import os
import time

from ailab_dataproc.jobs.amounts import now
from ailab_dataproc.jobs.folders import write_private
from ailab_dataproc.jobs.history import STARTED, previous
from ailab_dataproc.jobs.publishing import rhythm
from ailab_dataproc.jobs.record import Started, attempt, last_attempt
from ailab_dataproc.jobs.where import Here
from ailab_dataproc.storage import Bucket, Folder


def claim(job: Folder, here: Here, pid: int) -> int:
    """Take the next number, and wait for the attempt before where that may run on.

    It does where its worker has only lost the scheduler: it sees the new number, and ends.

    Args:
        job: its folder.
        here: this worker.
        pid: of the attempt's keeper.
    """
    number = last_attempt(job) + 1
    while not _take(job, Started(attempt=number, worker=here.worker, host=here.host, pid=pid, at=now())):
        number += 1  # a twin was quicker; it ends when it sees this one
    before = previous(job, number) if number > 1 else None
    deadline = time.monotonic() + 2 * rhythm(job).look
    while before and time.monotonic() < deadline and (before.host != here.host or _lives(before.pid)):
        time.sleep(0.05)
    return number


def _take(job: Folder, started: Started) -> bool:
    """Write the first file of an attempt; False where another has."""
    place = job / attempt(started.attempt)
    if isinstance(place, Bucket):
        return place.write_new(STARTED, started.to_bytes())
    os.makedirs(os.path.dirname(place.url), mode=0o700, exist_ok=True)
    try:
        os.mkdir(place.url, mode=0o700)
    except FileExistsError:
        return False
    os.mkdir(place.path("log"), mode=0o700)
    write_private(place, STARTED, started.to_bytes())
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's by now
        return False
    return True
