"""The lab's MLflow server as tests start it: the real command, on SQLite or on a PostgreSQL of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SECONDS = 240  # that a server may take to start on a busy machine


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@dataclass
class Answer:
    """What the server said."""

    status: int
    text: str
    headers: dict = field(default_factory=dict)

    @property
    def json(self):
        return json.loads(self.text)


def ask(port, path, body=None, method="", headers=()):
    """One request, whose path and headers go out as they are."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    connection.putrequest(method or ("GET" if body is None else "POST"), path, skip_accept_encoding=True)
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    for key, value in [*headers, ("Content-Type", kind), ("Content-Length", str(len(data)))]:
        connection.putheader(key, value)
    connection.endheaders(data)
    answer = connection.getresponse()
    found = Answer(answer.status, answer.read().decode(errors="replace"), dict(answer.getheaders()))
    connection.close()
    return found


@contextlib.contextmanager
def served(folder: Path, *options, env=None):
    """`ailab-dataproc mlflow serve` on a free port: its port, process and log."""
    port, log = free_port(), folder / "server.log"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ailab_dataproc", "mlflow", "serve", "--folder", str(folder), "--port", str(port)]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, *options], stdout=out, stderr=out, env={**os.environ, **(env or {})}, start_new_session=True
        )
    try:
        for _ in range(SECONDS * 5):
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError):
                if ask(port, "/health").status == 200:
                    break
            time.sleep(0.2)
        else:
            raise AssertionError(log.read_text())
        yield port, process, log
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def postgres():
    """The URI of an empty PostgreSQL on a free port, which ends with the block."""
    if not shutil.which("initdb") or not shutil.which("pg_ctl"):
        pytest.skip("PostgreSQL's initdb and pg_ctl are not on the PATH")
    be = []
    folder = Path(tempfile.mkdtemp(prefix="ailab-postgresql-"))  # pytest's folders are closed to other users
    if os.geteuid() == 0:  # which PostgreSQL refuses
        be = ["runuser", "-u", "nobody", "--"]
        shutil.chown(folder, "nobody")
    port, data = free_port(), folder / "data"

    def run(*command):
        subprocess.run([*be, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    run("initdb", "-D", data, "-U", "lab", "-A", "trust", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    try:
        yield f"postgresql://lab:secret-word@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)
