"""Inside a measured process: seconds, CPU time and memory of a piece of work, and of the processes that it starts.

What it can't see: memory that is held for less than 5 ms, and processes of less than 0.1 s (of this process itself the
kernel's own peak is taken); CPU time of a process whose parent ended without waiting for it; processes that left the
tree. Pages that several processes share, such as those of a mapped file or of a fork, count in each.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from ailab_dataproc.errors import AilabError, require
from ailab_dataproc.report import peak_memory

_WATCHER = Path(__file__).with_name("watcher.py")
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
        self._process = psutil.Process()
        self.seconds = self.cpu_seconds = 0.0
        self.peak_memory = self.added_memory = 0

    def __enter__(self) -> Clock:
        command = [sys.executable, str(_WATCHER), str(os.getpid())]
        self._watcher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        gc.collect()
        _forget_peak()
        self._before = self._told()
        self._cpu, self._started = self._work(), time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.seconds = time.perf_counter() - self._started
        self.cpu_seconds = self._work() - self._cpu
        assert self._watcher.stdin is not None  # noqa: S101 - for the type checker
        self._watcher.stdin.write("\n")
        self._watcher.stdin.flush()
        resident, own = self._told()
        self._watcher.communicate()
        self.peak_memory = max(resident, peak_memory())
        self.added_memory = own - self._before[1]

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

    def _told(self) -> list[int]:
        """What the watcher says: bytes that are resident, and of them those that no file stands behind."""
        assert self._watcher.stdout is not None  # noqa: S101 - for the type checker
        told: list[int] = json.loads(self._watcher.stdout.readline())
        return told

    def _work(self) -> float:
        """CPU seconds of the tree so far, with those of children that have ended."""
        own = os.times()
        total = time.process_time() + own.children_user + own.children_system
        for one in self._process.children(recursive=True):
            if one.pid == self._watcher.pid:
                continue
            try:
                found = one.cpu_times()
            except self._psutil.NoSuchProcess:
                continue
            total += found.user + found.system
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
