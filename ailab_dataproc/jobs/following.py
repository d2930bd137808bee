"""The log of a job: whole, or as it grows, with a line where another attempt begins."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterator

from ailab_dataproc.jobs.record import Started, attempt, last_attempt
from ailab_dataproc.jobs.state import Status
from ailab_dataproc.storage import Folder

_DISK = (0.2, 1.0)  # seconds between two looks, when something comes and when nothing does
_BUCKET = (2.0, 5.0)  # a request each costs time and money
_STATE = 3.0  # seconds between two questions for the state


def pauses(job: Folder) -> tuple[float, float]:
    """Seconds between two looks into a folder: the shortest and the longest."""
    return _DISK if job.is_local else _BUCKET


def read_log(job: Folder) -> str:
    """All attempts."""
    return "".join(_Reader(job).more())


def follow_log(job: Folder, status: Callable[[], Status]) -> Iterator[str]:
    """Pieces of text as they come, until the job has ended and all was read."""
    reader = _Reader(job)
    shortest, longest = pauses(job)
    pause, asked, over = shortest, 0.0, False
    while True:
        found = False
        for text in reader.more():
            found = True
            yield text
        if over:
            return
        pause = shortest if found else min(1.5 * pause, longest)
        if time.monotonic() - asked > max(_STATE, pause) or not found:
            over = status().is_over  # then the last bytes are read once more
            asked = time.monotonic()
        if not over:
            time.sleep(pause)


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
            content = place.read(name)
            self._at = (int(name[:6]), len(content))
            if len(content) > start:
                yield self._decoder.decode(content[start:])
