"""Who may talk to whom: TLS for every address but loopback, and the certificates of this user."""

from __future__ import annotations

import importlib
import ipaddress
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import ClusterFailed, InvalidRequest, SettingsError, unknown

FILES = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}  # keys of `security:`, and Dask's
FOLDER = "~/.config/ailab_dataproc/tls"  # this user's ca.pem, cert.pem and key.pem
_TLS = ("tls", "wss")
_ENCRYPTED = (*_TLS, "gateway")
_WITHIN = ("inproc",)  # this process
_PLAIN = ("tcp", "ucx", "ws")
_HOW = "Get ca.pem, cert.pem and key.pem from who runs the cluster (`ailab-dataproc cluster certs` makes them)"


def scheme_of(address: str) -> str:
    """The part before ``://``."""
    return address.partition("://")[0]


def host_of(address: str) -> str:
    """The host in ``tcp://host:8786`` or ``tls://[::1]:8786``."""
    place = address.partition("://")[2].partition("/")[0]
    return place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]


def is_loopback(address: str) -> bool:
    """Whether what is sent there stays on this machine."""
    host = host_of(address)
    if scheme_of(address) in _WITHIN or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def check_address(address: str, where: str, *, insecure: bool = False) -> None:
    """Refuse what isn't an address, and one whose tasks and data others on the network could read and replace.

    Args:
        address: of a scheduler.
        where: the address, or the configuration that has it, for messages.
        insecure: whether the configuration says so.

    Raises:
        UnknownName: Dask speaks no such scheme.
        InvalidRequest: it has no port, or isn't encrypted.
    """
    scheme, port = scheme_of(address), address.rpartition(":")[2]
    if scheme not in (*_ENCRYPTED, *_WITHIN, *_PLAIN):
        raise unknown("scheme", scheme, ("tls", "tcp"), where=where, hint="An address is written tls://host:8786.")
    if scheme in ("tcp", "tls") and not port.isdigit():
        raise InvalidRequest(f"{where}: the address {address!r} has no port. Write it as {scheme}://host:8786.")
    if scheme in _PLAIN and not (insecure or is_loopback(address)):
        raise InvalidRequest(
            f"{where}: {scheme}:// to another machine is not encrypted, and who reaches the port can run code there. "
            "Use tls:// with certificates (`ailab-dataproc cluster certs`), or write `insecure: true` into a "
            "configuration of a network that you trust."
        )


def security_for(address: str, files: Mapping[str, str], where: str) -> Any:
    """What Dask needs to connect: a `distributed.Security`.

    Args:
        address: of a scheduler.
        files: of the configuration, by the keys of `FILES`; empty: those of Dask's own configuration, or of `FOLDER`.
        where: the address, or the configuration that has it, for messages.

    Raises:
        ClusterFailed: the address is encrypted, and there is no certificate.
        SettingsError: the files are no certificate and key.
    """
    dask: Any = importlib.import_module("distributed")
    security = dask.Security()  # of Dask's own configuration
    chosen = files
    if not chosen and not security.tls_client_cert:
        chosen = _own_files() if scheme_of(address) in _TLS else {}
    if chosen:
        given: dict[str, Any] = {FILES[key]: path for key, path in chosen.items()}
        security = dask.Security(require_encryption=True, **given)
    if scheme_of(address) in _TLS and not (security.tls_ca_file and security.tls_client_cert):
        raise ClusterFailed(
            f"{where}: the cluster wants a certificate, and none is in {FOLDER} nor in Dask's configuration. {_HOW}."
        )
    try:
        security.get_connection_args("client")
    except (OSError, ssl.SSLError) as error:
        told = ", ".join(
            str(path) for path in (security.tls_ca_file, security.tls_client_cert, security.tls_client_key)
        )
        raise SettingsError(
            f"{where}: {told} are no certificates and key that fit together ({error}). {_HOW}."
        ) from error
    return security


def roles(files: Mapping[str, str]) -> dict[str, Any]:
    """Dask's configuration for a cluster that is started with these files, on each of its machines."""
    ends = [(role, key) for role in ("client", "scheduler", "worker") for key in ("cert", "key")]
    tls = {f"{role}.{key}": files.get(key) for role, key in ends} | {"ca-file": files.get("ca")}
    encrypted = {f"distributed.comm.tls.{key}": path for key, path in tls.items()}
    return encrypted | {"distributed.comm.require-encryption": True}


def _own_files() -> dict[str, str]:
    found = {key: Path(FOLDER).expanduser() / f"{key}.pem" for key in FILES}
    return {key: str(path) for key, path in found.items() if path.is_file()}
