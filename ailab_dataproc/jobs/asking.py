"""Asking the scheduler of a cluster about jobs: one question, an answer within seconds, no Dask client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ailab_dataproc.cluster import find_cluster
from ailab_dataproc.cluster.current import current_client
from ailab_dataproc.cluster.elsewhere import elsewhere
from ailab_dataproc.cluster.security import security_for
from ailab_dataproc.errors import ClusterFailed
from ailab_dataproc.jobs.record import TASK
from ailab_dataproc.jobs.state import Known

_PATIENCE = 3.0  # seconds for a scheduler that may not be there


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Where one is, and with what it is spoken to."""

    address: str
    security: Any = field(default=None, repr=False)

    def ask(self, function: Callable[..., Any], *args: Any, timeout: float = _PATIENCE) -> Any:
        """Call a function of `jobs.scheduler` in the scheduler's process.

        Raises:
            ClusterFailed: it doesn't answer, or the function raised there.
        """
        try:
            answer = elsewhere(asyncio.wait_for(self._run(function, args, timeout), timeout))
        except (OSError, TimeoutError) as error:
            said = str(error).strip().split("\n", 1)[0]
            raise ClusterFailed(
                f"scheduler {self.address} doesn't answer within {timeout:g} s ({said or type(error).__name__})."
            ) from error
        if answer["status"] != "OK":
            raise ClusterFailed(
                f"scheduler {self.address} can't answer ({answer.get('exception_text', answer['status'])}). "
                "Install the same ailab_dataproc there."
            )
        return answer["result"]

    async def _run(self, function: Callable[..., Any], args: Any, timeout: float) -> Any:
        from distributed import rpc
        from distributed.protocol.pickle import dumps

        given = self.security.get_connection_args("client") if self.security else {}
        async with rpc(self.address, timeout=timeout, connection_args=given) as scheduler:
            parts = {"function": function, "args": args, "kwargs": {}}
            packed = {name: dumps(part) for name, part in parts.items()}
            return await scheduler.run_function(**packed)


def key(id: str) -> str:
    """Of a job's task."""
    return TASK + id


def scheduler_of(cluster: str) -> Scheduler:
    """That of a cluster by name or address; nothing is connected.

    Raises:
        UnknownName, SettingsError: there is no such configuration, or it can't be understood.
        ClusterFailed: it stands for a cluster that is started anew each time.
    """
    current = current_client()
    if current is not None and current.scheduler.address == cluster:
        return of_client(current)
    found = find_cluster(cluster)
    if found.address is None:
        raise ClusterFailed(f"cluster {cluster!r}: it has ended with the process that started it.")
    return Scheduler(found.address, security_for(found.address, found.security, found.name))


def of_client(client: Any) -> Scheduler:
    """That of a Dask client."""
    return Scheduler(client.scheduler.address, client.security)


def known(cluster: str, ids: Iterable[str]) -> dict[str, Known]:
    """What the scheduler of a cluster says of jobs, by id; in one question.

    Raises:
        UnknownName, SettingsError, ClusterFailed: it can't be asked.
    """
    place = scheduler_of(cluster)
    from ailab_dataproc.jobs import scheduler

    asked = {key(id): id for id in ids}
    found = place.ask(scheduler.about, list(asked))
    return {asked[one]: Known(**told) for one, told in found.items()}
