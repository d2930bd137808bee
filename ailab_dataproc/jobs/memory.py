"""Memory of a job's processes: what they alone take, measured cheaply, and what the worker has for all of them."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterable

from ailab_dataproc.jobs.keeper import descendants
from ailab_dataproc.report import count_bytes

_LINUX = sys.platform == "linux"
_RSS = re.compile(rb"^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB", re.M)
_PSS = re.compile(rb"^(?:Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+) kB", re.M)


def tree_memory(root: int) -> int:
    """Bytes that the processes below one take; what they share counts once, and mapped files don't count.

    The kernel takes pages of a mapped file back when it needs them: data that is only mapped takes nothing from others.
    """
    pids = _below(root)
    # What is shared is slow to tell (a walk through the page tables), and one process shares nothing that counts.
    return sum(_shared(pid) if len(pids) > 1 else own_memory(pid) for pid in pids)


def own_memory(pid: int) -> int:
    """Bytes of one process without mapped files; 0 of one that is gone."""
    if not _LINUX:
        return _resident(pid)
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        return _sum(_RSS.findall(file.read()))
    return 0


def _shared(pid: int) -> int:
    if _LINUX:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            if found := _PSS.findall(file.read()):
                return _sum(found)
    return own_memory(pid)  # an older kernel, or one that forbids it


def _sum(kilobytes: Iterable[bytes]) -> int:
    return sum(map(int, kilobytes)) << 10


def _resident(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _below(root: int) -> list[int]:
    """The processes below one: the kernel's own list spares a look at all processes of the machine."""
    if not os.path.exists(f"/proc/{root}/task/{root}/children"):
        return descendants(root)
    found, todo = [], [root]
    while todo:
        todo = [child for pid in todo for child in _children(pid)]
        found += todo
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


class Ceiling:
    """What the jobs of one worker may take together, if they have no limits of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: dict[int, tuple[int, bool]] = {}  # by keeper: bytes, and whether it has a limit of its own

    def forget(self, keeper: int) -> None:
        """A job has ended."""
        with self._lock:
            self._used.pop(keeper, None)

    def exceeded(self, keeper: int, used: int, limit: int | None, worker: int | None) -> str:
        """Why a job has to end, as a sentence; empty where it may go on.

        Args:
            keeper: of the job.
            used: bytes that it takes now.
            limit: bytes that it asked for.
            worker: bytes that the worker may take with all that it runs.
        """
        with self._lock:
            self._used[keeper] = (used, limit is not None)
            everybody = sum(one for one, _ in self._used.values()) + own_memory(os.getpid())
            free = [one for one, limited in self._used.values() if not limited]
        if limit is not None:
            if used <= limit:
                return ""
            return (
                f"it used {count_bytes(used)} of the {count_bytes(limit)} that were asked for. "
                "Ask for more by memory=, or take less at a time."
            )
        if not worker or everybody <= worker or used < max(free):
            return ""
        return (
            f"it used {count_bytes(used)}, and its worker has {count_bytes(worker)} for all that runs on it. "
            "Ask for what it needs by memory=, or take less at a time."
        )


CEILING = Ceiling()  # of this worker
