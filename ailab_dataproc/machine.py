"""Free memory and processors of this process: of the system, within every cgroup above it and its own limits."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

JOB_MEMORY = "AILAB_JOB_MEMORY"  # the variable that tells a job how many bytes its processes may take
_V1_UNLIMITED = 1 << 60  # v1's word for "no limit" is a huge number


def free_memory(root: str = "/") -> int:
    """Bytes that can still be allocated.

    Args:
        root: where ``/proc`` and ``/sys`` are looked for; tests give a folder.
    """
    base = Path(root)
    limits = [_available(base), *_own_limits(base)]
    limits += [room for group, v2 in _cgroups(base, "memory") if (room := _room(group, v2)) is not None]
    return max(min(limits), 0)


def processors(root: str = "/") -> int:
    """Threads that may run at a time: those that the process is bound to, within the quotas of its cgroups."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for group, v2 in _cgroups(Path(root), "cpu") if (quota := _quota(group, v2))]
    return max(min([bound, *(math.ceil(quota) for quota in quotas)]), 1)


def processor(root: str = "/") -> str:
    """The name of the processor; empty where the system doesn't tell it as Linux does."""
    file = Path(root) / "proc/cpuinfo"
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def all_memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _available(base: Path) -> int:
    file = base / "proc/meminfo"
    if not file.exists():  # no Linux: nothing tells what is free without another library
        return all_memory()
    for line in file.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{file}: has no MemAvailable line")


def _own_limits(base: Path) -> Iterator[int]:
    """What ``ulimit -v`` and ``ulimit -d`` leave, and in a job its worker."""
    limits, status = base / "proc/self/limits", base / "proc/self/status"
    if not limits.exists() or not status.exists():
        return
    used = {line.split(":")[0]: line.split()[1] for line in status.read_text().splitlines() if " kB" in line}
    if os.environ.get(JOB_MEMORY):
        yield int(os.environ[JOB_MEMORY]) - int(used["VmRSS"]) * 1024
    for line in limits.read_text().splitlines():
        for name, key in (("Max address space", "VmSize"), ("Max data size", "VmData")):
            soft = line.removeprefix(name).split()
            if line.startswith(name) and soft[0].isdigit():
                yield int(soft[0]) - int(used[key]) * 1024


def _cgroups(base: Path, controller: str) -> Iterator[tuple[str, bool]]:
    """The folder of this process's cgroup and of all above it, for ``"memory"`` or ``"cpu"``; whether it is of v2."""
    for line in _text(f"{base}/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            mount = f"{base}/sys/fs/cgroup/{controllers}"
            parts = [part for part in path.split("/") if part]
            yield from (("/".join([mount, *parts[:depth]]), not controllers) for depth in range(len(parts), -1, -1))


def _room(group: str, v2: bool) -> int | None:
    """What is left of a group's memory; None where it has no limit."""
    if not v2:
        return _room_v1(group)
    limits = [_number(f"{group}/{name}") for name in ("memory.max", "memory.high")]
    known = [limit for limit in limits if limit is not None]
    used = _number(f"{group}/memory.current")
    return min(known) - used + _cached(group, "inactive_file") if known and used is not None else None


def _room_v1(group: str) -> int | None:
    limit = _number(f"{group}/memory.limit_in_bytes")
    used = _number(f"{group}/memory.usage_in_bytes")
    if limit is None or used is None or limit >= _V1_UNLIMITED:
        return None
    return limit - used + _cached(group, "total_inactive_file")


def _quota(group: str, v2: bool) -> float | None:
    """The processors that a group may use; None where it has no quota."""
    if not v2:
        return _quota_v1(group)
    quota, _, period = _text(f"{group}/cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _quota_v1(group: str) -> float | None:
    quota, period = _number(f"{group}/cpu.cfs_quota_us"), _number(f"{group}/cpu.cfs_period_us")
    return quota / period if quota and period else None  # -1, for none, is no number here


def _number(file: str) -> int | None:
    text = _text(file)
    return int(text) if text.isdigit() else None


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8") as opened:
            return opened.read().strip()
    except OSError:  # this kind of cgroup has no such file
        return ""


def _cached(group: str, key: str) -> int:
    lines = _text(f"{group}/memory.stat").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(key + " ")), 0)
