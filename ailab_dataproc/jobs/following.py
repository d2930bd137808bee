"""The log of a job: whole, or as it grows, with a line where another attempt begins."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterator

from ailab_dataproc.jobs.record import ENDED, Started, attempt, last_attempt
from ailab_dataproc.jobs.state import STALE, Status
from ailab_dataproc.storage import Folder

_DISK = (0.1, 1.0)  # seconds between two looks, when something comes and when nothing does
_BUCKET = (2.0, 5.0)  # a request each costs time and money
_ASKED = (3.0, 30.0)  # seconds between two questions to the scheduler, which tells what no file does


class Ending:
    """Tells when a job is over: looks for its last file often, and asks the scheduler now and then."""

    def __init__(self, job: Folder, status: Callable[[], Status]) -> None:
        self.last: Status | None = None
        self._job, self._status = job, status
        self._next, self._pause = 0.0, _ASKED[0]
        self._lost: float | None = None  # since when, where that isn't sure

    def look(self) -> Status | None:
        """The status where the job is over."""
        now = time.monotonic()
        if now < self._next and not self._job.exists(ENDED):
            return None
        self.last = self._status()
        self._next, self._pause = now + self._pause, min(1.5 * self._pause, _ASKED[1])
        if self.last.state != "lost" or not self.last.note:
            self._lost = None
            return self.last if self.last.is_over else None
        # The scheduler didn't answer: it may come back and know better.
        self._lost = now if self._lost is None else self._lost
        return self.last if now - self._lost > STALE else None


def pauses(job: Folder) -> tuple[float, float]:
    """Seconds between two looks into a folder: the shortest and the longest."""
    return _DISK if job.is_local else _BUCKET


def read_log(job: Folder) -> str:
    """All attempts."""
    return "".join(_Reader(job).more())


def follow_log(job: Folder, status: Callable[[], Status]) -> Iterator[str]:
    """Pieces of text as they come, until the job is over and all was read."""
    reader, ending = _Reader(job), Ending(job, status)
    shortest, longest = pauses(job)
    pause = shortest
    while True:
        over = ending.look()  # before the last bytes are read
        found = False
        for text in reader.more():
            found = True
            yield text
        if over:
            return
        time.sleep(pause)
        pause = shortest if found else min(1.3 * pause, longest)


class _Reader:
    """Reads what it hasn't read yet."""

    def __init__(self, job: Folder) -> None:
        self._job = job
        self._attempt = 0
        self._begin(1)

    def _begin(self, number: int) -> None:
        self._number = number
        self._at = (1, 0)  # the chunk that is read next, and from where
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._headed = False

    def more(self) -> Iterator[str]:
        """The text that has come since."""
        last = last_attempt(self._job)
        while self._number <= last:
            head = self._head()
            if head:
                yield head
            yield from self._chunks()
            if self._number == last:
                return
            yield self._decoder.decode(b"", final=True)
            self._begin(self._number + 1)

    def _head(self) -> str:
        """The line before another attempt's log."""
        if self._headed or self._number == 1:
            return ""
        found = self._job.read_many([f"{attempt(self._number)}/started.json"])
        before = self._job.read_many([f"{attempt(self._number - 1)}/{name}.json" for name in ("started", "ended")])
        self._headed = True
        where = "".join(f" on {Started.of(content).host}" for content in found.values())
        lost = not any(name.endswith("ended.json") for name in before)
        worker = next((Started.of(text).worker for name, text in before.items() if name.endswith("started.json")), "")
        why = f"after worker {worker} was lost" if lost else "after a failure"
        return f"--- attempt {self._number}{where}, {why} ---\n"

    def _chunks(self) -> Iterator[str]:
        place = self._job / attempt(self._number) / "log"
        names = [name for name in place.names() if name[:6].isdigit() and name.endswith(".txt")]
        for name in names:
            number, start = self._at
            if int(name[:6]) < number:
                continue
            start = start if int(name[:6]) == number else 0
            try:
                content = place.read(name)
            except FileNotFoundError:  # a log over its cap has let go of it since
                continue
            self._at = (int(name[:6]), len(content))
            if len(content) > start:
                yield self._decoder.decode(content[start:])
