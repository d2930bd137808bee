"""End a cluster of this machine, and whatever it has left."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from ailab_dataproc.cluster.lab import processes, scheduler
from ailab_dataproc.cluster.lab.building import worker_prefix
from ailab_dataproc.cluster.lab.state import Plan, State, folder_of, names
from ailab_dataproc.cluster.lab.supervisor import GRACE
from ailab_dataproc.errors import AilabError, ClusterFailed, InvalidRequest, unknown

_PAUSE = 0.1  # seconds between two looks
_SHOWN = 5  # jobs that are named


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What `down` did."""

    name: str
    killed: int  # processes that didn't end by themselves
    jobs: tuple[str, ...]  # that were running


def down(name: str, *, force: bool = False) -> Ended:
    """End the processes of a cluster on this machine.

    Args:
        name: of the cluster.
        force: whether jobs may be ended with it.

    Raises:
        UnknownName: no such cluster was started on this machine.
        InvalidRequest: workers that would end have jobs.
        ClusterFailed: something doesn't end.
    """
    folder = folder_of(name)
    plan, found = Plan.read(folder), State.read(folder)
    if plan is None or (found is None and not processes.with_cookie(plan.cookie)):
        raise unknown("cluster", name, names(), where="this machine", hint="`ailab-dataproc cluster up` starts one.")
    jobs = _jobs(plan, found, force)
    if jobs and not force:
        shown = ", ".join(jobs[:_SHOWN]) + (f", … ({len(jobs)} in all)" if len(jobs) > _SHOWN else "")
        raise InvalidRequest(
            f"cluster {name!r}: it has jobs that run or wait: {shown}. Wait for them, or end them with --force."
        )
    if found and found.supervisor.alive() and found.supervisor.pid:
        processes.terminate(found.supervisor.pid, signal.SIGTERM)
    return Ended(name=name, killed=finish(folder, plan), jobs=tuple(jobs))


def finish(folder: Path, plan: Plan, process: subprocess.Popen[bytes] | None = None) -> int:
    """Wait for a supervisor that got SIGTERM, and kill what is left of it and its cluster; how many those were.

    Args:
        folder: of the cluster.
        plan: what runs there.
        process: the supervisor, if it is a child of this process.
    """
    deadline = time.monotonic() + sum(GRACE.values()) + 5
    found = State.read(folder)
    while time.monotonic() < deadline:
        over = process.poll() is not None if process else not (found and found.supervisor.alive())
        if over:
            break
        time.sleep(_PAUSE)
    else:
        supervisor = process.pid if process else found.supervisor.pid if found else None
        processes.kill(processes.tree(supervisor)[:1] if supervisor else [])
    # A supervisor that ended well has left nothing; the workers of one that was killed have got SIGTERM.
    for left in processes.with_cookie(plan.cookie):
        processes.terminate(left.pid, signal.SIGTERM)
    killed = processes.sweep(plan.cookie, GRACE["jobs"])
    if processes.with_cookie(plan.cookie):
        time.sleep(1)
        left_over = processes.with_cookie(plan.cookie)
        if left_over:
            pids = ", ".join(str(one.pid) for one in left_over)
            raise ClusterFailed(
                f"cluster {plan.name!r}: processes {pids} don't end, not even at SIGKILL. Look at them."
            )
    State.remove(folder)
    return killed


def _jobs(plan: Plan, found: State | None, force: bool) -> list[str]:
    """The jobs that would end: of all workers with the scheduler, else of the workers here."""
    try:
        seen = scheduler.look(plan.address, plan.files, timeout=3.0)
    except AilabError as error:
        runs = any(one.name == "scheduler" and one.alive() for one in (found.members if found else ()))
        if runs and not force:
            raise ClusterFailed(
                f"cluster {plan.name!r}: its scheduler runs and doesn't answer, so that jobs can't be seen ({error}). "
                "Try again, or end it with --force."
            ) from error
        return []  # a scheduler that is gone has no jobs
    if any(one.schedules for one in plan.members):
        return seen.jobs
    mine = worker_prefix(plan.name)
    return sorted(job for worker in seen.workers if worker.name.startswith(mine) for job in worker.jobs)
