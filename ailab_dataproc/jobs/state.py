"""The state of a job: a pure function of the files of its folder and of what the scheduler knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ailab_dataproc.jobs.amounts import seconds_since
from ailab_dataproc.jobs.record import Asked, Beat, Ended, Started, State

OVER: frozenset[State] = frozenset({"succeeded", "failed", "cancelled", "lost"})
STATES: tuple[State, ...] = ("queued", "running", "succeeded", "failed", "cancelled", "lost")
# Seconds without a sign of life after which an attempt counts as gone where the scheduler can't tell. Its beats come
# every few seconds, so clocks of worker and reader may be so far apart, less a little.
STALE = 60.0
_LAST = 15.0  # the same where the scheduler is known to be another, whose workers ended with the old one
_SUBMITTING = 60.0  # seconds between the folder of a job and its task
_AGAIN = "Submit it again: ailab-dataproc jobs restart {id}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the scheduler says of a job's task."""

    state: (
        str | None
    )  # of Dask, such as "processing", "long-running", "no-worker", "erred"; None: it knows no such task
    error: str = ""  # of a task that it has given up
    worker: str = ""  # that it was given to
    why: str = ""  # it waits
    scheduler: str = ""  # its id, another one after each start


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What the folder says of an attempt."""

    started: Started | None = None
    beat: Beat | None = None
    ended: Ended | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What the folder of a job says."""

    asked: Asked
    url: str = ""
    cancelled: str | None = None  # when it was asked to stop, ISO 8601
    attempts: Mapping[int, Attempt] = field(default_factory=dict)
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

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or is lost."""
        return self.state in OVER

    def __str__(self) -> str:
        part = f" {100 * self.done / self.total:.0f} %" if self.state == "running" and self.done and self.total else ""
        return f"{self.id}: {self.state}{part}" + (f", {self.why}" if self.why else "")


def derive(files: Files, known: Known | str, now: datetime | None = None) -> Status:
    """The state of a job.

    Args:
        files: read after the scheduler was asked, since a job writes how it ended before its task ends.
        known: what the scheduler said, or the sentence why it couldn't be asked.
        now: by the clock of this machine.
    """
    time = now or datetime.now(UTC)
    if files.ended:
        rules: _Rules = ((True, files.ended.outcome, files.ended.error),)
    elif isinstance(known, str):
        rules = _unasked(files, known, time)
    elif files.attempts:
        rules = _begun(files, known, time)
    else:
        rules = _unbegun(files, known, time)
    state, why = next((state, why) for holds, state, why in rules if holds)
    return _status(files, state, why, known, time)


# Whether a row holds, the state, and why. The first one that holds counts.
_Rules = Sequence[tuple[bool, State, str]]


def _unasked(files: Files, said: str, time: datetime) -> _Rules:
    """Of a job whose scheduler can't be asked."""
    number, newest = _newest(files)
    again = f"attempt {number + 1} begins"
    return (
        (not number and bool(files.cancelled), "cancelled", "it was cancelled before it began"),
        (not number, "queued", ""),
        (_is_alive(newest, time), "running", _stopping(files)),
        (newest.ended is not None, "running", again),
        (bool(files.cancelled), "cancelled", "its worker was lost while it was being stopped"),
        (True, "lost", f"no sign of life for {_age(newest, time):.0f} s, and {said.rstrip('.')}. {_again(files)}"),
    )


def _unbegun(files: Files, known: Known, time: datetime) -> _Rules:
    """Of a job without any attempt."""
    young = seconds_since(files.asked.created, time) < _SUBMITTING and not _is_new(files, known)
    gone = "the scheduler doesn't know it: it was restarted, or who submitted the job was stopped in the middle"
    return (
        (bool(files.cancelled), "cancelled", "it was cancelled before it began"),
        (known.state == "erred", "failed", f"no worker could run it: {_line(known.error)}"),
        (known.state is not None, "queued", known.why),
        (young, "queued", "it is being submitted"),
        (True, "lost", f"{gone}. {_again(files)}"),
    )


def _begun(files: Files, known: Known, time: datetime) -> _Rules:
    """Of a job with an attempt at least, and none that was the last."""
    number, newest = _newest(files)
    worker = newest.started.worker if newest.started else ""
    alive = _is_alive(newest, time, _LAST if _is_new(files, known) else STALE)
    failed = newest.ended.error if newest.ended else ""
    stopping = bool(files.cancelled)
    lost = f"worker {worker} was lost with attempt {number}; {known.why or 'another begins'}"
    ends = "the scheduler doesn't know it: it was restarted, or the job ends just now"
    return (
        (known.state == "erred", "lost", f"the scheduler has given it up ({_line(known.error)}). {_again(files)}"),
        (known.state is None and alive, "running", _stopping(files) or ends),
        (known.state is None and stopping, "cancelled", "its worker was lost while it was being stopped"),
        (known.state is None, "lost", f"the scheduler was restarted, and worker {worker} is gone. {_again(files)}"),
        (stopping, "running", _stopping(files)),
        (newest.ended is not None, "running", f"attempt {number} failed ({failed}), attempt {number + 1} begins"),
        (known.worker != worker, "queued", lost),
        (True, "running", ""),
    )


def _newest(files: Files) -> tuple[int, Attempt]:
    number = max(files.attempts, default=0)
    return number, files.attempts.get(number, Attempt())


def _is_new(files: Files, known: Known) -> bool:
    """Whether the scheduler isn't the one that the job was given to."""
    return bool(files.asked.scheduler and known.scheduler) and files.asked.scheduler != known.scheduler


def _is_alive(attempt: Attempt, time: datetime, stale: float = STALE) -> bool:
    return attempt.ended is None and _age(attempt, time) < stale


def _stopping(files: Files) -> str:
    return "it is being cancelled" if files.cancelled else ""


def _again(files: Files) -> str:
    return _AGAIN.format(id=files.asked.id)


def _line(text: str) -> str:
    return text.strip().split("\n", 1)[0]


def _age(attempt: Attempt, time: datetime) -> float:
    """Seconds since the last sign of life."""
    signs = [one.at for one in (attempt.started, attempt.beat) if one]
    return min((seconds_since(sign, time) for sign in signs), default=float("inf"))


def _status(files: Files, state: State, why: str, known: Known | str, time: datetime) -> Status:
    asked = files.asked
    number, newest = _newest(files)
    ended, beat = files.ended or newest.ended, newest.beat
    begun = newest.started.at if newest.started else None
    running = seconds_since(begun, time) if begun and state == "running" else None
    return Status(
        id=asked.id,
        name=asked.name,
        user=asked.user,
        state=state,
        why=why,
        note=known if isinstance(known, str) and not files.ended else "",
        created=asked.created,
        started=begun,
        ended=files.ended.at if files.ended else None,
        seconds=files.ended.seconds if files.ended else running,
        attempt=number or (files.ended.attempt if files.ended else 0),
        worker=(newest.started.worker if newest.started else "") or (ended.worker if ended else ""),
        host=newest.started.host if newest.started else "",
        memory=files.ended.memory if files.ended else beat.memory if beat else 0,
        done=beat.done if beat else None,
        total=beat.total if beat else None,
        what=beat.what if beat else "",
        traceback=files.ended.traceback if files.ended else "",
        result=files.ended.result if files.ended else None,
        url=files.url,
        asked=asked,
    )
