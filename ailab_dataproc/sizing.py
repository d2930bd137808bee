"""Bytes wanted and bytes there: Need and Machine."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a load asks for, exact from the index; with filters, no more than that."""

    rows: int
    bytes: int  # of the selected columns and rows, as Arrow
    largest: int  # bytes of what is read of the largest shard, as Arrow
    shards: int
    schema: pa.Schema  # of the selected columns
    columns: Mapping[str, int]  # bytes of each selected column, as Arrow; they sum to `bytes`
    nulls: str = "refuse"  # or "mask": what backends without a null are to do with nullable columns
    dtypes: str = "arrow"  # or "numpy": what pandas and Dask hold columns as
    filtered: bool = False  # whether filters will leave fewer rows and bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this process may use now."""

    memory: int  # bytes free
    cpus: int
    gpus: tuple[int, ...] = ()  # free bytes of each visible GPU

    @classmethod
    def here(cls) -> Machine:
        """Look at this machine; no GPU context is made."""
        return cls(memory=free_memory(), cpus=len(os.sched_getaffinity(0)), gpus=_gpus())


def free_memory(root: str = "/") -> int:
    """Bytes that can still be allocated: what the system has available, within every cgroup above this process.

    Args:
        root: where ``/proc`` and ``/sys`` are looked for; tests give a folder.
    """
    base = Path(root)
    limits = [_available(base)]
    for group in _cgroups(base):
        limits += [limit for limit in (_room_v2(group), _room_v1(group)) if limit is not None]
    return max(min(limits), 0)


def _available(base: Path) -> int:
    for line in (base / "proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{base / 'proc/meminfo'}: has no MemAvailable line")


def _cgroups(base: Path) -> list[Path]:
    """The folders of this process's memory cgroup and of all above it, v2 and v1."""
    membership = base / "proc/self/cgroup"
    if not membership.exists():
        return []
    found = []
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        mount = base / "sys/fs/cgroup" / controllers
        own = mount / path.strip("/")
        found += [one for one in (own, *own.parents) if one.is_relative_to(mount)]
    return found


def _room_v2(group: Path) -> int | None:
    limits = [_number(group / name) for name in ("memory.max", "memory.high")]
    known = [limit for limit in limits if limit is not None]
    used = _number(group / "memory.current")
    return min(known) - used + _cached(group, "inactive_file") if known and used is not None else None


def _room_v1(group: Path) -> int | None:
    limit = _number(group / "memory.limit_in_bytes")
    used = _number(group / "memory.usage_in_bytes")
    if limit is None or used is None or limit >= 1 << 60:  # v1's word for "no limit" is a huge number
        return None
    return limit - used + _cached(group, "total_inactive_file")


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:  # this kind of cgroup has no such file
        return None
    return int(text) if text.isdigit() else None


def _cached(group: Path, key: str) -> int:
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(key + " ")), 0)


def _gpus() -> tuple[int, ...]:
    """Free bytes of each GPU, through NVML: `import cudf` succeeds without a driver and would prove nothing."""
    if importlib.util.find_spec("pynvml") is None or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return ()
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver
        return ()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return tuple(int(pynvml.nvmlDeviceGetMemoryInfo(handle).free) for handle in handles)
    finally:
        pynvml.nvmlShutdown()
