"""A Dask frame of cudf partitions, on one GPU or many: the lazy frame of `partitions`, read as `cudf` reads."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import logging
import os
import sys
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ailab_dataproc.backends import device
from ailab_dataproc.backends.cudf import read_parts, to_arrow
from ailab_dataproc.backends.partitions import collected, grouped, partitioned
from ailab_dataproc.backends.shards import Selection
from ailab_dataproc.cluster import connect
from ailab_dataproc.errors import BackendRefused
from ailab_dataproc.report import count_bytes
from ailab_dataproc.sizing import Machine, Need

_LIBRARIES = ("cudf", "dask_cudf", "dask_cuda")
_EACH = 4  # partitions for each GPU at least, where there are enough shards: else some would wait for the last
_log = logging.getLogger("ailab_dataproc")


@dataclass(frozen=True, slots=True)
class Devices:
    """The GPUs that will compute."""

    smallest: int  # bytes of memory of the smallest
    count: int
    threads: int  # that use one at a time


class DaskCuDF:
    """Backend "dask_cudf". Nothing of it that needs a GPU has been run yet."""

    returns = "dask_cudf.DataFrame"
    family = "lazy"

    def peak(self, need: Need) -> int:
        """Memory of a GPU: the largest shard, and what is decoded meanwhile."""
        return int(need.largest * device.FACTOR)

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """Refuses without a GPU or its libraries, types that cuDF lacks, and a shard that fits into no GPU."""
        refusal = device.refusal(need, machine, _LIBRARIES, "dask")
        if refusal:
            return refusal
        wanted, smallest = self.peak(need), min(machine.gpus)
        if wanted > smallest:
            return f"its largest shard needs {count_bytes(wanted)}, the smallest GPU has {count_bytes(smallest)} free"
        return None

    def read(self, selection: Selection) -> Any:
        """A lazy frame, a partition a group of shards.

        Raises:
            BackendRefused: a client is connected, and its workers can't work on GPUs.
            ClusterFailed: no cluster could be started on the GPUs of this machine.
        """
        total = sum(part.bytes for part in selection.parts)
        devices = _devices(total)
        import dask_cudf  # noqa: F401 - it tells Dask what to make of cudf frames

        most = min(device.partition_bytes(devices.smallest, devices.threads, selection.schema), spread(total, devices))
        groups = list(grouped(selection.parts, most, device.MOST))
        return partitioned(groups, selection.schema, read_parts)

    def to_arrow(self, frame: Any, schema: pa.Schema) -> pa.Table:
        """The computed frame as a table of the declared schema."""
        return collected(frame, schema, to_arrow)


def spread(total: int, devices: Devices) -> int:
    """Bytes of a partition that leave some for each GPU."""
    return -(-total // (devices.count * _EACH))


def needs_cluster(gpus: tuple[int, ...], total: int) -> bool:
    """Whether one process with one GPU isn't enough.

    Args:
        gpus: free bytes of each.
        total: Arrow bytes of the data.
    """
    return len(gpus) > 1 or total * device.FACTOR > gpus[0]


def devices_of(client: Any) -> Devices:
    """The GPUs of a Dask cluster.

    Raises:
        BackendRefused: it has no worker, or one without a GPU or cuDF.
    """
    found = client.run(_look)
    if not found:
        raise BackendRefused("backend 'dask_cudf': the connected Dask cluster has no worker. Start `dask cuda worker`.")
    for address, said in found.items():
        if isinstance(said, str):
            raise BackendRefused(
                f"backend 'dask_cudf': {said} at worker {address} of the connected Dask cluster. "
                "Start its workers with `dask cuda worker`, or close the client."
            )
    return Devices(min(found.values()), len(found), max(client.nthreads().values()))


def _devices(total: int) -> Devices:
    """The GPUs of the connected cluster, of one that is started here, or the one of this process."""
    client = _connected()
    if client is None:
        machine = Machine.here()
        if not machine.gpus:
            raise BackendRefused("backend 'dask_cudf': no GPU visible any more. Look at nvidia-smi.")
        if not needs_cluster(machine.gpus, total):
            return Devices(machine.gpus[0], 1, machine.cpus)
        client = _start(machine)
    return devices_of(client)


def _connected() -> Any | None:
    if "distributed" not in sys.modules:  # who has a client has imported it
        return None
    from distributed import Client

    try:
        return Client.current()
    except ValueError:  # there is none
        return None


def _start(machine: Machine) -> Any:
    """A worker for each GPU of this machine, as configs/clusters/gpu.yaml says, until this process ends."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # as NVML counts: CUDA's own order is another
    _log.info(
        "dask_cudf: starting a worker for each of %d GPUs, until this process ends (configs/clusters/gpu.yaml). "
        "Connect a dask.distributed.Client of your own before, and it is used instead.",
        len(machine.gpus),
    )
    stack = contextlib.ExitStack()
    client = stack.enter_context(connect("gpu", timeout=60))
    atexit.register(stack.close)
    return client


def _look() -> int | str:
    """On a worker: the memory of its GPU in bytes, or what it lacks."""
    if not Machine.here().gpus:
        return "no GPU visible"
    if importlib.util.find_spec("cudf") is None:
        return "cudf is not installed"
    import cupy

    return int(cupy.cuda.runtime.memGetInfo()[1])
