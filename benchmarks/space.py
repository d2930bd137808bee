"""Whether the disk and the memory are large enough for a scale, before anything is made."""

from __future__ import annotations

import shutil
from pathlib import Path

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.machine import free_memory
from ailab_dataproc.report import count_bytes


def check_space(folder: Path, disk: float, memory: float, what: str) -> None:
    """Compare what is free with an estimate.

    Args:
        folder: where data will be made; it need not exist.
        disk: bytes that it may take.
        memory: bytes that the largest way may take.
        what: is going to be measured.

    Raises:
        InvalidRequest: one of them is too small.
    """
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if (free := shutil.disk_usage(there).free) < disk:
        raise InvalidRequest(
            f"{folder}: has {count_bytes(free)} free, {what} needs about {count_bytes(int(disk))}. "
            "Take a smaller --scale, or another --folder."
        )
    if (free := free_memory()) < memory:
        raise InvalidRequest(
            f"memory: {count_bytes(free)} are free, {what} needs about {count_bytes(int(memory))}. "
            "Take a smaller --scale."
        )
