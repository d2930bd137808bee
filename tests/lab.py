"""A Dask cluster as a lab has it: scheduler and workers as processes of their own, over TCP or TLS on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil


@dataclass
class Lab:
    """Processes that are started, killed and started again."""

    folder: Path  # of logs and of what workers spill
    tls: Mapping[str, str] = field(default_factory=dict)  # options of `dask scheduler`: tls-ca-file, tls-cert, tls-key
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    port: int = 0
    env: Mapping[str, str] = field(default_factory=dict)  # of all its processes

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return f"{'tls' if self.tls else 'tcp'}://127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        """Start it; after a kill, under the same address."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        host = self.address.rsplit(":", 1)[0]
        # The dashboard's port is any that is free.
        asked = ["--host", host, "--port", str(self.port), "--dashboard-address", "127.0.0.1:0"]
        self.scheduler = self._run("scheduler", asked)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "scheduler.log").read_text())

    def add_worker(self, *options: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a worker process with one thread, under a nanny unless the options say --no-nanny."""
        asked = [self.address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder), *options]
        worker = self._run("worker", asked, env)
        self.workers.append(worker)
        return worker

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        """A client of the cluster, which isn't the one that this process is connected to."""
        from distributed import Client, Security

        files = {key.replace("-", "_"): path for key, path in self.tls.items()}
        ends = {f"tls_client_{end}": files[f"tls_{end}"] for end in ("cert", "key") if files}
        security = Security(require_encryption=True, tls_ca_file=files["tls_ca_file"], **ends) if files else None
        with Client(self.address, security=security, set_as_default=False) as client:
            yield client

    def wait_for(self, workers: int) -> None:
        """Wait until so many workers have joined."""
        with self.client() as client:
            client.wait_for_workers(workers, timeout=60)

    def process_at(self, address: str) -> subprocess.Popen[bytes]:
        """The process that was started for a worker's address: the worker, or its nanny."""
        with self.client() as client:
            pid = client.run(os.getpid, workers=[address])[address]
        return next(one for one in self.workers if one.pid == os.getpgid(pid))

    def freeze(self, process: subprocess.Popen[bytes]) -> None:
        """Let a worker hang, as on a machine that is out of memory or cut off."""
        os.killpg(process.pid, signal.SIGSTOP)

    def thaw(self, process: subprocess.Popen[bytes]) -> None:
        """Let it go on."""
        os.killpg(process.pid, signal.SIGCONT)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL to a process and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End everything."""
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            self.kill(process)

    def _run(self, kind: str, options: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        files = [text for key, path in self.tls.items() for text in (f"--{key}", path)]
        # Numbers in the name: each worker has a log of its own.
        with (self.folder / f"{kind}{len(self.workers) if kind == 'worker' else ''}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options, *files],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.folder,
                env={**os.environ, **self.env, **(env or {})},
            )


@contextlib.contextmanager
def lab(folder: Path, workers: int = 2, options: Sequence[str] = (), **given: Mapping[str, str]) -> Iterator[Lab]:
    """A cluster that runs while the block does, whose workers have joined; `options` are those of each worker."""
    folder.mkdir(exist_ok=True)
    made = Lab(folder, **given)
    try:
        made.start_scheduler()
        for _ in range(workers):
            made.add_worker(*options)
        if workers:
            made.wait_for(workers)
        yield made
    finally:
        made.stop()


def wait_until(true: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about doesn't."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
