"""connect: a Dask client from the address of a scheduler or the name of a configuration."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import os
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any

from ailab_dataproc.cluster import asking, diagnosis, versions
from ailab_dataproc.cluster.configs import Cluster, find_cluster
from ailab_dataproc.cluster.elsewhere import elsewhere
from ailab_dataproc.cluster.security import scheme_of, security_for
from ailab_dataproc.cluster.starting import start
from ailab_dataproc.errors import ClusterFailed, require
from ailab_dataproc.notebook import in_notebook
from ailab_dataproc.settings import load_settings

if TYPE_CHECKING:
    from distributed import Client

_AGAIN = 30.0  # seconds that a client looks for its scheduler when that is restarted
_GRACE = 1.0  # seconds for Dask to say that its time is up
_WORKERS = 10.0  # seconds, more than `asking` waits for silent workers
_shown: set[str] = set()  # dashboards whose link was printed


def connect(name: str | None = None, *, timeout: float = 10.0) -> Client:
    """Connect to a Dask cluster; a cluster that is started here ends when the client is closed.

    Use it as ``with connect() as client:`` or, in a notebook, as ``client = connect()``. Where somebody is looking, the
    dashboard's link is printed once.

    Args:
        name: the address of a scheduler (``tls://host:8786``), the name of a file in
            ``~/.config/ailab_dataproc/clusters`` or of those that come with the package, or a path to such a file. By
            default, inside a job the job's own cluster, else the setting ``cluster``, else ``"local"``.
        timeout: seconds to wait for the scheduler.

    Raises:
        UnknownName: there is no such configuration.
        SettingsError: the configuration, or a certificate, can't be understood.
        InvalidRequest: the address isn't encrypted, and not on this machine.
        MissingLibrary: the library of this kind of cluster isn't installed.
        ClusterFailed: no scheduler answers, it refuses the certificate, the cluster doesn't start, or it has versions
            that don't go together with those here.
    """
    client = open_client(name, timeout=timeout)
    _show_dashboard(client)
    return client


def open_client(name: str | None = None, *, timeout: float = 10.0) -> Client:
    """As `connect`, without a word: for what uses a cluster on the way."""
    require("distributed", "dask")
    found = _own() if name is None else find_cluster(name)
    if found.address:
        security = security_for(found.address, found.security, found.name)
        return _client(found.address, security, timeout=timeout)
    started = start(found)
    try:
        client = _client(
            str(started.scheduler_address), getattr(started, "security", None), timeout=timeout, started=started
        )
    except BaseException:
        started.close()
        raise
    return client


def check_versions(client: Any) -> None:
    """Compare the versions of a cluster with those here again: workers may have come since.

    Raises:
        ClusterFailed: one of them doesn't go together with what is here.
    """
    told = client.sync(asking.ask_versions, client.scheduler)
    versions.check(str(client.scheduler.address), told, versions.here())


def _own() -> Cluster:
    """The cluster that is meant where none is named."""
    import dask

    job = os.environ.get("AILAB_JOB")
    if not job:
        return find_cluster(load_settings().cluster or "local")
    address = dask.config.get("scheduler-address", None)
    if not address:
        raise ClusterFailed(f"job {job}: its environment has no DASK_SCHEDULER_ADDRESS. Name a cluster: connect(name).")
    return Cluster(name=address, address=address, insecure=True)  # who submitted it has chosen this cluster


def _client(address: str, security: Any, *, timeout: float, started: Any = None) -> Client:
    if scheme_of(address) != "inproc":  # there everything is this very process
        told = _ask(address, security, timeout)
        versions.check(address, told, versions.here())
    from distributed.versions import VersionMismatchWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)  # a table of what has been looked at above
        place = address if started is None else started
        client = _client_class()(place, timeout=max(timeout, _AGAIN), security=security)
    client._ailab_started = started
    return client


@functools.cache
def _client_class() -> Any:
    """Made late: importing distributed takes half a second."""
    distributed: Any = importlib.import_module("distributed")

    class Client(distributed.Client):  # type: ignore[misc]
        """A client with which the cluster that was started for it ends."""

        _ailab_started: Any = None

        def close(self, *args: Any, **kwargs: Any) -> Any:
            """Close the client, then its cluster."""
            closing: Any = super().close(*args, **kwargs)
            started, self._ailab_started = self._ailab_started, None
            if started is not None:
                started.close()
            return closing

    return Client


def _ask(address: str, security: Any, timeout: float) -> versions.Told:
    """The versions of a cluster. Dask's client would wait for ever on what accepts a connection and says nothing."""
    arguments = security.get_connection_args("client") if security else {}
    context = arguments.get("ssl_context")
    if scheme_of(address) in ("tcp", "tls") and not diagnosis.resolves(address):
        raise diagnosis.explain(address, context, timeout, OSError("unknown host"))

    async def ask() -> versions.Told:
        distributed: Any = importlib.import_module("distributed")
        async with distributed.rpc(address, timeout=timeout, connection_args=arguments) as scheduler:
            await asyncio.wait_for(scheduler.identity(n_workers=0), timeout + _GRACE)
            return await asyncio.wait_for(asking.ask_versions(scheduler), timeout + _WORKERS)

    try:
        return elsewhere(ask())
    except Exception as error:
        raise diagnosis.explain(address, context, timeout, error) from error


def _show_dashboard(client: Any) -> None:
    """Print the link once, where somebody sees it and it leads somewhere."""
    if not (sys.stderr.isatty() or in_notebook()):
        return
    try:
        link = client.dashboard_link
    except KeyError:  # it has none
        return
    if link and link not in _shown and _answers(link):
        _shown.add(link)
        print(f"Dask dashboard: {link}", file=sys.stderr)


def _answers(link: str) -> bool:
    from urllib.parse import urlsplit

    place = urlsplit(link)
    with contextlib.suppress(OSError), socket.create_connection((place.hostname or "", place.port or 443), 0.5):
        return True
    return False
