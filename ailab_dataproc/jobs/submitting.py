"""submit: hand a function or a script to the cluster; it runs on after this process has ended."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.jobs import code as projects
from ailab_dataproc.jobs.amounts import bytes_of, count_of, now, seconds_of
from ailab_dataproc.jobs.carried import Carried
from ailab_dataproc.jobs.entry import Entry, entry_of
from ailab_dataproc.jobs.environment import check_environment, take_secrets
from ailab_dataproc.jobs.folders import new_id, user
from ailab_dataproc.jobs.handing import Files, check_workers, connected, hand_over, versions
from ailab_dataproc.jobs.job import Job
from ailab_dataproc.jobs.pickling import pickled
from ailab_dataproc.jobs.record import Asked, Work
from ailab_dataproc.settings import Settings, load_settings

# What says how the dataset is loaded, as it is where nothing is said.
_LOAD = {
    "split": "all",
    "columns": None,
    "filters": None,
    "limit": None,
    "sample": None,
    "seed": 0,
    "backend": "auto",
    "nulls": "refuse",
    "dtypes": "arrow",
    "allow_pii": False,
}


def submit(  # noqa: PLR0913 - the one place where all choices of a job stand
    function_or_script: Callable[..., Any] | str | os.PathLike[str],
    dataset: str | None = None,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    split: str = "all",
    columns: Sequence[str] | None = None,
    filters: Any = None,
    limit: int | None = None,
    sample: float | None = None,
    seed: int = 0,
    backend: str = "auto",
    nulls: str = "refuse",
    dtypes: str = "arrow",
    allow_pii: bool = False,
    output: str | None = None,
    version: str | None = None,
    schema: Any = None,
    cluster: Any = None,
    name: str | None = None,
    cores: int = 1,
    memory: int | str | None = None,
    gpus: int = 0,
    env: Mapping[str, str] | None = None,
    secrets: Sequence[str] = (),
    priority: int = 0,
    retries: int = 0,
    restarts: int = 3,
    time_limit: float | str | None = None,
    code: str | os.PathLike[str] | None = None,
    code_limit: int | str = "50MB",
    wait_for_workers: bool = False,
) -> Job:
    """Run a function or a script on the cluster, as a job that outlives this process.

    Args:
        function_or_script: a function, ``"module:function"``, or the path of a script, ``"train.py"``.
        dataset: a prepared dataset, ``name``, ``name:1.2.0`` or ``name:1.*``; the function gets it loaded, as its first
            argument. Further attempts take the version that the first one took.
        args: further arguments of the function, or of the script as strings.
        kwargs: keyword arguments of the function.
        split: of the dataset, as of `load`; likewise what follows up to `allow_pii`.
        columns: see `plan`.
        filters: see `plan`.
        limit: see `plan`.
        sample: see `plan`.
        seed: see `plan`.
        backend: see `load`; ``"auto"`` is decided where the job runs, for the memory and GPUs there.
        nulls: see `plan`.
        dtypes: see `plan`.
        allow_pii: see `plan`.
        output: the name of a dataset to make: the function maps the parts of `dataset`; see `map_partitions`.
        version: of `output`, ``"1.0.0"``.
        schema: of `output`.
        cluster: a name or an address, as of `connect`, or a Dask client; by default the client that this process is
            connected with, else the setting ``cluster``.
        name: for people; by default that of the function or script.
        cores: job slots that it takes on its worker. Its processes aren't held to so many cores.
        memory: what its processes may take, ``"8GB"`` or bytes. It waits for a worker that has so much to give, and is
            ended when it takes more. By default there is no limit of its own.
        gpus: GPUs that it takes on its worker.
        env: environment variables. They are stored in the job's folder: a secret belongs into `secrets`.
        secrets: names of variables of this process; their values travel with the task and are never stored.
        priority: a job with a higher one starts first.
        retries: how often it is started again after a failure of its own.
        restarts: how often it is started again after its worker was lost.
        time_limit: seconds, or ``"90s"``, ``"30m"``, ``"2h"``, ``"1d"``; an attempt that takes longer is ended.
        code: the project folder, which travels with the job; by default the git repository of the script or the
            function, else its folder.
        code_limit: how large it may be when it is packed.
        wait_for_workers: wait in the queue for a worker that has the memory and GPUs, instead of being refused.

    Returns:
        The `Job`; its id reattaches from any machine.

    Raises:
        InvalidRequest, UnknownName, SettingsError, ClusterFailed, StorageFailed: each with one sentence; then there is
            no job.
    """
    given = locals()
    environment, values = check_environment(env), take_secrets(secrets)
    entry = entry_of(function_or_script, code)
    settings = load_settings()
    work = _work(entry, given)
    packed = _packed(entry, given, settings)
    texts = tuple(str(one) for one in args) if entry.script else ()
    asked = Asked(
        id=new_id(name or entry.name),
        name=name or entry.name,
        user=user(),
        created=now(),
        cluster="",  # is filled in when it is known
        entry=shlex.join((entry.label, *texts)),
        script=entry.script,
        args=texts,
        cores=count_of(cores, "cores", 1),
        memory=bytes_of(memory, "memory"),
        gpus=count_of(gpus, "gpus"),
        environment=environment,
        secrets=tuple(secrets),
        priority=priority,
        retries=count_of(retries, "retries"),
        restarts=count_of(restarts, "restarts"),
        time_limit=seconds_of(time_limit, "time_limit"),
        settings=projects.settings_for(settings, packed),
        dataset=_dataset(given),
        output=f"{output}:{version}" if output else None,
        versions=versions(),
    )
    files = Files(asked, work, packed.content if packed else None)
    with connected(cluster, settings) as (client, found):
        scheduler = check_workers(client, asked, wait=wait_for_workers)
        if dataset and not wait_for_workers:
            _foresee(client, dataset, _loading(given), asked.memory)
        files = replace(files, asked=replace(asked, cluster=found, scheduler=scheduler))
        carried = Carried(values, settings.storage_options, settings.storage_options)
        return Job.at(hand_over(client, files, settings, carried))


def _work(entry: Entry, given: Mapping[str, Any]) -> bytes | None:
    """What a job of Python calls; None of a script."""
    load = _loading(given)
    if entry.script:
        for name in ("dataset", "kwargs", "output", "version", "schema", *load):
            if name in load or given[name] is not None:
                raise InvalidRequest(f"{name}: is for functions, but {entry.label} is a script, which loads by itself.")
        return None
    if given["dataset"] is None and (load or given["output"]):
        name = next(iter(load), "output")
        raise InvalidRequest(f"{name}: says how a dataset is loaded, but no dataset is named.")
    if bool(given["output"]) != bool(given["version"]):
        raise InvalidRequest("output and version: wanted both, such as output='lab/clicks', version='1.0.0'.")
    output = None
    if given["output"]:
        from ailab_dataproc.jobs import data  # loads pyarrow

        about = {"name": given["output"], "version": given["version"], "schema": given["schema"]}
        output = data.output(entry.function or "", given["kwargs"] or {}, load, **about)
    work = Work(
        function=entry.function,
        args=tuple(given["args"]),
        kwargs=dict(given["kwargs"] or {}),
        reference=given["dataset"],
        load=load,
        output=output,
    )
    return pickled(work, entry.project)


def _loading(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was said of how the dataset is loaded."""
    said = {name: given[name] for name in _LOAD if given[name] is not None}
    return {name: value for name, value in said.items() if _LOAD[name] is None or value != _LOAD[name]}


def _foresee(client: Any, dataset: str, load: Mapping[str, Any], memory: int | None) -> None:
    """Refuse what no worker can hold."""
    from ailab_dataproc.jobs import data  # loads pyarrow

    data.foresee(dataset, load, client, memory=memory)


def _packed(entry: Entry, given: Mapping[str, Any], settings: Settings) -> projects.Packed | None:
    if entry.project is None:
        return None
    limit = bytes_of(given["code_limit"], "code_limit") or projects.LIMIT
    without = (settings.data_dir, settings.jobs_dir, settings.cache_dir, settings.downloads)
    always = (entry.file,) if entry.file else ()
    return projects.pack(entry.project, limit, always=always, without=[one for one in without if one])


def _dataset(given: Mapping[str, Any]) -> str | None:
    """For people."""
    return f"{given['dataset']} {given['split']}" if given["dataset"] else None
