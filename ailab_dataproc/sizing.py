"""Bytes wanted and bytes there: Need and Machine, of this process or of a Dask cluster."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from ailab_dataproc import gpus as nvml
from ailab_dataproc.cluster import asking
from ailab_dataproc.cluster.current import current_client
from ailab_dataproc.machine import free_memory, processors


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a load asks for, exact from the index; with filters, no more than that."""

    rows: int
    bytes: int  # of the selected columns and rows, as Arrow
    largest: int  # bytes of what is read of the largest shard, as Arrow
    shards: int
    schema: pa.Schema  # of the selected columns
    columns: Mapping[str, int]  # bytes of each selected column, as Arrow; they sum to `bytes`
    nulls: str = "refuse"  # or "mask": what backends without a null are to do with nullable columns
    dtypes: str = "arrow"  # or "numpy": what pandas and Dask hold columns as
    filtered: bool = False  # whether filters will leave fewer rows and bytes
    whole: bool = False  # whether it is most columns of whole shards on a disk, which a library's own reader may read
    threads: int = 1  # that read shards at a time
    distinct: Mapping[str, int] = field(default_factory=dict)  # values of text columns, about, where that is known


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker of a Dask cluster."""

    free: int  # bytes
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this process may use now; or, from `of`, what a Dask cluster may."""

    memory: int  # bytes free
    cpus: int
    gpus: tuple[int, ...] = ()  # free bytes of each visible GPU
    devices: tuple[nvml.Gpu, ...] = ()  # the same GPUs: their names, UUIDs and all of their bytes
    no_gpu: str = ""  # why none is visible
    address: str = ""  # of the cluster's scheduler; empty for this process
    workers: tuple[Worker, ...] = ()  # of the cluster
    cluster: Machine | None = None  # that this process is connected to: lazy backends work there

    @classmethod
    def here(cls) -> Machine:
        """Look at this machine; no GPU context is made."""
        devices, reason = nvml.look()
        return cls(
            memory=free_memory(),
            cpus=processors(),
            gpus=tuple(one.free for one in devices),
            devices=devices,
            no_gpu=reason,
        )

    @classmethod
    def of(cls, client: Any, *, idle: bool = False) -> Machine:
        """Look at a Dask cluster: what its scheduler knows, and the free memory and GPUs that its workers see.

        Args:
            client: a `distributed.Client`; not an asynchronous one.
            idle: whether to take all that its workers may ever use as free.
        """
        found = client.scheduler_info(n_workers=-1)["workers"]
        looked = client.sync(asking.run, client.scheduler, _look) if found else {}
        hosts: dict[str, list[tuple[Worker, int]]] = {}  # each worker, and what is free around it
        devices: dict[str, nvml.Gpu] = {}
        reason = "the cluster has no worker"
        for address, one in found.items():
            room, gpus, reason = _checked(looked.get(address), address)
            used = 0 if address.startswith("inproc:") else one["metrics"]["memory"]  # there it is this process's
            limit = one["memory_limit"] or room + used
            if idle:
                room, used, gpus = sys.maxsize, 0, tuple(replace(gpu, free=gpu.total) for gpu in gpus)
            free = max(min(limit - used, room), 0)
            hosts.setdefault(str(one["host"]), []).append((Worker(free, one["nthreads"]), room))
            devices |= {gpu.uuid: gpu for gpu in gpus}
        workers = tuple(worker for those in hosts.values() for worker, _ in those)
        return cls(
            memory=sum(
                min(sum(worker.free for worker, _ in those), *(room for _, room in those)) for those in hosts.values()
            ),
            cpus=sum(worker.threads for worker in workers),
            gpus=tuple(one.free for one in devices.values()),
            devices=tuple(devices.values()),
            no_gpu="" if devices else reason,
            address=str(client.scheduler.address),
            workers=workers,
        )

    def with_cluster(self) -> Machine:
        """The same, with the Dask cluster that this process is connected to, if there is one."""
        client = _connected()
        return replace(self, cluster=Machine.of(client)) if client else self

    def under(self, family: str) -> Machine:
        """What backends of a family use: lazy ones the cluster, if it has a worker."""
        return self.cluster if family == "lazy" and self.cluster and self.cluster.workers else self

    def threads(self, tasks: int) -> int:
        """How many threads work on so many tasks."""
        return max(min(self.cpus, tasks), 1)

    def a_thread(self, tasks: int) -> int:
        """Bytes free for each thread, where it has the fewest, with so many tasks to share."""
        if self.workers:
            return min(one.free // max(min(one.threads, tasks), 1) for one in self.workers)
        return self.memory // self.threads(tasks)


def _look() -> tuple[int, tuple[nvml.Gpu, ...], str]:
    """What a worker sees: free memory, GPUs, and why there is none."""
    return (free_memory(), *nvml.look())


def _checked(look: Any, address: str) -> tuple[int, tuple[nvml.Gpu, ...], str]:
    """What a worker said; where it is gone, or an exception came back, that nothing limits it and no GPU is known."""
    return look if isinstance(look, tuple) else (sys.maxsize, (), f"the worker {address} can't tell ({look!r})")


def _connected() -> Any:
    """The client that Dask would use now, if it can be asked."""
    client = current_client()
    return client if client and client.status == "running" and not client.asynchronous else None
