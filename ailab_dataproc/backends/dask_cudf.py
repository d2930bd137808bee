"""A Dask frame of cudf partitions, on one GPU or many: the lazy frame of `partitions`, read as `cudf` reads."""

from __future__ import annotations

import atexit
import importlib.util
import logging
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends import device
from ailab_dataproc.backends.cudf import read_parts, to_arrow
from ailab_dataproc.backends.partitions import collected, grouped, partitioned
from ailab_dataproc.backends.shards import Selection
from ailab_dataproc.cluster import open_client
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
    device = "gpu"

    def peak(self, need: Need) -> int:
        """Memory of a GPU: the largest shard, and what is decoded meanwhile."""
        return int(need.largest * device.FACTOR)

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """Refuses without a GPU or its libraries, types that cuDF lacks, and a shard that fits into no GPU.

        The machine is the connected cluster where there is one. This process needs a GPU too: for the dtypes of an
        empty frame.
        """
        without = lacking(machine) if machine.address else None
        return without or device.refusal(need, machine, _LIBRARIES, "dask") or shard_too_large(self.peak(need), machine)

    def read(self, selection: Selection) -> Any:
        """A lazy frame, a partition a group of shards.

        Raises:
            BackendRefused: a client is connected, and its workers can't work on GPUs.
            ClusterFailed: no cluster could be started on the GPUs of this machine.
        """
        total = sum(part.bytes for part in selection.parts)
        devices = _devices(total)
        most = min(device.partition_bytes(devices.smallest, devices.threads, selection.schema), spread(total, devices))
        groups = list(grouped(selection.parts, most, device.MOST))
        return partitioned(groups, selection.schema, read_parts, _meta(selection.schema))

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


def lacking(cluster: Machine) -> str | None:
    """Why a connected Dask cluster can't compute on GPUs, or None."""
    if cluster.gpus:
        return None
    return (
        f"the connected Dask cluster at {cluster.address} has no GPU ({cluster.no_gpu}); "
        "start its workers with `dask cuda worker`, or close the client"
    )


def shard_too_large(peak: int, machine: Machine) -> str | None:
    """Why the largest shard doesn't fit into each GPU that will compute, or None."""
    smallest = _smallest(machine) if machine.address else min(machine.gpus)
    if peak <= smallest:
        return None
    return f"its largest shard needs {count_bytes(peak)}, the smallest GPU has {count_bytes(smallest)}"


def _smallest(cluster: Machine) -> int:
    """All memory of the smallest GPU: what is free tells nothing where workers took it for a pool."""
    return min(one.total for one in cluster.devices)


def _devices(total: int) -> Devices:
    """The GPUs of the connected cluster, of one that is started here, or the one of this process."""
    machine = Machine.here().with_cluster()
    if not machine.gpus:
        raise BackendRefused(f"backend 'dask_cudf': no GPU visible in this process ({machine.no_gpu}).")
    if machine.cluster is None and needs_cluster(machine.gpus, total):
        _start(machine)
        machine = Machine.here().with_cluster()
    cluster = machine.cluster
    if cluster is None:
        return Devices(machine.gpus[0], 1, machine.cpus)
    refusal = lacking(cluster) or uninstalled()
    if refusal:
        raise BackendRefused(f"backend 'dask_cudf': {refusal}.")
    return Devices(_smallest(cluster), len(cluster.workers), max(one.threads for one in cluster.workers))


def _meta(schema: pa.Schema) -> Any:
    """A cudf frame without rows; Dask takes categories for the same in all partitions if they aren't unknown."""
    import cudf
    import dask_cudf  # noqa: F401 - it tells Dask what to make of cudf frames
    from dask.dataframe.utils import UNKNOWN_CATEGORIES

    frame = read_parts((), schema)
    for field in schema:
        if t.is_dictionary(field.type):
            unknown = cudf.CategoricalDtype([UNKNOWN_CATEGORIES], ordered=False)
            frame[field.name] = cudf.Series([], dtype=unknown)
    return frame


def uninstalled() -> str | None:
    """Which library a worker of the connected cluster lacks, or None."""
    from distributed import Client

    current: Any = Client
    for address, libraries in current.current().run(_missing).items():
        if libraries:
            return (
                f"the worker {address} of the connected Dask cluster has no {' and no '.join(libraries)}; "
                "pip install 'ailab_dataproc[gpu]' there, or close the client"
            )
    return None


def _missing() -> list[str]:
    """On a worker: the libraries that aren't installed there."""
    return [one for one in ("cudf", "dask_cudf") if importlib.util.find_spec(one) is None]


def _start(machine: Machine) -> None:
    """A worker for each GPU of this machine, as configs/clusters/gpu.yaml says, until this process ends."""
    device.count_as_nvml()
    _log.info(
        "dask_cudf: starting a worker for each of %d GPUs, until this process ends (configs/clusters/gpu.yaml). "
        "Connect a dask.distributed.Client of your own before, and it is used instead.",
        len(machine.gpus),
    )
    atexit.register(open_client("gpu", timeout=60).close)
