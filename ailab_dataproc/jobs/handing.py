"""From a checked job to a task on the cluster: its folder is written, then the scheduler gets it, once."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ailab_dataproc.cluster import find_cluster, open_client
from ailab_dataproc.cluster.current import current_client
from ailab_dataproc.errors import AilabError, ClusterFailed, InvalidRequest, SettingsError
from ailab_dataproc.jobs import folders
from ailab_dataproc.jobs.asking import key
from ailab_dataproc.jobs.carried import Carried
from ailab_dataproc.jobs.record import ASKED, CODE, WORK, Asked
from ailab_dataproc.jobs.resources import check, resources
from ailab_dataproc.settings import Settings
from ailab_dataproc.storage import Folder

_PATIENCE = 30.0  # seconds for the scheduler to take a task
_JOINING = 3.0  # seconds until a worker that has just joined has its job slots
_UP = "Start one that stays with `ailab-dataproc cluster up`, and name it by cluster=."


@dataclass(frozen=True, slots=True)
class Files:
    """What the folder of a job is made of."""

    asked: Asked
    work: bytes | None = field(default=None, repr=False)
    code: bytes | None = field(default=None, repr=False)


@contextlib.contextmanager
def connected(cluster: Any, settings: Settings) -> Iterator[tuple[Any, str]]:
    """A client of the cluster that is meant, and what later finds that cluster again: its name or its address.

    A client that this process has, or that was passed, stays open.

    Raises:
        SettingsError, UnknownName: no cluster is named, or there is none of that name.
        InvalidRequest: the cluster would end with this process.
        ClusterFailed: no scheduler answers.
    """
    client = current_client() if cluster is None else None if isinstance(cluster, str) else cluster
    if client is not None:
        _check_stays(client)
        yield client, _name_of(client, settings)
        return
    if cluster is None and os.environ.get("AILAB_JOB"):  # a job that submits another, to where it runs itself
        with open_client() as client:
            yield client, _name_of(client, settings)
        return
    name = cluster or settings.cluster
    if not name:
        raise SettingsError(
            "submit: no cluster is named. Pass cluster=, connect() before, or set `cluster:` in the settings "
            "(AILAB_CLUSTER)."
        )
    found = find_cluster(name)
    if found.address is None:
        raise InvalidRequest(f"cluster {name!r}: would end with this process, and the job with it. {_UP}")
    with open_client(name) as client:
        yield client, name


def check_workers(client: Any, asked: Asked, *, wait: bool) -> str:
    """See to it that the scheduler places jobs, and that a worker can ever take this one; returns its id.

    Raises:
        InvalidRequest: none can.
        ClusterFailed: the scheduler can't import this package.
    """
    from ailab_dataproc.jobs import scheduler

    try:
        seen = client.run_on_scheduler(scheduler.look)
        if not seen["plugin"]:
            client.register_plugin(scheduler.Placing())
            seen = client.run_on_scheduler(scheduler.look)
    except (ImportError, AttributeError, ValueError) as error:
        raise ClusterFailed(
            f"scheduler {client.scheduler.address}: can't run ailab_dataproc ({error}). Install this version there."
        ) from error
    deadline = time.monotonic() + _JOINING
    while not wait:
        try:
            check(resources(asked.cores, asked.memory, asked.gpus), seen["workers"])
            break
        except InvalidRequest:
            if all("JOB" in has for has in seen["workers"].values()) or time.monotonic() > deadline:
                raise
        time.sleep(0.1)
        seen = client.run_on_scheduler(scheduler.look)
    return str(seen["id"])


def hand_over(client: Any, files: Files, settings: Settings, carried: Carried) -> Folder:
    """Write the folder, then submit the task, and return when it goes on without this process.

    Raises:
        StorageFailed: the folder can't be written.
        ClusterFailed: the scheduler didn't take the task. Then the folder is gone again.
    """
    job, files = _write(files, settings)
    try:
        _submit(client, files.asked, job.url, carried)
    except BaseException as error:
        _undo(job, error)
        raise
    return job


def _write(files: Files, settings: Settings) -> tuple[Folder, Files]:
    mine = folders.jobs_folder(settings) / files.asked.user
    try:
        folders.make_private(mine / files.asked.id)
    except FileExistsError:  # the same second, name and digits
        files = replace(files, asked=replace(files.asked, id=folders.new_id(files.asked.name)))
        folders.make_private(mine / files.asked.id)
    job = mine / files.asked.id
    try:
        for name, content in ((WORK, files.work), (CODE, files.code), (ASKED, files.asked.to_bytes())):  # this one last
            if content is not None:
                folders.write_private(job, name, content)
    except BaseException as error:
        _undo(job, error)
        raise
    return job, files


def _undo(job: Folder, error: BaseException) -> None:
    try:
        job.remove()
    except AilabError as also:
        error.add_note(f"{job.url} is left over: remove it by hand ({also}).")


def _submit(client: Any, asked: Asked, url: str, carried: Carried) -> None:
    from distributed import fire_and_forget

    from ailab_dataproc.jobs import scheduler
    from ailab_dataproc.jobs.running import run_job

    future = client.submit(
        run_job,
        url,
        carried,
        key=key(asked.id),
        pure=False,
        priority=asked.priority,
        resources=resources(asked.cores, asked.memory, asked.gpus),
        retries=0,
    )
    fire_and_forget(future)
    deadline, pause = time.monotonic() + _PATIENCE, 0.002
    while not client.run_on_scheduler(scheduler.is_kept, key(asked.id)):
        if time.monotonic() > deadline:
            raise ClusterFailed(
                f"scheduler {client.scheduler.address}: didn't take the job within {_PATIENCE:.0f} s. Submit it again."
            )
        time.sleep(pause)
        pause = min(2 * pause, 0.2)


def _check_stays(client: Any) -> None:
    """Refuse a client of a cluster that this process has started for itself."""
    from distributed import SpecCluster

    cluster = client.cluster
    if client.asynchronous:
        raise InvalidRequest("submit: the Dask client of this process is asynchronous, wanted a plain one.")
    if isinstance(cluster, SpecCluster) or getattr(cluster, "shutdown_on_close", False):
        kind = type(cluster).__name__
        raise InvalidRequest(f"submit: the {kind} of this process would end with it, and the job with it. {_UP}")


def _name_of(client: Any, settings: Settings) -> str:
    """The setting where it means this cluster, since it brings the certificates; else the address."""
    address = str(client.scheduler.address)
    if settings.cluster:
        with contextlib.suppress(AilabError):  # a setting that isn't used here
            if find_cluster(settings.cluster).address == address:
                return settings.cluster
    return address


def versions() -> Mapping[str, str]:
    """Of what has to go together here and there."""
    import platform
    from importlib import metadata

    names = ("ailab_dataproc", "dask", "distributed", "cloudpickle", "pandas", "pyarrow")
    found = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
