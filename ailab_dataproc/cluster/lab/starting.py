"""Start a cluster on this machine: check, write what runs, detach the supervisor, wait until workers have joined."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ailab_dataproc import configuration
from ailab_dataproc.cluster import validity
from ailab_dataproc.cluster.lab import ending, ports, processes, scheduler, supervisor
from ailab_dataproc.cluster.lab.building import Wanted, build, worker_prefix
from ailab_dataproc.cluster.lab.logs import last_error
from ailab_dataproc.cluster.lab.scheduler import Seen
from ailab_dataproc.cluster.lab.state import Plan, State, folder_of
from ailab_dataproc.errors import AilabError, ClusterFailed, InvalidRequest, require

_WRITTEN = "# Written by `ailab-dataproc cluster up`, which writes it again: copy it under another name to change it."
_PAUSE = 0.3  # seconds between two looks
_ENOUGH = 2  # times that a worker may end before `up` gives up


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A cluster whose workers have joined."""

    plan: Plan
    seen: Seen
    logs: Path
    config: Path | None  # that connect() reads; None: somebody else's file has this name, and the same address


def up(wanted: Wanted, timeout: float = 60.0) -> Started:
    """Start a cluster, or workers that join one, and wait until they have joined.

    Args:
        wanted: what runs on this machine.
        timeout: seconds for all workers to join.

    Raises:
        InvalidRequest: a cluster of this name runs already, or its port or configuration is another's.
        SettingsError: certificates are missing or wrong.
        ClusterFailed: the scheduler to join doesn't answer, or something doesn't start; then nothing is left running.
    """
    require("distributed", "dask")
    folder = folder_of(wanted.name)
    _refuse_running(folder, wanted.name)
    if wanted.gpus:
        require("dask_cuda", "gpu")
    if wanted.tls:
        validity.check(Path(wanted.tls))
    if not wanted.join:
        ports.check(wanted.host, wanted.port)
    plan = build(wanted)
    if wanted.join:
        scheduler.look(wanted.join, plan.files)
    config = _write_config(plan, wanted.insecure)
    (folder / "logs").mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    plan.write(folder)
    with _supervisor(folder, plan) as process:
        seen = _wait(plan, folder, process, timeout)
    return Started(plan=plan, seen=seen, logs=folder / "logs", config=config)


def _refuse_running(folder: Path, name: str) -> None:
    running, plan = State.read(folder), Plan.read(folder)
    if running and running.supervisor.alive():
        at = plan.address if plan else "?"
        raise InvalidRequest(
            f"cluster {name!r}: it runs already, at {at}. See `ailab-dataproc cluster status {name}`, or end it with "
            f"`ailab-dataproc cluster down {name}`."
        )
    if plan and processes.with_cookie(plan.cookie):
        raise InvalidRequest(
            f"cluster {name!r}: its supervisor was killed, and processes of it are left. End them with "
            f"`ailab-dataproc cluster down {name}`."
        )


def _write_config(plan: Plan, insecure: bool) -> Path | None:
    import yaml

    own, shipped = configuration.folders("clusters")
    file = own / f"{plan.name}.yaml"
    if (shipped / file.name).is_file() and plan.name != "shared":
        raise InvalidRequest(
            f"cluster {plan.name!r}: a configuration that comes with the package has this name. Take another."
        )
    if file.is_file() and not file.read_text(encoding="utf-8").startswith(_WRITTEN):
        if f"{plan.address}" in file.read_text(encoding="utf-8"):
            return None
        raise InvalidRequest(
            f"{file}: somebody has written it for another cluster, and it is not overwritten. Move it away, or take "
            "another name."
        )
    values: dict[str, object] = {"address": plan.address}
    if plan.files:
        values["security"] = plan.files
    elif insecure:
        values["insecure"] = True
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{_WRITTEN}\n{yaml.safe_dump(values, sort_keys=False)}", encoding="utf-8")
    return file


@contextlib.contextmanager
def _supervisor(folder: Path, plan: Plan) -> Iterator[subprocess.Popen[bytes]]:
    """A process that outlives this one and its terminal; where the block fails, it is ended."""
    with (folder / "logs" / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", supervisor.__name__, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield process
    except BaseException:
        processes.terminate(process.pid, signal.SIGTERM)
        ending.finish(folder, plan, process)
        raise


def _wait(plan: Plan, folder: Path, process: subprocess.Popen[bytes], timeout: float) -> Seen:
    wanted = {f"{worker_prefix(plan.name)}{one.name}" for one in plan.members if not one.schedules}
    deadline = time.monotonic() + timeout
    while True:
        _refuse_dead(plan.name, folder, process)
        seen = None
        with contextlib.suppress(AilabError):  # it isn't there yet
            seen = scheduler.look(plan.address, plan.files, timeout=2.0)
        joined = wanted & {one.name for one in seen.workers} if seen else set()
        if seen and joined == wanted:
            return seen
        if time.monotonic() > deadline:
            missing = sorted(name.removeprefix(worker_prefix(plan.name)) for name in wanted - joined)
            first = missing[0] if seen else next(one.name for one in plan.members)
            what = f"{', '.join(missing)} didn't join" if seen else "the scheduler doesn't answer"
            log = folder / "logs" / f"{first}.log"
            raise ClusterFailed(f"cluster {plan.name!r}: {what} within {timeout:.0f} s ({last_error(log)}). See {log}.")
        time.sleep(_PAUSE)


def _refuse_dead(name: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Raise where the supervisor has ended, the scheduler has, or a worker ends again and again."""
    logs = folder / "logs"
    dead = "supervisor" if process.poll() is not None else None
    found = State.read(folder)
    for one in found.members if found and not dead else ():
        if one.restarts >= (1 if one.name == "scheduler" else _ENOUGH):
            dead = one.name
            break
    if dead:
        log = logs / f"{dead}.log"
        raise ClusterFailed(f"cluster {name!r}: its {dead} doesn't start ({last_error(log)}). See {log}.")
