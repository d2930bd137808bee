"""The GPUs that a measurement of the gpu suite uses: which, a pool or a cluster, the peak of their memory, spilling.

Nothing of this has been run on a GPU: it was written against the source of cuDF, RMM and dask-cuda 26.10.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from ailab_dataproc.cluster import connect, find_cluster
from ailab_dataproc.sizing import Machine

_SHARE = 0.5  # of the free memory of a GPU, for a pool; the planner counts the rest as free
_START = 120  # seconds that a cluster may take


class Place:
    """Where a way works: this process, or the workers of a cluster; with a GPU or without."""

    def __init__(self, gpu: bool, client: Any = None) -> None:
        self._gpu, self._client = gpu, client

    def each(self, function: Callable[..., Any], *values: Any) -> list[Any]:
        """What a function returns in every process that has a GPU."""
        if not self._gpu:
            return []
        return list(self._client.run(function, *values).values()) if self._client else [function(*values)]

    def watch(self) -> None:
        """Count from now on what is allocated on the GPUs."""
        self.each(_watch)

    def settle(self) -> None:
        """Wait for what the GPUs still have to do: calls return before their work is done."""
        self.each(_settle)

    def measured(self) -> dict[str, int]:
        """The peak of the memory of all GPUs since `watch`, in bytes, and the bytes that were spilled to the host."""
        found = self.each(_measured)
        return {name: sum(one[name] for one in found) for name in ("device_memory", "spilled")} if found else {}


@contextlib.contextmanager
def place(*, gpu: bool, workers: int | None = None, pool: int | None = None) -> Iterator[Place]:
    """Make this process see as many GPUs as a way needs, before it touches one, and start the rest.

    Args:
        gpu: whether the way works on GPUs.
        workers: of a cluster as configs/clusters/gpu.yaml says, one a GPU; None: no cluster.
        pool: bytes of each GPU, and no more; what doesn't fit is spilled to the host. 0: a pool of half of the GPU,
            without spilling. None: what cuDF does by itself, or the pool of the cluster's configuration.
    """
    if not gpu:
        yield Place(gpu=False)
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(one.uuid for one in Machine.here().devices[: workers or 1])
    if workers is None:
        if pool is not None:
            _pool(pool or int(Machine.here().gpus[0] * _SHARE), spill=bool(pool))
        yield Place(gpu=True)
        return
    with contextlib.ExitStack() as stack:
        config = _config(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-gpu-")), pool)
        client = stack.enter_context(connect(config, timeout=_START))
        client.wait_for_workers(workers, timeout=_START)
        yield Place(gpu=True, client=client)


def _config(folder: str, pool: int | None) -> str:
    """The shipped cluster, or one like it with a smaller pool."""
    shipped = find_cluster("gpu")
    options: dict[str, Any] = {**shipped.options, "cudf_spill_stats": 1, "local_directory": folder}
    if pool:
        options |= {"rmm_pool_size": pool, "rmm_maximum_pool_size": pool}
    file = Path(folder) / "gpu.yaml"
    file.write_text(yaml.safe_dump({"cluster": shipped.kind, "options": options}))
    return str(file)


def _pool(size: int, *, spill: bool) -> None:
    """Take memory once, and all later memory from it; where it ends, frames go to the host, oldest first."""
    import cudf
    import rmm

    size = size // 256 * 256  # RMM takes no other
    rmm.reinitialize(pool_allocator=True, initial_pool_size=size, maximum_pool_size=size)
    if spill:
        cudf.set_option("spill_stats", 1)
        cudf.set_option("spill", True)


def _watch() -> None:
    """In a process with a GPU: the counter must be the topmost of what hands out memory, so spilling comes first."""
    import rmm.statistics
    from cudf.core.buffer.spill_manager import get_global_manager

    get_global_manager()
    rmm.statistics.enable_statistics()
    rmm.statistics.push_statistics()


def _settle() -> None:
    import cupy

    cupy.cuda.runtime.deviceSynchronize()


def _measured() -> dict[str, int]:
    import rmm.statistics
    from cudf.core.buffer.spill_manager import get_global_manager

    counted, manager = rmm.statistics.pop_statistics(), get_global_manager()
    spilled = manager.statistics.spill_totals["gpu", "cpu"][0] if manager else 0
    return {"device_memory": counted.peak_bytes, "spilled": spilled}
