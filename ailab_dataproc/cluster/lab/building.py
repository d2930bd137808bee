"""From what `cluster up` was asked for to the command lines of scheduler and workers."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ailab_dataproc.cluster.certificates import CA, CERT, FOLDER, KEY
from ailab_dataproc.cluster.lab.state import Member, Plan
from ailab_dataproc.cluster.security import check_address, is_loopback, scheme_of
from ailab_dataproc.errors import InvalidRequest

_ANY = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_FOR_SYSTEM = 0.9  # of free memory that workers share; the rest is for the scheduler and the system


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for, and what this machine has."""

    name: str
    cores: int  # of this machine
    free: int  # bytes of this machine's memory
    workers: int | None = None  # None: as Dask divides cores into processes and threads
    threads: int | None = None  # of a worker
    memory: int | None = None  # bytes of a worker; None: an equal share of what is free
    gpus: tuple[str, ...] = ()  # each gets a worker of dask-cuda; as CUDA_VISIBLE_DEVICES names them
    rmm_pool: str | None = None  # of a GPU's memory, which jobs' own processes then can't have
    host: str = "127.0.0.1"
    port: int = 8786
    dashboard: str = "127.0.0.1:8787"
    join: str | None = None  # the address of a scheduler elsewhere
    tls: str | None = None  # a folder; None: no encryption
    insecure: bool = False
    scratch: str | None = None  # where workers put what doesn't fit into memory

    @property
    def address(self) -> str:
        """Of the scheduler, as workers and clients write it."""
        if self.join:
            return self.join
        host = socket.gethostname() if self.host in _ANY else self.host
        return f"{'tls' if self.tls else 'tcp'}://{_bracketed(host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Workers on processors alone, and what each gets."""

    workers: int
    threads: int
    memory: int  # bytes


def encrypted(host: str, join: str | None, insecure: bool) -> bool:
    """Whether a cluster uses TLS where nothing else is said.

    Raises:
        InvalidRequest: plain TCP to another machine that isn't allowed.
    """
    if join:
        check_address(join, "--join", insecure=True)
        if scheme_of(join) == "tls":
            return True
        if not (insecure or is_loopback(join)):
            raise InvalidRequest(
                f"--join: {join} is not encrypted, and whoever reaches its port can run code. Start that cluster with "
                "certificates, or give --insecure in a network that you trust."
            )
        return False
    return not (insecure or _within(host))


def folder_of_tls(folder: str | None, host: str, join: str | None, insecure: bool) -> str | None:
    """The folder of the certificates that a cluster uses; None: it uses none.

    Raises:
        InvalidRequest: plain TCP to another machine that isn't allowed.
    """
    if folder is None and not encrypted(host, join, insecure):
        return None
    return str(Path(folder or FOLDER).expanduser().absolute())


def warnings(wanted: Wanted) -> Iterator[str]:
    """What was asked for and isn't wise."""
    found = sizes(wanted)
    total = found.memory * (found.workers + len(wanted.gpus))
    if total > wanted.free:
        yield (
            f"the workers may take {total / 1e9:.1f} GB together, and {wanted.free / 1e9:.1f} GB are free: what runs "
            "here may be killed for it"
        )
    if wanted.insecure and not is_loopback(wanted.address):
        yield f"{wanted.address} is not encrypted and asks for no certificate: who reaches it can run code as you"
    if not is_loopback(f"tcp://{wanted.dashboard}"):
        yield f"the dashboard at {wanted.dashboard} has no password: who reaches it sees code and data of tasks"


def sizes(wanted: Wanted) -> Sizes:
    """How many workers without a GPU, and what each worker gets.

    Raises:
        InvalidRequest: no worker would get a thread or 64 MB.
    """
    from distributed.deploy.utils import nprocesses_nthreads

    workers, threads = nprocesses_nthreads(wanted.cores)
    if wanted.gpus:  # all cores go to the jobs of their workers
        workers, threads = wanted.workers or 0, wanted.threads or 1
    elif wanted.workers:
        workers, threads = wanted.workers, wanted.threads or max(wanted.cores // wanted.workers, 1)
    elif wanted.threads:
        workers, threads = max(wanted.cores // wanted.threads, 1), wanted.threads
    share = int(wanted.free * _FOR_SYSTEM / (workers + len(wanted.gpus)))
    memory = wanted.memory or share
    if memory < 64 * 10**6:
        raise InvalidRequest(
            f"--workers: {workers} workers would get {memory // 10**6} MB each. Ask for fewer, or give --memory."
        )
    return Sizes(workers, threads, memory)


def build(wanted: Wanted) -> Plan:
    """The plan of a cluster."""
    members = [] if wanted.join else [_scheduler(wanted)]
    return Plan(
        name=wanted.name,
        address=wanted.address,
        cookie=secrets.token_hex(16),
        members=(*members, *_workers(wanted)),
        environment=_environment(wanted),
        tls=wanted.tls,
        dashboard=_page_host(wanted),
    )


def _page_host(wanted: Wanted) -> str | None:
    """Where the dashboard's page is; None: where the scheduler is."""
    host = wanted.dashboard.rpartition(":")[0].strip("[]")
    return None if wanted.join or not host or host in _ANY else host


def worker_prefix(name: str) -> str:
    """How the scheduler calls the workers of this machine."""
    return f"{name}-{socket.gethostname()}-"


def _environment(wanted: Wanted) -> dict[str, str]:
    """Dask's configuration, said outright so that no file of somebody's changes it."""
    return {
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3",  # workers that a task may lose
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5 minutes",  # a task may keep the GIL for a while
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": str(bool(wanted.tls)),
        "PYTHONUNBUFFERED": "1",  # logs are whole when something dies
    }


def _scheduler(wanted: Wanted) -> Member:
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    command += ["--host", f"{'tls' if wanted.tls else 'tcp'}://{_bracketed(wanted.host)}", "--port", str(wanted.port)]
    command += ["--dashboard-address", wanted.dashboard, *_certificates(wanted)]
    return Member(name="scheduler", command=tuple(command))


def _workers(wanted: Wanted) -> Iterator[Member]:
    found = sizes(wanted)
    for number in range(found.workers):
        command = [sys.executable, "-m", "distributed.cli.dask_worker", wanted.address]
        command += ["--nthreads", str(found.threads), *_shared(wanted, found, f"worker-{number}", found.threads)]
        yield Member(name=f"worker-{number}", command=tuple(command))
    for number, gpu in enumerate(wanted.gpus):
        # A process of dask-cuda a GPU: one that dies is started again by itself. Jobs get the machine's cores.
        slots = max(wanted.cores // len(wanted.gpus) - found.workers * found.threads, found.threads)
        command = [sys.executable, "-m", "dask", "cuda", "worker", wanted.address]
        command += ["--nthreads", str(found.threads), *_shared(wanted, found, f"gpu-{number}", slots, gpus=1)]
        command += ["--enable-cudf-spill", *(["--rmm-pool-size", wanted.rmm_pool] if wanted.rmm_pool else [])]
        yield Member(name=f"gpu-{number}", command=tuple(command), environment={"CUDA_VISIBLE_DEVICES": gpu})


def _shared(wanted: Wanted, found: Sizes, name: str, slots: int, gpus: int = 0) -> list[str]:
    """The options that both kinds of workers have."""
    resources = {"JOB": slots, "MEMORY": found.memory} | ({"GPU": gpus} if gpus else {})
    options = ["--name", worker_prefix(wanted.name) + name, "--memory-limit", str(found.memory)]
    options += ["--resources", " ".join(f"{key}={value}" for key, value in resources.items())]
    # Their own pages tell nothing that the scheduler's don't, and they have no password.
    options += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    if wanted.scratch:
        options += ["--local-directory", wanted.scratch]
    # Others must reach a worker that joins from another machine: unless --host says more, Dask finds its address.
    if wanted.host not in _ANY and not (wanted.join and _within(wanted.host) and not is_loopback(wanted.join)):
        options += ["--host", _bracketed(wanted.host)]
    return [*options, *_certificates(wanted)]


def _certificates(wanted: Wanted) -> list[str]:
    if not wanted.tls:
        return []
    folder = Path(wanted.tls)
    named = {"--tls-ca-file": CA, "--tls-cert": CERT, "--tls-key": KEY}
    return [text for option, name in named.items() for text in (option, str(folder / name))]


def _within(host: str) -> bool:
    return is_loopback(f"tcp://{_bracketed(host)}:0")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
