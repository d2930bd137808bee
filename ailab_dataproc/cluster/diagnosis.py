"""Why no scheduler answers at an address: a few probes with plain sockets, since Dask hangs or says little."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from typing import Any, Literal

from ailab_dataproc.cluster.security import host_of, scheme_of
from ailab_dataproc.errors import ClusterFailed

Greeting = Literal["dask", "silence", "closed", "other"]
_PATIENCE = 1.0  # seconds for each probe
_GREETED = b"pickle-protocol"  # a Dask server speaks first, and says this
_EXPIRED, _NOT_YET = 10, 9  # of OpenSSL: X509_V_ERR_CERT_…
_SILENT = "the scheduler takes connections, but doesn't answer within SECONDS. Look into its log"
_CERTS = "Ask who runs the cluster for new files (`ailab-dataproc cluster certs`)"


def explain(address: str, context: Any, seconds: float, error: BaseException) -> ClusterFailed:
    """The error for an address where connecting has failed or has taken too long.

    Args:
        address: of the scheduler, ``tcp://`` or ``tls://``.
        context: the `ssl.SSLContext` with this user's certificate, for ``tls://``.
        seconds: how long it was tried.
        error: what Dask says.
    """
    told = None
    if scheme_of(address) in ("tcp", "tls"):
        try:
            told = _of_tls(address, context) if scheme_of(address) == "tls" else _of_tcp(address)
        except socket.gaierror:
            told = f"the name {host_of(address)!r} can't be resolved. Mend the address"
        except OSError:  # nobody listens, or nothing comes back
            told = None
    if told == _SILENT and not isinstance(error, OSError):  # which a time-out and a lost connection are
        told = (
            f"it takes connections, but asking it for its versions failed ({type(error).__name__}: "
            f"{first_line(error)}). Give the address of a scheduler, or look into its log"
        )
    if told is None:
        told = f"no Dask scheduler answers within {seconds:g} s ({first_line(error)}). Start it, or mend the address"
    return ClusterFailed(f"{address}: {told.replace('SECONDS', f'{seconds:g} s')}.")


def resolves(address: str) -> bool:
    """Whether the host has an address; waiting helps no name that is misspelt."""
    try:
        socket.getaddrinfo(*_place(address), type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return error.errno != socket.EAI_NONAME
    return True


def first_line(error: BaseException) -> str:
    """Of the innermost cause: Dask wraps what went wrong in another process."""
    while error.__cause__:
        error = error.__cause__
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


def _of_tcp(address: str) -> str | None:
    with _open(address) as there:
        found = _greeting(there)
    if found == "dask":
        return _SILENT
    if found == "other":
        return "what answers there is no Dask scheduler. Mend the port"
    tls = f"the scheduler speaks TLS, not plain TCP. Write tls://{address.partition('://')[2]}"
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    with _open(address) as there:
        try:
            with anybody.wrap_socket(there):
                return tls
        except ssl.SSLError as error:
            # One that wants a certificate at once tells it in an alert, which is TLS as well.
            if "ALERT" in (error.reason or "").upper():
                return tls
        except OSError:  # it doesn't know TLS
            pass
    return _stranger(address)


def _of_tls(address: str, context: ssl.SSLContext) -> str | None:
    with _open(address) as there:
        try:
            with context.wrap_socket(there) as encrypted:
                return _refused(encrypted)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in (_EXPIRED, _NOT_YET):
                return f"the scheduler's certificate is not valid now ({error.verify_message}). {_CERTS}"
            return (
                "the scheduler's certificate is signed by another CA than that of your ca.pem "
                f"({error.verify_message}). {_CERTS}"
            )
        except OSError:  # of ssl too: what comes back is no TLS
            pass
    with _open(address) as there:
        if _greeting(there) == "dask":
            return (
                "the scheduler speaks plain TCP, not TLS. Start it with certificates (`ailab-dataproc cluster certs`), "
                "or use tcp://, which a configuration with `insecure: true` allows"
            )
    return _stranger(address)


def _refused(encrypted: ssl.SSLSocket) -> str:
    """What follows the handshake: with TLS 1.3 a client learns only then that its certificate isn't taken."""
    try:
        found = _greeting(encrypted)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).upper()
        why = next((text for key, text in _ALERTS.items() if key in reason), reason)
        return f"the scheduler refuses your certificate: {why}. {_CERTS}"
    if found == "closed":
        return f"the scheduler refuses your certificate and doesn't say why. {_CERTS}"
    if found == "other":
        return "what answers there is no Dask scheduler. Mend the port"
    return _SILENT


_ALERTS = {
    "UNKNOWN_CA": "it is signed by another CA",
    "CERTIFICATE_EXPIRED": "it has expired",
    "CERTIFICATE_REQUIRED": "it got none",
    "CERTIFICATE": "it can't be verified",
}


def _stranger(address: str) -> str:
    with _open(address) as there, contextlib.suppress(OSError):
        there.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
        if there.recv(5) == b"HTTP/":
            return "a web server answers there, not a Dask scheduler. Give the scheduler's port, not its dashboard's"
    return "what listens there says nothing for SECONDS: it is no Dask scheduler, or one that hangs. Look into its log"


def _greeting(there: socket.socket) -> Greeting:
    """What a server says of its own accord."""
    try:
        start = _read(there, 8)
        if len(start) < 8:
            return "closed" if not start else "other"
        (length,) = struct.unpack("Q", start)
        return "dask" if length < 1 << 16 and _GREETED in _read(there, length) else "other"
    except TimeoutError:
        return "silence"
    except ConnectionResetError:
        return "closed"


def _read(there: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (more := there.recv(count - len(found))):
        found += more
    return found


@contextlib.contextmanager
def _open(address: str) -> Iterator[socket.socket]:
    with socket.create_connection(_place(address), _PATIENCE) as there:
        there.settimeout(_PATIENCE)
        yield there


def _place(address: str) -> tuple[str, int]:
    return host_of(address), int(address.rpartition(":")[2])
