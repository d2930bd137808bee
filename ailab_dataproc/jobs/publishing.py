"""A thread that brings an attempt's log and beat to the job's folder, and sees whether somebody wants it to end."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ailab_dataproc.errors import StorageFailed
from ailab_dataproc.jobs.amounts import now
from ailab_dataproc.jobs.folders import write_private
from ailab_dataproc.jobs.history import STARTED
from ailab_dataproc.jobs.logs import Log
from ailab_dataproc.jobs.record import CANCEL, Beat, attempt
from ailab_dataproc.jobs.redacting import Redactor
from ailab_dataproc.storage import Folder

_TICK = 0.25  # seconds
_PATIENCE = 600.0  # seconds in which a store that fails is asked again for what must not be lost
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds between two writes or looks."""

    log: float = 1.0
    beat: float = 2.0
    progress: float = 0.5
    look: float = 1.0


DISK = Rhythm()
BUCKET = Rhythm(log=3.0, beat=10.0, progress=3.0, look=3.0)  # each is a request that costs


def rhythm(folder: Folder) -> Rhythm:
    """How often a folder is written and looked at."""
    return DISK if folder.is_local else BUCKET


class Publisher(threading.Thread):
    """Runs beside the job; a store that fails delays it and never ends the job."""

    def __init__(self, job: Folder, number: int, log: Log, progress: Path, redactor: Redactor) -> None:
        super().__init__(name=f"ailab-job-publisher-{number}", daemon=True)
        self.wanted = ""  # the end that somebody asked for: cancelled, twin
        self.memory = 0  # bytes that the job takes now, for the beat
        self._job, self._number, self._place = job, number, job / attempt(number)
        self._log, self._file, self._redactor = log, progress, redactor
        self._rhythm = rhythm(job)
        self._over = threading.Event()
        self._due: dict[str, float] = {}
        self._progress: dict[str, object] = {}
        self._stamp: float | None = None
        self._failing = False

    def stop(self) -> None:
        """End the thread after what it does now."""
        self._over.set()
        self.join()

    def finish(self) -> None:
        """Write what is left, after the end."""
        self._log.write()
        self._look_at_progress()
        write_private(self._place, "beat.json", self._beat().to_bytes())

    def run(self) -> None:
        """Write and look until stopped."""
        while not self._over.is_set():
            try:
                self._step()
            except Exception as error:  # whatever a store's library raises: the job must not mind
                self._trouble(error)
                self._over.wait(self._rhythm.log)
            self._over.wait(_TICK)

    def _step(self) -> None:
        if self._is_due("look", self._rhythm.look):
            twin = f"{attempt(self._number + 1)}/{STARTED}"
            found = self._job.read_many([CANCEL, twin])
            self.wanted = "twin" if twin in found else "cancelled" if CANCEL in found else self.wanted
        if not self._log.is_written and self._is_due("log", self._rhythm.log):
            self._log.write()
        news = self._look_at_progress()
        if self._is_due("beat", self._rhythm.progress if news else self._rhythm.beat):
            write_private(self._place, "beat.json", self._beat().to_bytes())
        if self._failing:
            self._failing = False
            self._log.say("the job's folder can be written again")

    def _is_due(self, what: str, seconds: float) -> bool:
        due = time.monotonic() >= self._due.get(what, 0) + seconds
        if due:
            self._due[what] = time.monotonic()
        return due

    def _look_at_progress(self) -> bool:
        """Whether the job's progress is another than in the last beat."""
        try:
            stamp = self._file.stat().st_mtime
            if stamp != self._stamp:
                self._progress = json.loads(self._file.read_bytes())
                self._stamp, self._news = stamp, True
        except (OSError, ValueError):  # none yet, or not by us
            return False
        return self._news

    _news = False

    def _beat(self) -> Beat:
        self._news = False
        done, total = (self._progress.get(name) for name in ("done", "total"))
        return Beat(
            at=now(),
            memory=self.memory,
            done=float(done) if isinstance(done, int | float) else None,
            total=float(total) if isinstance(total, int | float) else None,
            what=self._redactor.text(str(self._progress.get("what") or "")),
            log=self._log.total,
        )

    def _trouble(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            self._log.say(f"the job's folder can't be written for now ({error})")
            _log.warning("%s: %s", self._place.url, error)


def persistently(ask: Callable[[], _T], patience: float = _PATIENCE) -> _T:
    """Read or write although the store fails for a while.

    Args:
        ask: what is done, again and again.
        patience: seconds until its error counts.
    """
    begun, pause = time.monotonic(), 1.0
    while True:
        try:
            return ask()
        except StorageFailed as error:
            if time.monotonic() - begun + pause > patience:
                raise
            _log.warning("The folder of a job fails for now: %s", error)
        time.sleep(pause)
        pause = min(2 * pause, 30.0)
