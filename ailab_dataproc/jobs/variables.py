"""The environment of a job's process: the cluster it runs on, the submitter's settings, its own variables, secrets."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.jobs.carried import Carried
from ailab_dataproc.jobs.code import datasets_there
from ailab_dataproc.jobs.record import Asked
from ailab_dataproc.jobs.sent import OPTIONS, PLACE
from ailab_dataproc.jobs.where import Here
from ailab_dataproc.machine import JOB_MEMORY
from ailab_dataproc.storage import Folder

PROGRESS = "progress.json"
# A Dask worker says one thread; a job may use the cores that it asked for.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
_LONGEST = 60  # characters of a folder in which multiprocessing can make sockets, whose paths have 107 at most
_GPUS = "CUDA_VISIBLE_DEVICES"


def variables(
    asked: Asked, carried: Carried, here: Here, folder: Path, path: list[str], *, more: Mapping[str, str]
) -> dict[str, str]:
    """All variables of a job's process.

    Args:
        asked: the job.
        carried: secrets, and options of stores.
        here: its worker.
        folder: of the attempt on this machine.
        path: the project's folders with modules.
        more: those of `devices` and `place`.
    """
    temporary = str(folder / "tmp")
    found = dict(os.environ) | dict(more)
    found |= dict.fromkeys(_THREADS, str(asked.cores))
    found |= {"TMPDIR": temporary} if len(temporary) <= _LONGEST else {}
    found |= _settings(asked, carried, folder / "code") | _dask(here, folder)
    limits = [one for one in (asked.memory, here.memory) if one]
    found |= {JOB_MEMORY: str(min(limits))} if limits else {}
    found |= {
        "AILAB_JOB": asked.id,
        "AILAB_JOB_PROGRESS": str(folder / PROGRESS),
        "PYTHONPATH": os.pathsep.join([*path, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONUNBUFFERED": "1",
    }
    return found | dict(asked.environment) | dict(carried.secrets)


def place(job: Folder) -> dict[str, str]:
    """Where the job's code lies, for those of its tasks that run elsewhere."""
    return {PLACE: job.url} | ({OPTIONS: _json(job.options)} if job.options else {})


def secret_values(carried: Carried) -> list[str]:
    """What no log may hold: secrets, and what of the stores' options looks like one."""
    options = [carried.folder_options, carried.data_options]
    return [*carried.secrets.values(), *(value for one in options for value in _texts(one))]


def _settings(asked: Asked, carried: Carried, code: Path) -> dict[str, str]:
    found = {key: value for key, value in asked.settings.items() if value is not None}
    if "datasets" in found:
        found["datasets"] = os.pathsep.join(datasets_there(found["datasets"], code))
    if "auto" in found:
        found["auto"] = ",".join(found["auto"])
    named = {f"AILAB_{key.upper()}": str(value) for key, value in found.items()}
    if carried.data_options:
        named["AILAB_STORAGE_OPTIONS"] = _json(carried.data_options)
    return named


def _json(options: Mapping[str, Any]) -> str:
    try:
        return json.dumps(options)
    except TypeError as error:
        raise InvalidRequest(
            f"storage_options: {error}, so they can't travel to a job. Use plain values, such as the path of a token."
        ) from error


def _dask(here: Here, folder: Path) -> dict[str, str]:
    """What makes a plain `distributed.Client()` the client of the job's own cluster."""
    if not here.scheduler:
        return {}
    found = {"DASK_SCHEDULER_ADDRESS": here.scheduler}
    names = {"ca-file": "CA_FILE", "cert": "CLIENT__CERT", "key": "CLIENT__KEY"}
    for key, value in here.tls.items():
        file = value
        if "\n" in value:  # the text itself
            file = str(folder / f"{key}.pem")
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
                out.write(value)
        found[f"DASK_DISTRIBUTED__COMM__TLS__{names[key]}"] = os.path.abspath(file)
    if here.scheduler.startswith("tls://"):
        found["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] = "True"
    return found


def _texts(options: Mapping[str, Any], inside: bool = False) -> Iterator[str]:
    """The values whose names say that they are secret; paths of files are none."""
    for key, value in options.items():
        secret = inside or any(word in key.lower() for word in ("token", "secret", "key", "password", "credential"))
        if isinstance(value, Mapping):
            yield from _texts(value, secret)
        elif secret and isinstance(value, str) and len(value) >= 8 and not os.path.exists(value):
            yield value


_taken: set[str] = set()
_lock = threading.Lock()


@contextlib.contextmanager
def devices(gpus: int) -> Iterator[dict[str, str]]:
    """The GPUs of a job while the block runs, as a variable; one that asked for none sees none.

    Jobs of one worker get different ones, in the order that the worker names them: dask-cuda has its own one first.
    """
    with _lock:
        free = [one for one in _visible() if one not in _taken][:gpus]
        _taken.update(free)
    try:
        # Without one to give, such as where a cluster's declared resource is no device of CUDA, nothing is said.
        yield {_GPUS: ",".join(free)} if len(free) == gpus else {}
    finally:
        with _lock:
            _taken.difference_update(free)


def _visible() -> list[str]:
    named = os.environ.get(_GPUS)
    if named is not None:
        return [one.strip() for one in named.split(",") if one.strip()]
    found = [name.removeprefix("nvidia") for name in os.listdir("/dev") if name.startswith("nvidia")]
    return sorted((one for one in found if one.isdigit()), key=int)
