"""Whether this machine can listen at an address: Dask's own word is a traceback in a log."""

from __future__ import annotations

import errno
import socket

from ailab_dataproc.errors import InvalidRequest


def check(host: str, port: int) -> int:
    """The port, or one that nobody listens at now where it is 0.

    Raises:
        InvalidRequest: the host isn't this machine's, or the port is in use.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise InvalidRequest(f"--host: {host!r} is no name or address ({error.strerror}). Mend it.") from error
    with socket.socket(found[0]) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the scheduler does
        try:
            probe.bind(found[4])
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise InvalidRequest(
                    f"--port: {port} of {host} is in use by another program. Give another port, or --join if that is a "
                    "scheduler."
                ) from error
            raise InvalidRequest(
                f"--host: this machine can't listen at {host} port {port} ({error.strerror}). Give one of its own."
            ) from error
        return int(probe.getsockname()[1])
