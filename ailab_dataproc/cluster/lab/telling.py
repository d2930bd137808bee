"""How a cluster fares: its processes on this machine, what its scheduler says, and how long its certificate is good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ailab_dataproc.cluster.configs import find_cluster
from ailab_dataproc.cluster.lab import processes, scheduler
from ailab_dataproc.cluster.lab.scheduler import Seen
from ailab_dataproc.cluster.lab.state import Life, Plan, State, folder_of
from ailab_dataproc.cluster.security import host_of
from ailab_dataproc.cluster.validity import Certificate, check
from ailab_dataproc.errors import AilabError, ClusterFailed, InvalidRequest, require


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of this machine."""

    life: Life
    alive: bool
    memory: int  # bytes of it and all below it


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A cluster, as seen from this machine."""

    name: str
    address: str
    here: Literal["runs", "supervisor killed", "not here"]
    processes: tuple[Process, ...] = ()
    left_over: tuple[int, ...] = ()  # processes of a cluster whose supervisor was killed
    logs: str | None = None
    seen: Seen | None = None
    dashboard: str | None = None  # a link
    problem: str = ""  # why there is no `seen`
    certificate: Certificate | None = None
    fault: str = ""  # of the certificate


def status(name: str) -> Status:
    """How a cluster fares.

    Args:
        name: of a cluster that `up` has started here, or what `connect` takes.

    Raises:
        UnknownName: there is none.
    """
    require("distributed", "dask")
    folder = _folder(name)
    plan, found = (Plan.read(folder), State.read(folder)) if folder else (None, None)
    left = processes.with_cookie(plan.cookie) if plan else []
    if folder is None or plan is None or (found is None and not left):
        return _elsewhere(name)
    seen, problem = _ask(plan.address, plan.files)
    certificate, fault = _certificate(plan.tls)
    runs = found is not None and found.supervisor.alive()
    lives = (found.supervisor, *found.members) if found else ()
    return Status(
        name=name,
        address=plan.address,
        here="runs" if runs else "supervisor killed",
        processes=tuple(_process(one, own=one is lives[0]) for one in lives),
        left_over=() if runs else tuple(one.pid for one in left),
        logs=str(folder / "logs"),
        seen=seen,
        dashboard=link(seen, plan.dashboard) if seen else None,
        problem=problem,
        certificate=certificate,
        fault=fault,
    )


def _elsewhere(name: str) -> Status:
    found = find_cluster(name)
    if found.address is None:
        raise ClusterFailed(
            f"cluster {name!r}: it doesn't run by itself: `connect({name!r})` starts it, and it ends with its client. "
            "`ailab-dataproc cluster up` starts one that stays."
        )
    seen, problem = _ask(found.address, found.security)
    return Status(
        name=name,
        address=found.address,
        here="not here",
        seen=seen,
        dashboard=link(seen) if seen else None,
        problem=problem,
    )


def link(seen: Seen, host: str | None = None) -> str | None:
    """The page of a scheduler's dashboard, if it has one.

    Args:
        seen: the scheduler.
        host: where the page is; by default the scheduler's.
    """
    where = host or host_of(seen.address)
    return f"http://{f'[{where}]' if ':' in where else where}:{seen.dashboard}/status" if seen.dashboard else None


def _ask(address: str, files: Mapping[str, str]) -> tuple[Seen | None, str]:
    try:
        return scheduler.look(address, files, timeout=5.0), ""
    except AilabError as error:
        return None, str(error)


def _certificate(folder: str | None) -> tuple[Certificate | None, str]:
    try:
        return (check(Path(folder)) if folder else None), ""
    except AilabError as error:
        return None, str(error)


def _process(life: Life, *, own: bool) -> Process:
    alive = life.alive()
    memory = 0
    if alive and life.pid:  # the supervisor stands above all others
        memory = processes.memory(life.pid, below=not own)
    return Process(life=life, alive=alive, memory=memory)


def _folder(name: str) -> Path | None:
    try:
        return folder_of(name)
    except InvalidRequest:  # an address, or a path
        return None
