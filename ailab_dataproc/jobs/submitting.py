"""submit: hand a function or a script to the cluster; it runs on after this process has ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ailab_dataproc.jobs.job import Job


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
    cluster: str | None = None,
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
        dataset: a prepared dataset, ``name`` or ``name:1.2.0``; the function gets it loaded, as its first argument.
        args: further arguments of the function, or of the script as strings.
        kwargs: keyword arguments of the function.
        split: of the dataset, as of `load`; likewise columns, filters, limit, sample, seed, backend, nulls, dtypes,
            allow_pii. ``backend="auto"`` is decided where the job runs, for the memory and GPUs there.
        output: the name of a dataset to make: the function maps the parts of `dataset`; see `map_partitions`.
        version: of `output`, ``"1.0.0"``.
        schema: of `output`.
        cluster: a name or an address, as of `connect`; by default the Client of this process, else the setting.
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
    raise NotImplementedError
