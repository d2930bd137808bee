"""What all steps of one preparation share, and how a step that fails tells the driver."""

from __future__ import annotations

import json
import logging
import pickle
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import pyarrow as pa

from ailab_dataproc import schema as contract
from ailab_dataproc.columns import is_pii
from ailab_dataproc.errors import AilabError, SourceFailed
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.splitting import Pooled
from ailab_dataproc.storage import Folder

FAILURES = "failures"
_log = logging.getLogger("ailab_dataproc")
_looking = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all tasks of one preparation share. Small, and safe to pickle."""

    dataset: str
    stage: Folder
    arrow_schema: str  # Arrow's own serialization, base64
    module: tuple[str, str, str] | None  # the definition's module for `run_text`; None: workers have it
    read: bytes | None  # the author's function, pickled; None: by the source's ending
    formats: tuple[str, ...]
    layout: Layout
    allow_empty: bool = False
    rule: Pooled | None = None  # how rows of a pool are shared out to splits
    shuffled: bool = False
    seed: int = 0
    key: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    checks: bytes | None = None  # the author's, pickled; None: there are none

    @property
    def schema(self) -> pa.Schema:
        """The declared columns."""
        return contract.decode(self.arrow_schema, self.dataset)


class Labelled(Protocol):
    """What a step works on: a task, a bucket."""

    @property
    def label(self) -> str:
        """A file name's worth of identity."""

    @property
    def weight(self) -> int:
        """Bytes to read, where known: heavy items go first, and evenly to all workers."""


def guarded(job: Job, item: Labelled, step: Callable[[Job, Any], None]) -> str:
    """Do one step for one item; a failure becomes a file, so that no engine repeats it, and ends the others early.

    Returns:
        The item's label.
    """
    with _looking:
        now = time.monotonic()
        failed = _another_failed(job.stage, now if job.stage.is_local else int(now))
    if not failed:
        try:
            step(job, item)
        except Exception as error:  # told to the driver by the file, which raises it again
            failure = _failure(error, personal=any(map(is_pii, job.schema)))
            job.stage.write(f"{FAILURES}/{item.label}.json", failure)
    return item.label


@lru_cache(maxsize=1)
def _another_failed(stage: Folder, _time: float) -> bool:
    """Whether an item has failed. In a bucket, where each look costs, each process looks once a second."""
    return bool((stage / FAILURES).names())


def forget_failures(job: Job) -> None:
    """Begin anew, as if no item had failed."""
    (job.stage / FAILURES).remove()
    _another_failed.cache_clear()


def raise_failure(job: Job) -> None:
    """Raise the error of the first failed item, in the order of labels; nothing where none failed."""
    labels = (job.stage / FAILURES).names()
    if labels:
        failure = json.loads(job.stage.read(f"{FAILURES}/{labels[0]}"))
        error = pickle.loads(bytes.fromhex(failure["pickle"]))  # noqa: S301 - written by our own task
        _log.info("%s of %s failed:\n%s", labels[0].removesuffix(".json"), job.dataset, failure["traceback"])
        error.__notes__ = [failure["traceback"]]
        raise error


def _failure(error: Exception, *, personal: bool) -> bytes:
    """The error for the driver; where the data are personal, without what other libraries said of a value."""
    trace = "".join(_lines(error) if personal else traceback.format_exception(error))
    if not isinstance(error, AilabError):
        error = SourceFailed(f"{type(error).__name__}: {'message not shown: PII' if personal else error}")
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return json.dumps({"traceback": trace, "pickle": pickle.dumps(error).hex()}).encode()


def _lines(error: BaseException) -> list[str]:
    """The places of a traceback and of its causes, without the messages."""
    before = _lines(error.__cause__) if error.__cause__ else []
    return [*before, f"{type(error).__name__}\n", *traceback.format_tb(error.__traceback__)]
