"""The state of a job: a pure function of the files of its folder and of what the scheduler knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ailab_dataproc.jobs.record import Asked, Beat, Ended, Started, State

OVER: frozenset[State] = frozenset({"succeeded", "failed", "cancelled", "lost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the scheduler says of a job's task."""

    state: str | None  # of Dask, such as "processing", "no-worker", "queued", "erred"; None: it doesn't know the key
    error: str = ""  # of a task that it has given up
    worker: str = ""  # that it was given to
    why: str = ""  # it waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What the folder of a job says."""

    asked: Asked
    cancelled: str | None = None  # when it was asked to stop, ISO 8601
    attempts: Mapping[int, tuple[Started | None, Beat | None, Ended | None]] = field(default_factory=dict)
    ended: Ended | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of a job and all that is known about it, at one time."""

    id: str
    name: str
    user: str
    state: State
    why: str = ""  # one sentence: what it waits for, how it failed, why it is lost and what to do
    note: str = ""  # one sentence: what may make this wrong, such as a scheduler that doesn't answer
    created: str = ""  # ISO 8601, UTC
    started: str | None = None  # of the newest attempt
    ended: str | None = None
    seconds: float | None = None  # of the newest attempt, so far or in all
    attempt: int = 0  # the newest; 0: none has begun
    worker: str = ""
    host: str = ""
    memory: int = 0  # bytes of its processes now, at the end at their peak
    done: float | None = None  # of the progress
    total: float | None = None
    what: str = ""  # is being done
    traceback: str = ""  # of a failure
    result: int | None = None  # bytes
    url: str = ""  # of the folder
    asked: Asked | None = None
