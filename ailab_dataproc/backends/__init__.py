"""The backends by name, each imported when it is first asked for."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from ailab_dataproc.errors import unknown

if TYPE_CHECKING:
    import pyarrow as pa

    from ailab_dataproc.backends.shards import Selection
    from ailab_dataproc.sizing import Machine, Need


class Backend(Protocol):
    """One way to hand data to a researcher."""

    returns: str  # the type that `read` returns, for people
    family: str  # "eager": all rows in memory; "lazy": on demand

    def peak(self, need: Need) -> int:
        """Bytes of memory that `read` takes at its peak, beside what the process has; of a lazy one, at a time."""

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """A sentence that says why not, or None where this backend can do it."""

    def read(self, selection: Selection) -> Any:
        """The selected rows as this backend's own object."""

    def to_arrow(self, frame: Any, schema: pa.Schema) -> pa.Table:
        """What `read` returned, as an Arrow table of the declared schema."""


# Others add to it: BACKENDS["mine"] = "my_package.module:MyBackend".
BACKENDS = {
    "arrow": "ailab_dataproc.backends.arrow:Arrow",
    "numpy": "ailab_dataproc.backends.numpy:NumPy",
    "pandas": "ailab_dataproc.backends.pandas:Pandas",
    "polars": "ailab_dataproc.backends.polars:Polars",
    "dask": "ailab_dataproc.backends.dask:Dask",
    "cudf": "ailab_dataproc.backends.cudf:CuDF",
    "dask_cudf": "ailab_dataproc.backends.dask_cudf:DaskCuDF",
    "tf": "ailab_dataproc.backends.tf:Tf",
    "torch": "ailab_dataproc.backends.torch:Torch",
}


@cache
def backend(name: str) -> Backend:
    """The backend of a name.

    Raises:
        UnknownName: there is none, with the nearest names.
    """
    if name not in BACKENDS:
        raise unknown("backend", name, [*BACKENDS, "auto"])
    module, _, kind = BACKENDS[name].partition(":")
    return cast(Backend, getattr(importlib.import_module(module), kind)())


def on_gpu(one: Backend) -> bool:
    """Whether a backend's memory is a GPU's: its class says ``device = "gpu"``."""
    return getattr(one, "device", "cpu") == "gpu"


def too_large(peak: int, need: Need, machine: Machine) -> str | None:
    """The sentence of an eager backend whose memory doesn't suffice, or None.

    Args:
        peak: bytes that it will take.
        need: what is asked for.
        machine: what is there; half of its free memory may be used.
    """
    from ailab_dataproc.report import count_bytes

    if peak <= machine.memory // 2:
        return None
    return (
        f"needs {count_bytes(peak)} ({peak / max(need.bytes, 1):.1f} x data), half of the free memory is "
        f"{count_bytes(machine.memory // 2)}"
    )
