"""Inside a measured process: seconds, CPU time and memory of a piece of work, and of the processes that it starts.

What it can't see: memory of less than 5 ms between two looks (but of this process itself the kernel's own peak is
taken); CPU time of a process whose parent ended without waiting for it; processes that left the tree. Pages that
several processes share, such as those of a mapped file or of a fork, count in each.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from ailab_dataproc.errors import AilabError, require
from ailab_dataproc.report import peak_memory

_POLL = 0.005  # seconds between two looks at the memory
_CHILDREN = 20  # looks between two searches for child processes, which cost more
_CLEAR = Path("/proc/self/clear_refs")


class WrongAnswer(AilabError, ValueError):
    """What a way returned isn't what was wanted, so that its time counts for nothing."""


class Clock:
    """A context in which work is measured.

    Attributes:
        seconds: of the wall clock.
        cpu_seconds: of all threads and child processes.
        peak_memory: bytes, of the tree of processes.
        added_memory: bytes that the tree held itself at most, beside what it had; mapped files aren't counted.
    """

    def __init__(self) -> None:
        require("psutil", "bench")
        import psutil

        self._psutil = psutil
        self._tree = [psutil.Process()]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.seconds = self.cpu_seconds = 0.0
        self.peak_memory = self.added_memory = 0

    def __enter__(self) -> Clock:
        gc.collect()
        _forget_peak()
        self._find()
        self.peak_memory, self._before = self._memory()
        self._most = self._before
        self._thread.start()
        self._cpu, self._started = self._work(time.process_time()), time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.seconds, own = time.perf_counter() - self._started, time.process_time()
        self._find()  # this takes milliseconds, which are nobody's
        self.cpu_seconds = self._work(own) - self._cpu
        self._done.set()
        self._thread.join()
        self._look()
        self.peak_memory = max(self.peak_memory, peak_memory())
        self.added_memory = self._most - self._before

    def line(self, *, rows: int | None = None, bytes: int | None = None, **extra: Any) -> dict[str, Any]:
        """What a suite's `measure` returns.

        Args:
            rows: that were worked on.
            bytes: of them, as Arrow.
            **extra: the suite's own; numbers become lists, one a round.
        """
        return {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_memory": self.peak_memory,
            "rows": rows,
            "bytes": bytes,
            "extra": {"added_memory": self.added_memory, **extra},
        }

    def _watch(self) -> None:
        looks = 0
        while not self._done.wait(_POLL):
            looks += 1
            if looks % _CHILDREN == 0:
                self._find()
            self._look()

    def _find(self) -> None:
        self._tree = [self._tree[0], *self._tree[0].children(recursive=True)]

    def _look(self) -> None:
        resident, own = self._memory()
        self.peak_memory, self._most = max(self.peak_memory, resident), max(self._most, own)

    def _memory(self) -> tuple[int, int]:
        """Bytes that are resident, and of them those that no file stands behind."""
        resident = own = 0
        for one in self._tree:
            try:
                found = one.memory_info()
            except self._psutil.NoSuchProcess:  # it has ended meanwhile
                continue
            resident += found.rss
            own += found.rss - getattr(found, "shared", 0)
        return resident, own

    def _work(self, own: float) -> float:
        """CPU seconds of the tree so far, with those of children that have ended; `own` are finer than their ticks."""
        total = own
        for number, one in enumerate(self._tree):
            try:
                found = one.cpu_times()
            except self._psutil.NoSuchProcess:
                continue
            total += found.user + found.system if number else 0
            total += getattr(found, "children_user", 0.0) + getattr(found, "children_system", 0.0)
        return total


def clocked(
    work: Callable[[], Any],
    *,
    warm_up: Callable[[], Any] | None = None,
    check: Callable[[Any], None] | None = None,
    rows: int | None = None,
    bytes: int | None = None,
) -> dict[str, Any]:
    """Measure a function, for a suite that needs nothing else.

    Args:
        work: what is measured.
        warm_up: the same with little data, which is run before: imports, threads, connections.
        check: gets what `work` returned, and raises `WrongAnswer` where it isn't right.
        rows: that `work` works on.
        bytes: of them, as Arrow.
    """
    if warm_up:
        warm_up()
    with Clock() as clock:
        result = work()
    if check:
        check(result)
    return clock.line(rows=rows, bytes=bytes)


def _forget_peak() -> None:
    """Let the kernel's peak of this process begin with what it holds now."""
    try:
        _CLEAR.write_text("5")
    except OSError:  # no Linux, or it may not: then the peak is that since the process began
        return
