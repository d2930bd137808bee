"""A fresh Python process that prints one line of JSON, and that ends with its children when its time is up."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ailab_dataproc.machine import free_memory

_REPORTING, _ROUND = Path("/sys/module/page_reporting"), 2.3  # seconds that a round of it takes, and a little more
_GRACE = 3  # seconds between asking a process to end and ending it


class Failed(Exception):
    """A process that ended without an answer; the text says why."""


def fresh(command: Sequence[str], limit: float) -> dict[str, Any]:
    """What a script prints, run by this Python.

    Args:
        command: the script and its arguments.
        limit: seconds after which it is ended.

    Raises:
        Failed: it ended by itself or by a signal without an answer, or its time was up.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as noise:
        # A session of its own: Ctrl-C comes to us alone, and we end the process with all that it started.
        running = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=noise, text=True, start_new_session=True
        )
        try:
            answer, _ = running.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"took longer than {limit:.0f} s") from None
        finally:
            _end(running)
        if running.returncode or not answer.strip():
            noise.seek(0)
            raise Failed(_why(running.returncode, noise.read()))
    found: dict[str, Any] = json.loads(answer)
    return found


def warm_memory(size: int) -> None:
    """Touch so many bytes of free memory, or half of it, which the host of a virtual machine may have taken back.

    Where these benchmarks were made, that took 2 s a GB, and 0.05 s the second time. Linux tells the host what is free
    two seconds after something has become so (mm/page_reporting.c), so a round of that is waited for.
    """
    import numpy as np

    with mmap.mmap(-1, min(size, free_memory() // 2), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        if hasattr(mmap, "MADV_HUGEPAGE"):  # as allocators of much memory ask for
            held.madvise(mmap.MADV_HUGEPAGE)
        np.frombuffer(held, np.uint8)[:: mmap.PAGESIZE] = 1
        if _REPORTING.exists():
            time.sleep(_ROUND)


def _end(running: subprocess.Popen[str]) -> None:
    """End a process that is still there, and what it has left behind."""
    if running.poll() is None:
        _end_family(running)
    with contextlib.suppress(ProcessLookupError):  # nothing was left behind
        os.killpg(running.pid, signal.SIGKILL)


def _end_family(running: subprocess.Popen[str]) -> None:
    import psutil

    family = [psutil.Process(running.pid), *psutil.Process(running.pid).children(recursive=True)]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            one.terminate()
    _, alive = psutil.wait_procs(family, timeout=_GRACE)
    for one in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    running.wait()


def _why(code: int, noise: str) -> str:
    if code == -9:
        return "was killed (signal 9): most likely it ran out of memory"
    if code < 0:
        return f"was ended by signal {-code}"
    last = next((line.strip() for line in reversed(noise.splitlines()) if line.strip()), "it said nothing")
    return f"ended with code {code}: {last[:500]}"
