"""The machine that a number comes from."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from ailab_dataproc.gpus import look
from ailab_dataproc.machine import all_memory, processor

_PACKAGES = ("ailab_dataproc", "pyarrow", "numpy", "pandas", "dask", "distributed", "polars", "duckdb", "datasets")
_PACKAGES += ("apache-beam", "tensorflow-datasets", "tensorflow-transform", "torch", "cudf-cu13")


_HERE = Path(__file__).parent


def stamp(folder: Path | None = None) -> dict[str, object]:
    """What every line of a result file carries: date, commit, machine.

    Args:
        folder: where the data lies, whose disk is told.
    """
    return {"date": datetime.now(UTC).date().isoformat(), "commit": commit(), "machine": machine(folder)}


def machine(folder: Path | None = None) -> dict[str, object]:
    """Processor, cores, memory, disk, GPUs and the versions that matter."""
    found = {one.name.lower(): one.version for one in metadata.distributions()}
    return {
        "cpu": processor() or platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(all_memory() / 1e9, 1),
        "disk": disk(folder or Path.cwd()),
        "gpus": [f"{one.name}, {one.total / 1e9:.0f} GB" for one in look()[0]],
        "python": platform.python_version(),
        "versions": {name: found[name] for name in _PACKAGES if name in found},
    }


def disk(folder: Path) -> str:
    """The kind of file system that a folder lies on, and its size, such as ``ext4, 512 GB``."""
    import psutil

    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists()).resolve()
    mounts = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    kind = next((mounts[one] for one in (there, *there.parents) if one in mounts), "unknown")
    return f"{kind}, {shutil.disk_usage(there).total / 1e9:.0f} GB"


def commit() -> str | None:
    """The commit of the checkout, with "+" where files of it are changed; None where this is no checkout."""
    if not (_HERE.parent / ".git").exists():  # installed; a repository further up would be another one
        return None
    told = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results")
    return (told + ("+" if changed else "")) if told else None


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(_HERE.parent), *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if not done.returncode else ""
