"""Trees of processes: finding those of a cluster by the cookie in their environment, and ending them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

COOKIE = "AILAB_LAB_CLUSTER"  # in the environment of every process of a cluster, and of what those start
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PAUSE = 0.1  # seconds between two looks


def began(pid: int) -> str | None:
    """When a process began, in words that no other process with its pid has; None where it has ended."""
    import psutil

    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return None
        if not _BOOT.exists():
            return str(psutil.Process(pid).create_time())
        # Not the time of day, which shifts when the clock is set: ticks since this boot.
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None
    return f"{_BOOT.read_text().strip()}:{ticks}"


def with_cookie(cookie: str) -> list[Any]:
    """Every process of this machine that a cluster has started, straight or not; never this one or those above it."""
    import psutil

    me = psutil.Process()
    spared = {me.pid, *(one.pid for one in me.parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # it ended, or is another user's
            if process.pid not in spared and process.environ().get(COOKIE) == cookie:
                found.append(process)
    return [one for one in found if _runs(one)]


def tree(pid: int) -> list[Any]:
    """A process and all below it; empty where it has ended."""
    import psutil

    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory(pid: int, *, below: bool = True) -> int:
    """Bytes of a process, and of all below it."""
    import psutil

    total = 0
    for process in tree(pid) if below else tree(pid)[:1]:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def kill(processes: Iterable[Any]) -> None:
    """SIGKILL; a pid that belongs to another process by now is left alone."""
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def sweep(cookie: str, patience: float) -> int:
    """Wait until a cluster has no process left, then SIGKILL those that are; how many those were.

    Args:
        cookie: of the cluster.
        patience: seconds in which jobs may end by themselves: their keepers see that the worker is gone.
    """
    deadline = time.monotonic() + patience
    while (left := with_cookie(cookie)) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    kill(left)
    return len(left)


def terminate(pid: int, signal: int) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal)


def _runs(process: Any) -> bool:
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
