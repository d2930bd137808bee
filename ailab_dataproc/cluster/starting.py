"""Starting a cluster of the kind that a configuration names, with the library's own options."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import threading
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec
from typing import Any

from ailab_dataproc.cluster.configs import Cluster
from ailab_dataproc.cluster.diagnosis import first_line
from ailab_dataproc.cluster.security import FILES, check_address, roles
from ailab_dataproc.errors import AilabError, ClusterFailed, InvalidRequest, MissingLibrary, SettingsError, require
from ailab_dataproc.machine import free_memory, processors

# The extra that brings the library of a kind.
_EXTRAS = {
    "distributed": "dask",
    "dask_cuda": "gpu",
    "dask_gateway": "gateway",
    "dask_jobqueue": "slurm",
    "dask_kubernetes": "kubernetes",
}
_lock = threading.Lock()
_away: list[Any] = []  # the spec of the main module, and an item for each process that is being started


def start(cluster: Cluster) -> Any:
    """Start what a configuration describes; the caller closes it.

    Raises:
        MissingLibrary: the library of this kind isn't installed.
        SettingsError: it has no such class.
        InvalidRequest: the class refuses its options, or workers would be reached unencrypted.
        ClusterFailed: it doesn't start.
    """
    import dask

    kind = _class(cluster)
    options = dict(cluster.options)
    if cluster.fit_to_machine:
        options = {**_fitting(options), **options}
    if cluster.kind == "distributed:LocalCluster" and options.get("processes", True):
        options.setdefault("worker_class", _nanny())
    tls = roles(cluster.security) if cluster.security else {}
    if tls:
        options.setdefault("security", _security(cluster.security))
    try:
        with contextlib.ExitStack() as failed:
            with dask.config.set(tls), _main_stays_here():
                started = kind(**options)
            failed.callback(started.close)
            check_address(str(started.scheduler_address), f"cluster {cluster.name!r}", insecure=cluster.insecure)
            if cluster.scale is not None:
                started.scale(cluster.scale)
            if cluster.adapt:
                started.adapt(**cluster.adapt)
            failed.pop_all()
    except AilabError:
        raise
    except TypeError as error:
        raise InvalidRequest(f"cluster {cluster.name!r}: {cluster.kind} refuses its options ({error}).") from error
    except Exception as error:  # such as NVML's own, where there is no driver
        raise ClusterFailed(f"cluster {cluster.name!r}: {cluster.kind} didn't start ({first_line(error)}).") from error
    return started


def _security(files: Mapping[str, str]) -> Any:
    distributed: Any = importlib.import_module("distributed")
    given: dict[str, Any] = {FILES[key]: path for key, path in files.items()}
    for role in ("scheduler", "worker"):
        given |= {f"tls_{role}_{key}": files[key] for key in ("cert", "key") if key in files}
    return distributed.Security(require_encryption=True, **given)


def _fitting(options: Mapping[str, Any]) -> dict[str, Any]:
    """A process a core, and free memory shared out: Dask itself looks at the topmost cgroup, and at all memory."""
    count = options.get("n_workers") or max(processors() // (options.get("threads_per_worker") or 1), 1)
    return {"n_workers": count, "memory_limit": free_memory() // count}


@contextlib.contextmanager
def _main_stays_here() -> Iterator[None]:
    """A script without `if __name__ == "__main__"` isn't run again in each process, where it would start clusters too.

    Multiprocessing runs no main module of this name again. Dask sends what a script defines by value.
    """
    main: Any = sys.modules["__main__"]
    with _lock:
        if not _away:  # several processes may be started at a time
            _away.append(main.__spec__)
            main.__spec__ = ModuleSpec("__main__", None)
        _away.append(None)
    try:
        yield
    finally:
        with _lock:
            _away.pop()
            if len(_away) == 1:
                main.__spec__ = _away.pop()


@functools.cache
def _nanny() -> Any:
    """A nanny that keeps to this when it starts a worker later: another one, or one that died."""
    distributed: Any = importlib.import_module("distributed")

    class Nanny(distributed.Nanny):  # type: ignore[misc]
        """Of a cluster on this machine."""

        async def instantiate(self) -> Any:
            """Start the worker's process."""
            with _main_stays_here():
                return await super().instantiate()

    return Nanny


def _class(cluster: Cluster) -> Any:
    module, _, name = (cluster.kind or "").partition(":")
    package = module.partition(".")[0]
    if package in _EXTRAS:
        require(package, _EXTRAS[package])
    if name == "SSHCluster":
        require("asyncssh", "ssh")
    try:
        return functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, ValueError) as error:
        raise MissingLibrary(
            f"cluster {cluster.name!r}: {cluster.kind!r} can't be imported ({error}). Install its library."
        ) from error
    except AttributeError as error:
        raise SettingsError(f"cluster {cluster.name!r}: {module} has no {name!r}. Wanted module:Class.") from error
