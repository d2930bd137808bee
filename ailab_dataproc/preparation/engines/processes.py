"""This machine, in processes: for functions that hold the interpreter's lock. A process that dies costs time only.

Not Beam's own worker processes: they take 4 to 7 s to start, get their items once and for all, and where one of them is
killed Beam waits for ever.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.errors import ClusterFailed, require
from ailab_dataproc.preparation.engines.items import spoken
from ailab_dataproc.preparation.engines.memory import keep_memory
from ailab_dataproc.storage import Folder

_LOOK = 1.0  # seconds between two looks whether the driver is still there


@dataclass(frozen=True, slots=True)
class ProcessEngine:
    """Worker processes of this machine."""

    workers: int

    @contextmanager
    def open(self, stage: Folder) -> Iterator[Callable[..., None]]:
        """Nothing is started before there is something to run."""
        require("loky", "beam")
        yield self._run

    def describe(self) -> dict[str, Any]:
        """Runner and workers."""
        return {"runner": "processes", "workers": self.workers}

    def _run(self, function: Callable[[Any], object], items: Sequence[Any]) -> None:
        left = _round(function, items, self.workers)
        while left:
            again = _round(function, left, self.workers)
            if len(again) == len(left):
                break
            left = again
        deadly = [item for item in left if _round(function, [item], 1)]  # alone, so that the error names the right one
        if deadly:
            raise ClusterFailed(
                f"{spoken(deadly[0])}: the process died that worked on nothing else; "
                "the system kills processes that take too much memory. Use fewer workers, or cut the source into "
                "smaller ones. Whole shards are kept."
            )


def _round(function: Callable[[Any], object], items: Sequence[Any], workers: int) -> list[Any]:
    """Run items in fresh processes; returns those that weren't done when one of them died."""
    from loky import BrokenProcessPool, ProcessPoolExecutor

    # Its own way of starting processes: a script without `if __name__ == "__main__"` isn't run again in each of them.
    count = min(workers, len(items)) or 1
    pool = ProcessPoolExecutor(count, initializer=_begin, initargs=(os.getpid(),))
    left = []
    try:
        for future, item in [(pool.submit(function, item), item) for item in items]:
            try:
                future.result()
            except BrokenProcessPool:
                left.append(item)
    finally:
        pool.shutdown(wait=True, kill_workers=True)
    return left


def _begin(driver: int) -> None:
    """Runs first in each process."""
    os.dup2(2, 1)  # what a `read` prints is no result of the command
    keep_memory()
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()


def _end_with(driver: int) -> None:
    """A driver that is killed can't tell its processes."""
    while os.getppid() == driver:
        time.sleep(_LOOK)
    os._exit(1)
