"""What this machine could do at best: copies within the GPU, to it and within the host's memory, and the disk.

GB/s are bytes that arrive; a copy within a memory reads as many again. The copies to a GPU and within one have not
been run on a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clock import Clock
from machine import disk

from ailab_dataproc.errors import InvalidRequest

CASE = "limits"
DEVICE, PINNED, PAGEABLE, BACK = (
    "device to device",
    "host to device, pinned",
    "host to device, pageable",
    "device to host, pinned",
)
HOST, DISK = "host to host", "disk"
ON_GPU, ON_CPU = (DEVICE, PINNED, PAGEABLE, BACK), (HOST, DISK)
_TIMES = 8  # that a block is copied; files that are read at a time
_BLOCK = 16 << 20  # bytes of a file at a time


def measure(way: str, size: int, files: Sequence[Path]) -> dict[str, Any]:
    """Copy a block some times, or read the files.

    Args:
        way: the limit.
        size: bytes of a block.
        files: for the disk.
    """
    if way == DISK:
        return _disk(files)
    copy, settle = _host(size) if way == HOST else _device(way, size)
    copy()
    settle()
    with Clock() as clock:
        for _ in range(_TIMES):
            copy()
        settle()
    return clock.line(bytes=_TIMES * size)


def forget(files: Sequence[Path]) -> None:
    """Put files out of the system's memory, so that the disk is read again.

    Raises:
        InvalidRequest: this system or this disk can't.
    """
    kind = disk(files[0].parent)
    if kind.startswith(("tmpfs", "ramfs")) or not hasattr(os, "posix_fadvise"):
        raise InvalidRequest(
            f"{files[0].parent}: lies on {kind}, wanted a disk whose files can be put out of memory. "
            "Name another --folder."
        )
    for file in files:
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _host(size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import numpy as np

    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    return lambda: np.copyto(target, source), lambda: None


def _device(way: str, size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import cupy
    import numpy as np

    here, there = cupy.ones(size, np.uint8), cupy.empty(size, np.uint8)
    block = np.ones(size, np.uint8) if way == PAGEABLE else _pinned(size)
    copies = {
        DEVICE: lambda: cupy.copyto(there, here),
        PAGEABLE: lambda: there.set(block),
        PINNED: lambda: there.set(block),
        BACK: lambda: here.get(out=block),
    }
    return copies[way], cupy.cuda.runtime.deviceSynchronize


def _pinned(size: int) -> Any:
    """An array in memory of the host that stays where it is, so that the GPU can fetch it alone."""
    import cupy
    import numpy as np

    return np.frombuffer(cupy.cuda.alloc_pinned_memory(size), np.uint8, size)


def _disk(files: Sequence[Path]) -> dict[str, Any]:
    """All files, some at a time."""
    forget(files)
    with ThreadPoolExecutor(_TIMES) as pool, Clock() as clock:
        size = sum(pool.map(_read, files))
    return clock.line(bytes=size)


def _read(file: Path) -> int:
    size = 0
    with open(file, "rb", buffering=0) as opened:
        while block := opened.read(_BLOCK):
            size += len(block)
    return size
