"""A Dask cluster: functions go to its workers directly, since Beam's DaskRunner loses data in silence."""

from __future__ import annotations

import functools
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ailab_dataproc.cluster import find_cluster, open_client
from ailab_dataproc.errors import AilabError, ClusterFailed, InvalidRequest, require
from ailab_dataproc.preparation.engines import dask_workers
from ailab_dataproc.preparation.engines.items import spoken
from ailab_dataproc.storage import Folder

if TYPE_CHECKING:
    from distributed import KilledWorker

_WINDOW = 4  # items a thread that the scheduler knows of at a time, not all: 8 to 256 were equally fast (330 a second)
_RETRIES = 2  # of an item whose function raised, such as on a worker with a full disk
_LOOK = 5.0  # seconds between two looks whether the cluster is still there
_PATIENCE = 60.0  # seconds to wait for the first worker, or for a new one when all are lost


@dataclass(slots=True)
class DaskEngine:
    """The workers of a Dask cluster."""

    cluster: str | None  # address, name or path; None for what `connect` takes then
    workers: int = 0  # worker processes, once it is open
    address: str = ""  # of the scheduler, once it is open

    @classmethod
    def of(cls, cluster: str | None, workers: int | None) -> DaskEngine:
        """Check what can be checked before anything is connected or started."""
        if workers is not None:
            raise InvalidRequest(
                f"workers={workers}: a Dask cluster has its own. Leave it out, or set n_workers in the options of a "
                "cluster's configuration."
            )
        if cluster is not None:
            find_cluster(cluster)
        require("distributed", "dask")
        return cls(cluster)

    @contextmanager
    def open(self, stage: Folder) -> Iterator[Callable[..., None]]:
        """Connect, and look at each worker: its versions, and whether it reads and writes the stage."""
        with open_client(self.cluster) as client:
            self.address = str(client.scheduler.address)
            self.workers = dask_workers.check(client, stage, patience=_PATIENCE)
            yield functools.partial(_run, client)

    def describe(self) -> dict[str, Any]:
        """Runner, cluster and workers."""
        name = self.address if self.cluster is None else find_cluster(self.cluster).name
        return {"runner": "dask", "cluster": name, "workers": self.workers}


def _run(client: Any, function: Callable[[Any], object], items: Sequence[Any]) -> None:
    """Run all items; a worker that is lost costs time only.

    The scheduler gives up a task once too many workers have died that had it, be it the cause or a bystander: such
    items are tried again at the end, one at a time, so that the error names the right one.
    """
    window = max(16, _WINDOW * sum(client.nthreads().values()))
    given_up = [item for item, _ in _feed(client, function, items, window)]
    for deadly, error in [found for item in given_up for found in _feed(client, function, [item], 1)]:
        raise ClusterFailed(
            f"{spoken(deadly)}: the {error.allowed_failures + 1} Dask workers died that worked on nothing else, the "
            f"last was {error.last_worker.address}. Give workers more memory, or cut the source into smaller ones."
        ) from error


def _feed(
    client: Any, function: Callable[[Any], object], items: Sequence[Any], window: int
) -> list[tuple[Any, KilledWorker]]:
    """Feed items to the cluster, a window at a time; returns those that the scheduler gave up, with its reason."""
    work = functools.partial(_do, function)
    token = uuid.uuid4().hex[:8]
    waiting, running = deque(items), dict[str, tuple[Any, Any]]()  # key -> future, item
    finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
    given_up = []
    while waiting or running:
        if waiting and len(running) <= window // 2:
            batch = [waiting.popleft() for _ in range(min(window - len(running), len(waiting)))]
            keys = [f"{item.label}-{token}" for item in batch]
            futures = client.map(work, batch, key=keys, retries=_RETRIES, pure=False)
            for future, item in zip(futures, batch, strict=True):
                running[future.key] = future, item
                future.add_done_callback(finished.put)
        future = _next(client, finished, running)
        item = running.pop(future.key)[1]
        if error := _checked(future, item):
            given_up.append((item, error))
    return given_up


def _do(function: Callable[[Any], object], item: Any) -> None:
    """Runs on a worker; nothing is sent back."""
    function(item)


def _next(client: Any, finished: queue.SimpleQueue[Any], running: dict[str, tuple[Any, Any]]) -> Any:
    """The next finished future; raises where none can come any more."""
    seen = time.monotonic()
    while True:
        try:
            return finished.get(timeout=_LOOK)
        except queue.Empty:
            if client.status not in ("running", "connecting"):
                raise ClusterFailed(_lost("the Dask scheduler is gone", running)) from None
            if client.status == "connecting" or client.scheduler_info(n_workers=1)["workers"]:
                seen = time.monotonic()
            elif time.monotonic() - seen > _PATIENCE:
                told = f"the Dask cluster lost its last worker, and no other came within {_PATIENCE:.0f} s"
                raise ClusterFailed(_lost(told, running)) from None


def _checked(future: Any, item: Any) -> KilledWorker | None:
    """None for an item that is done; other errors than the loss of workers are raised."""
    if future.status == "finished":
        return None
    if future.status != "error":
        raise ClusterFailed(_lost("the Dask scheduler is gone, or has cancelled the tasks", {"": (future, item)}))
    from distributed import KilledWorker

    error = future.exception()
    if isinstance(error, KilledWorker):
        return error
    if isinstance(error, AilabError):
        raise error
    told = " ".join(f"{type(error).__name__}: {error}".split())
    raise ClusterFailed(f"{spoken(item)}: failed on the Dask cluster ({told}).") from error


def _lost(what: str, running: dict[str, tuple[Any, Any]]) -> str:
    first = [spoken(item) for _, item in list(running.values())[:3]]
    return (
        f"{what}, while {len(running)} tasks were under way ({'; '.join(first)}). Whole shards are kept: prepare it "
        "again to go on."
    )
