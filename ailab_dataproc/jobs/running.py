"""run_job: the task on a worker that runs a job's attempts, each in a process tree of its own, until it has ended."""

from __future__ import annotations

from ailab_dataproc.jobs.carried import Carried


def run_job(url: str, carried: Carried) -> None:
    """Run the job of a folder until it has ended; nothing happens where it has ended already.

    A failure of the job itself is told in its folder and raises nothing.

    Args:
        url: the job's folder.
        carried: what never touches a file.

    Raises:
        ClusterFailed: this worker can't read or write the folder.
    """
    raise NotImplementedError
