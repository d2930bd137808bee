"""The folder of a job: what was asked, what each attempt did, how it ended. Each file is written by one side only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from ailab_dataproc.storage import Folder

# Written once, by who submits.
ASKED = "job.json"
WORK = "work.pkl"  # a `Work`
CODE = "code.zip"
# Written once, by the first attempt of a job whose dataset was named without an exact version: name:version.
DATASET = "dataset.txt"
# Written once, by who cancels.
CANCEL = "cancel.json"
# Written once, by the worker, when no attempt follows.
ENDED = "ended.json"

TASK = "ailab-job-"  # the key of its task in Dask begins so; then its id

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]
Outcome = Literal["succeeded", "failed", "cancelled", "lost"]  # lost: too often with its worker


class _Json:
    """A dataclass of plain values that is one small JSON file."""

    __slots__ = ()

    def to_bytes(self) -> bytes:
        """The file."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()  # type: ignore[call-overload]

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Read it back; what a newer version has added is left out."""
        values = json.loads(content)
        return cls(**{one.name: values[one.name] for one in fields(cls) if one.name in values})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(_Json):
    """What was asked for. Holds no value of a secret."""

    id: str  # 20261123-185501-clicks-by-user-3f2a: sorts by time
    name: str
    user: str
    created: str  # ISO 8601, UTC
    cluster: str  # the name of a configuration, or an address
    scheduler: str = ""  # its id, another one after each start
    entry: str  # for people: "train.py --days 3", "mylab.jobs:count"
    script: str | None = None  # its path within the code; else the function of WORK runs
    args: tuple[str, ...] = ()  # of the script
    cores: int = 1  # job slots that it takes on its worker
    memory: int | None = None  # bytes that its processes may take; None: no limit of its own
    gpus: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()  # names of variables whose values travel with the task, never to a file
    priority: int = 0
    retries: int = 0  # further attempts after a failure of the job's own
    restarts: int = 3  # further attempts after its worker was lost
    time_limit: float | None = None  # seconds, an attempt
    settings: Mapping[str, Any] = field(default_factory=dict)  # the submitter's `Settings`, without storage options
    dataset: str | None = None  # for people: "products/ad_log/impressions:1.0.0 train[:10%]"
    output: str | None = None  # the dataset that it makes: name:version
    versions: Mapping[str, str] = field(default_factory=dict)  # of the submitter: python, dask, …
    repeats: str | None = None  # the id of the job that this one is once more


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(_Json):
    """attempts/N/started.json: where an attempt runs."""

    attempt: int
    worker: str  # address
    host: str
    pid: int  # of the job's keeper on that host
    at: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat(_Json):
    """attempts/N/beat.json: replaced every few seconds while an attempt runs."""

    at: str
    memory: int  # bytes of its processes now
    done: float | None = None  # of the progress
    total: float | None = None
    what: str = ""  # is being done
    log: int = 0  # bytes of log so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(_Json):
    """attempts/N/ended.json, and ended.json once no attempt follows: how it ended."""

    attempt: int
    outcome: Outcome
    at: str
    seconds: float
    code: int | None = None  # exit code of the job's process; negative: the signal that ended it
    error: str = ""  # one sentence for people; of an exception its type and first line
    traceback: str = ""  # of the remote process
    memory: int = 0  # bytes at the peak, of all its processes
    result: int | None = None  # bytes of attempts/N/result.pkl; None: it has no result
    worker: str = ""
    final: bool = False  # another attempt would end the same way, such as one that took too long


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a job of Python calls; cloudpickle of it is WORK.

    A data job loads `reference` first, and `function` gets the loaded object as its first argument. With `output` the
    function maps parts of the dataset, and what it returns becomes a version of another dataset.
    """

    function: Any  # a callable, or "module:function", which is imported where the job runs
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    reference: str | None = None  # of a dataset
    load: Mapping[str, Any] = field(default_factory=dict)  # of `load`, such as split, columns, backend
    output: Mapping[str, Any] | None = None  # of `map_partitions`, such as name, version, schema


def attempt(number: int) -> str:
    """The folder of an attempt, counted from 1, below that of its job."""
    return f"attempts/{number:02d}"


def last_attempt(job: Folder) -> int:
    """The number of the newest attempt; 0 where there is none yet."""
    found = (job / "attempts").names()
    return max((int(name) for name in found if name.isdigit()), default=0)
