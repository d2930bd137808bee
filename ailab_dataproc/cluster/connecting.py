"""connect: a Dask client from the address of a scheduler or the name of a configuration."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from typing import Any

from ailab_dataproc.cluster.configs import TLS, Cluster, find_cluster
from ailab_dataproc.errors import ClusterFailed, InvalidRequest, MissingLibrary, SettingsError, require


@contextlib.contextmanager
def connect(cluster: str, *, timeout: float = 10.0) -> Iterator[Any]:
    """Connect to a Dask cluster while the block runs; a cluster that is started here is closed with it.

    Args:
        cluster: the address of a scheduler (``tcp://host:8786``, ``tls://host:8786``), the name of a file in
            ``~/.config/ailab_dataproc/clusters`` or of those that come with the package, or a path to such a file.
        timeout: seconds to wait for the scheduler.

    Yields:
        The `distributed.Client`.

    Raises:
        UnknownName: there is no such configuration.
        SettingsError: the configuration can't be understood.
        ClusterFailed: no scheduler answers, or the cluster doesn't start.
    """
    found = find_cluster(cluster)
    require("distributed", "dask")
    distributed = importlib.import_module("distributed")
    with contextlib.ExitStack() as stack:
        place = found.address or stack.enter_context(_started(found))
        try:
            client = distributed.Client(place, timeout=timeout, **_security(found))
        except (OSError, ValueError) as error:
            raise ClusterFailed(
                f"{found.address or found.name}: no Dask scheduler answers within {timeout:.0f} s "
                f"({_first_line(error)}). Start it with `dask scheduler`, or mend the address."
            ) from error
        yield stack.enter_context(client)


def _security(cluster: Cluster) -> dict[str, Any]:
    if not cluster.security:
        return {}
    files = {TLS[key]: path for key, path in cluster.security.items()}
    return {"security": importlib.import_module("distributed").Security(require_encryption=True, **files)}


@contextlib.contextmanager
def _started(cluster: Cluster) -> Iterator[Any]:
    kind = _class(cluster)
    try:
        with _main_stays_here():
            started = kind(**cluster.options)
    except TypeError as error:
        raise InvalidRequest(f"cluster {cluster.name!r}: {cluster.kind} refuses its options ({error}).") from error
    except Exception as error:  # such as NVML's own, where there is no driver
        raise ClusterFailed(f"cluster {cluster.name!r}: {cluster.kind} didn't start ({_first_line(error)}).") from error
    with started:
        yield started


@contextlib.contextmanager
def _main_stays_here() -> Iterator[None]:
    """A script without `if __name__ == "__main__"` isn't run again in each process, where it would start clusters too.

    Multiprocessing runs no main module of this name again. Dask sends what a script defines by value.
    """
    main: Any = sys.modules["__main__"]
    before = main.__spec__
    main.__spec__ = ModuleSpec("__main__", None)
    try:
        yield
    finally:
        main.__spec__ = before


def _class(cluster: Cluster) -> Any:
    module, _, name = (cluster.kind or "").partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, ValueError) as error:
        raise MissingLibrary(
            f"cluster {cluster.name!r}: {cluster.kind!r} can't be imported ({error}). Install its library."
        ) from error
    except AttributeError as error:
        raise SettingsError(f"cluster {cluster.name!r}: {module} has no {name!r}. Wanted module:Class.") from error


def _first_line(error: BaseException) -> str:
    while error.__cause__:  # Dask wraps what went wrong in a worker's process
        error = error.__cause__
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
