"""The worker that a job runs on: its addresses, its folder for temporary files, its memory."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_TTL = 300.0  # seconds, where a cluster has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What a job needs to know of its worker; without one, as in a test, there is only this machine."""

    worker: str = ""  # its address
    scheduler: str = ""
    tls: Mapping[str, str] = field(default_factory=dict, repr=False)  # ca-file, cert, key: a path, or the text itself
    folder: str = field(default_factory=tempfile.gettempdir)  # for what is gone with the job
    memory: int | None = None  # bytes that the worker may take
    wanted: Callable[[], bool] = lambda: True  # whether the cluster still counts on this worker for this task
    silence: float = _TTL  # seconds after which the cluster has given up on a worker that says nothing
    host: str = field(default_factory=socket.gethostname)


def here() -> Here:
    """The worker whose task calls this; the task leaves the worker's threads, so that others find one.

    The job keeps the worker's resources: its driver is a client of the cluster, whose tasks may run here.
    """
    import dask
    from distributed import get_worker, secede

    try:
        worker = get_worker()
    except ValueError:  # no worker's task
        return Here()
    key = str(worker.get_current_task())
    secede()
    scheduler = worker.scheduler.address
    return Here(
        worker=worker.address,
        scheduler="" if scheduler.startswith("inproc:") else scheduler,
        tls=_tls(worker.security),
        folder=os.path.abspath(worker.local_directory),
        memory=worker.memory_manager.memory_limit,
        silence=dask.utils.parse_timedelta(dask.config.get("distributed.scheduler.worker-ttl", None) or _TTL),
        wanted=lambda: _is_wanted(worker, key),
    )


def _is_wanted(worker: Any, key: str) -> bool:
    task = worker.state.tasks.get(key)
    leaving = worker.status.name in ("closing", "closed", "failed")  # one that only wants to may have to stay
    return not leaving and task is not None and task.state != "cancelled"


def _tls(security: Any) -> dict[str, str]:
    """The files of a client: a worker that is started by hand may have been given its own only."""
    found = {
        "ca-file": security.tls_ca_file,
        "cert": security.tls_client_cert or security.tls_worker_cert,
        "key": security.tls_client_key or security.tls_worker_key,
    }
    return {name: value for name, value in found.items() if value}
