"""Where a step runs: in this process, here with a Dask client connected, or as a job that outlives this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ailab_dataproc.cluster.current import current_client
from ailab_dataproc.errors import InvalidRequest, UnknownName, unknown
from ailab_dataproc.experiment.flows.step import Call
from ailab_dataproc.experiment.flows.store import JOB, Store
from ailab_dataproc.jobs.job import Job

_PLACES = ("cluster", "job")


def check(on: str | Mapping[str, Any], call: Call, store: Store) -> None:
    """Refuse what can't be run there.

    Raises:
        InvalidRequest, UnknownName: with one sentence.
    """
    if isinstance(on, str) and on and on not in _PLACES:
        raise unknown("place", on, _PLACES, where=call.name, hint="Options of a job are a dict: on={'gpus': 1}.")
    if _is_job(on) and call.wants_out and not store.place.is_local:
        raise InvalidRequest(
            f"{call.name}: runs as a job and writes files, and the flow lies in {store.place.url}, but they come back "
            "through a folder that both see. Give the flow a shared folder, or the step on='cluster'."
        )
    if _in_a_task():
        raise InvalidRequest(
            f"{call.name}: is called within a Dask task, where it would wait for itself. Call it outside."
        )


def run(call: Call, out: Path, on: str | Mapping[str, Any], job: Job | None) -> tuple[Any, str]:
    """What the function returns, and where it ran.

    Args:
        call: the function with its arguments.
        out: the folder for its files.
        on: nothing, "cluster", "job", or options of `submit`.
        job: one that was submitted before.
    """
    args, kwargs = call.complete(out)
    if job is not None or _is_job(on):
        job = job or _submitted(call, args, kwargs, out, on)
        return _followed(job, call, out), job.id
    if on == "cluster" and current_client() is None:
        from ailab_dataproc.cluster import connect

        with connect():
            return call.function(*args, **kwargs), on
    return call.function(*args, **kwargs), str(on)


def going_on(store: Store, step: str, key: str) -> Job | None:
    """The job that an earlier run submitted for this result, unless it failed or is gone."""
    try:
        job = Job(json.loads((store.place / step / key).read(JOB))["job"])
        return None if job.state in ("failed", "cancelled", "lost") else job
    except (FileNotFoundError, UnknownName):
        return None


def _is_job(on: str | Mapping[str, Any]) -> bool:
    return on == "job" or isinstance(on, Mapping)


def _submitted(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Path, on: Any) -> Job:
    from ailab_dataproc.jobs.submitting import submit

    options = dict(on) if isinstance(on, Mapping) else {}
    job = submit(call.function, args=args, kwargs=kwargs, **{"name": call.name, **options})
    (out.parent / JOB).write_text(json.dumps({"job": job.id}), encoding="utf-8")
    return job


def _followed(job: Job, call: Call, out: Path) -> Any:
    try:
        return job.result()
    except KeyboardInterrupt:
        print(f"step {call.name}: job {job.id} goes on; run this again to come back to it", file=sys.stderr)
        raise
    except BaseException:
        (out.parent / JOB).unlink(missing_ok=True)  # the next run submits it anew
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
