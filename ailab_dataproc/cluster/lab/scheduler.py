"""What a scheduler says of its workers and their tasks, asked without being a client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.cluster.diagnosis import explain
from ailab_dataproc.cluster.security import host_of, security_for
from ailab_dataproc.errors import ClusterFailed

JOB = "ailab-job-"  # how keys of jobs begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker, as the scheduler sees it."""

    name: str
    address: str
    status: str  # running, paused, closing_gracefully, …
    threads: int
    memory: int  # bytes in use
    memory_limit: int  # bytes; 0: none
    resources: Mapping[str, float]
    tasks: int  # that it has or waits for
    jobs: tuple[str, ...]  # ids of those that were given to it
    seconds: float  # since it was heard of


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A scheduler that answers."""

    address: str
    dashboard: int | None  # its port on the scheduler's machine
    since: float  # seconds since 1970
    workers: tuple[Worker, ...]
    waiting: tuple[str, ...]  # ids of jobs that no worker has yet

    @property
    def jobs(self) -> list[str]:
        """All jobs, those that workers have and those that wait for one."""
        return sorted([*self.waiting, *(job for worker in self.workers for job in worker.jobs)])


def look(address: str, files: Mapping[str, str], timeout: float = 10.0) -> Seen:
    """Ask a scheduler.

    Args:
        address: of the scheduler.
        files: of TLS: ca, cert, key.
        timeout: seconds for the answer.

    Raises:
        ClusterFailed: it doesn't answer, or refuses the certificate.
        SettingsError: the files are no certificates.
    """
    # Dask tries again until its time is up; who asks how things are wants to know at once.
    try:
        socket.create_connection((host_of(address), int(address.rpartition(":")[2])), timeout).close()
    except OSError as error:
        raise ClusterFailed(
            f"{address}: nobody listens there ({error.strerror or error}). Start the scheduler, or mend the address."
        ) from error
    security = security_for(address, files, address)
    connection = security.get_connection_args("client")
    try:
        told, processing, waiting = asyncio.run(asyncio.wait_for(_ask(address, connection, timeout), timeout + 1))
    except (OSError, TimeoutError) as error:
        raise explain(address, connection["ssl_context"], timeout, error) from error
    now = max((one["last_seen"] for one in told["workers"].values()), default=0.0)
    return Seen(
        address=address,
        dashboard=told["services"].get("dashboard"),
        since=told["started"],
        workers=tuple(_worker(one, at, processing.get(at, ()), now) for at, one in told["workers"].items()),
        waiting=_ids(waiting),
    )


async def _ask(address: str, connection: Mapping[str, Any], timeout: float) -> tuple[Any, Any, Any]:
    from distributed import rpc
    from distributed.protocol.pickle import dumps

    async with rpc(address, connection_args=connection, timeout=timeout) as scheduler:
        told, processing = await scheduler.identity(n_workers=-1), await scheduler.processing(workers=None)
        asked = await scheduler.run_function(function=dumps(_finder()), args=dumps(()), kwargs=dumps({}), wait=True)
        return told, processing, asked["result"] if asked["status"] == "OK" else ()


def _finder() -> Callable[[Any], list[str]]:
    """A function for the scheduler; being local, it is pickled with its code, and no package is wanted there."""

    def find(dask_scheduler: Any) -> list[str]:
        waits = ("no-worker", "queued", "waiting")
        return [key for key, task in dask_scheduler.tasks.items() if task.state in waits and isinstance(key, str)]

    return find


def _worker(told: Mapping[str, Any], address: str, keys: Any, now: float) -> Worker:
    return Worker(
        name=str(told["name"]),
        address=address,
        status=told["status"],
        threads=told["nthreads"],
        memory=told["metrics"].get("memory", 0),
        memory_limit=told["memory_limit"] or 0,
        resources=told["resources"],
        tasks=len(keys),
        jobs=_ids(keys),
        seconds=max(now - told["last_seen"], 0.0),
    )


def _ids(keys: Iterable[Any]) -> tuple[str, ...]:
    """The ids of the jobs among the keys of tasks."""
    return tuple(sorted(key.removeprefix(JOB) for key in keys if isinstance(key, str) and key.startswith(JOB)))
