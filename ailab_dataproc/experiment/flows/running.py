"""Where a step runs: in this process, here with a Dask client connected, or as a job that outlives this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.cluster.current import current_client
from ailab_dataproc.errors import InvalidRequest, UnknownName, unknown
from ailab_dataproc.experiment.flows import keeping, remote
from ailab_dataproc.experiment.flows.step import Call
from ailab_dataproc.experiment.flows.store import JOB, Store
from ailab_dataproc.jobs.job import Job
from ailab_dataproc.storage import Folder

_PLACES = ("cluster", "job")


def check(on: str | Mapping[str, Any], call: Call) -> None:
    """Refuse what can't be run there.

    Raises:
        InvalidRequest, UnknownName: with one sentence.
    """
    if isinstance(on, str) and on and on not in _PLACES:
        raise unknown("place", on, _PLACES, where=call.name, hint="Options of a job are a dict: on={'gpus': 1}.")
    if _in_a_task():
        raise InvalidRequest(
            f"{call.name}: is called within a Dask task, where it would wait for itself. Call it outside."
        )


@dataclass(frozen=True, slots=True)
class Ran:
    """What a step gave."""

    result: Any  # as `keeping.kept`
    files: dict[str, str]  # checksums, by name
    on: str  # where it ran


def run(call: Call, key: str, store: Store, on: str | Mapping[str, Any], job: Job | None) -> Ran:
    """Call the function.

    Args:
        call: the function with its arguments.
        key: of the result.
        store: where it is kept.
        on: nothing, "cluster", "job", or options of `submit`.
        job: one that was submitted before.
    """
    out = store.folder(call.name, key)
    if job is None and _is_job(on):
        job = _submitted(call, key, store, on)
    if job is not None:
        result = _followed(job, call, store.place / call.name / key)
        if not store.place.is_local:
            return Ran(result[0], result[1], job.id)
    elif on == "cluster" and current_client() is None:
        from ailab_dataproc.cluster import connect

        with connect():
            result = call.run(out)
    else:
        result = call.run(out)
    told = keeping.kept(result, store.local, f"{call.name}: its result")
    files = store.files(call.name, key)
    store.upload(call.name, key, files)
    return Ran(told, files, job.id if job else str(on))


def going_on(store: Store, step: str, key: str) -> Job | None:
    """The job that an earlier run submitted for this result, unless it failed or is gone."""
    try:
        job = Job(json.loads((store.place / step / key).read(JOB))["job"])
        return None if job.state in ("failed", "cancelled", "lost") else job
    except (FileNotFoundError, UnknownName):
        return None


def _is_job(on: str | Mapping[str, Any]) -> bool:
    return on == "job" or isinstance(on, Mapping)


def _submitted(call: Call, key: str, store: Store, on: Any) -> Job:
    from ailab_dataproc.jobs.code import project_of_function
    from ailab_dataproc.jobs.submitting import submit

    options = {"name": call.name, **(on if isinstance(on, Mapping) else {})}
    given = call.complete(store.folder(call.name, key))
    if store.place.is_local:
        job = submit(call.function, args=given[0], kwargs=given[1], **options)
    else:
        args = (call.function, remote.packed(given, store.local), store.place.url, call.name, key)
        job = submit(remote.run, args=args, **{"code": project_of_function(call.function), **options})
    (store.place / call.name / key).write(JOB, json.dumps({"job": job.id}).encode())
    return job


def _followed(job: Job, call: Call, folder: Folder) -> Any:
    try:
        return job.result()
    except KeyboardInterrupt:
        print(f"step {call.name}: job {job.id} goes on; run this again to come back to it", file=sys.stderr)
        raise
    except BaseException:
        folder.remove_files([JOB])  # the next run submits it anew
        raise


def _in_a_task() -> bool:
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:  # this isn't one
        return False
    return True
