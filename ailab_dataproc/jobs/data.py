"""Jobs on data: planned for the cluster, loaded where they run; what their function makes may become a dataset."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ailab_dataproc import functions, storage
from ailab_dataproc.backends import BACKENDS, backend
from ailab_dataproc.cluster import open_client
from ailab_dataproc.errors import (
    BackendRefused,
    InvalidRequest,
    MissingLibrary,
    NotPrepared,
    StorageFailed,
    UnknownName,
    unknown,
)
from ailab_dataproc.jobs.folders import write_private
from ailab_dataproc.jobs.record import DATASET, Work
from ailab_dataproc.jobs.sent import OPTIONS, PLACE
from ailab_dataproc.loading import open_known, plan
from ailab_dataproc.mapping import map_partitions
from ailab_dataproc.planning import Plan
from ailab_dataproc.preparation.fingerprint import code_hash
from ailab_dataproc.preparation.mapped import FRAMES
from ailab_dataproc.references import Reference
from ailab_dataproc.report import Report, last_report
from ailab_dataproc.settings import Settings, load_settings
from ailab_dataproc.sizing import Machine

_log = logging.getLogger("ailab_dataproc")
# What `map_partitions` takes of what says how a dataset is loaded.
_MAPPED = ("split", "columns", "filters", "allow_pii")


def perform(work: Work) -> Any:
    """Do the work of a job where it runs, and return what its function does; with an output, the report of that.

    Raises:
        InvalidRequest, UnknownName: the function can't be imported, or what is asked for doesn't fit the dataset.
        NotPrepared, StorageFailed: the dataset isn't there, or this machine doesn't see the data directory.
        BackendRefused: it doesn't fit into what this job may use.
    """
    function = functions.find(work.function) if isinstance(work.function, str) else work.function
    if work.reference is None:
        return function(*work.args, **work.kwargs)
    _check_data_dir(load_settings())
    reference = _exact(work.reference)
    if work.output is not None:
        return _map(function, reference, work)
    with _cluster(work.load.get("backend", "auto")):
        made = plan(reference, **work.load)
        _log.info("%s", made.explain())
        frame = made.load()
        _log.info("%s", last_report())
        return function(frame, *work.args, **work.kwargs)


def output(
    function: Callable[..., Any] | str, kwargs: Mapping[str, Any], load: Mapping[str, Any], **asked: Any
) -> dict[str, Any]:
    """What `Work.output` holds: what was asked for, and what only the submitter can tell of the function.

    Args:
        function: which, or its name; its text may not be there where the job runs.
        kwargs: its arguments.
        load: how the dataset is loaded.
        **asked: of `map_partitions`: name, version, schema.

    Raises:
        InvalidRequest, UnknownName: parts of a dataset can't be loaded so.
        InvalidDefinition: the text of the function can't be read.
    """
    _mapping(load)
    if isinstance(function, str):
        return asked
    label = functions.label(function, "function")
    return {**asked, "label": label, "code": code_hash(_bound(function, kwargs), label)}


def foresee(reference: str, load: Mapping[str, Any], client: Any, *, memory: int | None = None) -> Plan | None:
    """What the job will load, as planned for a cluster on which nothing else runs; None where only the job can tell.

    Args:
        reference: of the dataset.
        load: of `plan`.
        client: of the cluster.
        memory: bytes that the job's processes may take.

    Raises:
        BackendRefused: it fits on no worker, whatever else runs there.
        UnknownName, InvalidRequest: what is asked for doesn't fit the dataset.
    """
    if load.get("filters") is not None and (load.get("limit"), load.get("sample")) != (None, None):
        return None  # the plan would count rows
    try:
        open_known(reference, load_settings(), load.get("version"))
    except (NotPrepared, UnknownName, StorageFailed, MissingLibrary):
        return None  # the workers may see what isn't seen from here
    there = Machine.of(client, idle=True)
    if not there.workers:
        return None
    room = max(worker.free for worker in there.workers)
    largest = Machine(
        memory=min(room, memory or room),
        cpus=max(worker.threads for worker in there.workers),
        gpus=there.gpus,
        devices=there.devices,
        no_gpu=there.no_gpu,
        cluster=there,
    )
    try:
        return plan(reference, machine=largest, **load)
    except MissingLibrary:
        return None  # the workers may have it
    except BackendRefused as error:
        if "not installed" in str(error):
            return None
        raise BackendRefused(f"{there.address}, its largest worker: {error}") from error


def _map(function: Callable[..., Any], reference: str, work: Work) -> Report:
    """Map the function on the job's own cluster."""
    if work.args:
        raise InvalidRequest("output: the function gets a part and keyword arguments only. Pass args= by name.")
    given = dict(work.output or {})
    function = _bound(function, work.kwargs)
    if "code" in given:
        function = functions.Known(function, given.pop("label"), given.pop("code"))
    runner = "dask" if _has_cluster() else "threads"
    made = map_partitions(function, reference, **_mapping(work.load), **given, runner=runner, progress=True)
    _log.info("%s", made)
    return made


def _mapping(load: Mapping[str, Any]) -> dict[str, Any]:
    """What says how a dataset is loaded, as `map_partitions` takes it."""
    for name in load:
        if name not in (*_MAPPED, "backend"):
            raise InvalidRequest(f"{name}: a job with output= takes {', '.join((*_MAPPED, 'backend'))}. Leave it out.")
    format = load.get("backend", "auto")
    if format not in ("auto", *FRAMES):
        raise unknown("backend", format, FRAMES, where="a job with output=")
    return {
        **{name: load[name] for name in _MAPPED if name in load},
        "format": "pandas" if format == "auto" else format,
    }


def _bound(function: Callable[..., Any], kwargs: Mapping[str, Any]) -> Callable[..., Any]:
    return functools.partial(function, **kwargs) if kwargs else function


def _has_cluster() -> bool:
    return bool(os.environ.get("AILAB_JOB") and os.environ.get("DASK_SCHEDULER_ADDRESS"))


def _exact(reference: str) -> str:
    """The version that the job takes: that of an earlier attempt, or the newest that is meant now, which is noted."""
    if Reference.parse(reference).is_exact:
        return reference
    options = json.loads(os.environ.get(OPTIONS) or "{}")
    job = storage.folder(os.environ[PLACE], options) if os.environ.get(PLACE) else None
    taken = job.read_many([DATASET]).get(DATASET) if job else None
    if taken is not None:
        return taken.decode()
    found = open_known(reference, load_settings()).name
    if job:
        write_private(job, DATASET, found.encode())
    return found


def _cluster(asked: str) -> contextlib.AbstractContextManager[Any]:
    """The job's own cluster, where a backend may work there: the plan then counts with it."""
    lazy = asked == "auto" or (asked in BACKENDS and backend(asked).family == "lazy")
    return open_client() if lazy and _has_cluster() else contextlib.nullcontext()


def _check_data_dir(settings: Settings) -> None:
    place = storage.folder(settings.data_dir, settings.storage_options)
    if place.is_local and not Path(place.url).is_dir():
        raise StorageFailed(
            f"{place.url}: the data directory does not exist on {socket.gethostname()}, where the job runs. Put it on "
            "a disk that all workers mount under this path, or into a bucket, and set data_dir."
        )
