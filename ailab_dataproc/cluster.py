"""connect: a Dask client from the address of a scheduler or the name of a configuration."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from ailab_dataproc import configuration
from ailab_dataproc.errors import ClusterFailed, InvalidRequest, MissingLibrary, SettingsError, require, unknown

# The keys of configs/clusters/*.yaml, and of their `security:`.
_KEYS: dict[str, type | tuple[type, ...]] = {"address": str, "security": dict, "cluster": str, "options": dict}
_TLS = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where a cluster is (`address`), or how one is started (`kind`)."""

    name: str  # of the configuration, or the address
    address: str | None = None
    security: Mapping[str, str] = field(default_factory=dict)  # the files of TLS: ca, cert, key
    kind: str | None = None  # "module:Class", such as "distributed:LocalCluster"
    options: Mapping[str, Any] = field(default_factory=dict)  # of the class, passed on unread


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


def find_cluster(cluster: str) -> Cluster:
    """What an address, a name or a path stands for; nothing is connected or started."""
    if "://" in cluster:
        return Cluster(name=cluster, address=cluster)
    file = configuration.find("clusters", cluster)
    if file is None:
        names = configuration.names("clusters")
        raise unknown("cluster", cluster, names, hint="An address is written tcp://host:port.")
    values = configuration.read(file, _KEYS)
    if ("address" in values) == ("cluster" in values):
        raise SettingsError(
            f"{file}: found {' and '.join(values) or 'nothing'}, wanted either address: tcp://host:port "
            "or cluster: module:Class. Keep one of the two."
        )
    return Cluster(
        name=file.stem,
        address=values.get("address"),
        security=_files(file, values.get("security", {})),
        kind=values.get("cluster"),
        options=values.get("options", {}),
    )


def _files(config: Path, security: Mapping[Any, Any]) -> dict[str, str]:
    found = {}
    for key, value in security.items():
        if key not in _TLS:
            raise SettingsError(str(unknown("key", str(key), _TLS, where=f"{config}: security")))
        path = Path(str(value)).expanduser()
        if not path.is_file():
            raise SettingsError(f"{config}: security: {key}: {path} does not exist. Ask who runs the cluster for it.")
        found[key] = str(path)
    return found


def _security(cluster: Cluster) -> dict[str, Any]:
    if not cluster.security:
        return {}
    files = {_TLS[key]: path for key, path in cluster.security.items()}
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
