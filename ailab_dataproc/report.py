"""What a step did: rows, bytes, seconds, peak memory, versions."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The numbers of one finished step."""

    step: str  # such as "prepare"
    dataset: str  # name:version
    location: str  # the folder or URL that holds the result
    reused: bool = False  # True where nothing had to be done
    rows: dict[str, int] = field(default_factory=dict)  # by split
    shards: int = 0
    bytes: dict[str, int] = field(default_factory=dict)  # by format, as stored
    seconds: float = 0.0
    peak_memory: int = 0  # bytes, of this process
    runner: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)  # each with name, seconds, items, rows, bytes
    versions: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        total = sum(self.rows.values())
        if self.reused:
            return f"{self.dataset}: already prepared, {total:,} rows in {self.location}"
        speed = f"{total / self.seconds:,.0f} rows/s" if self.seconds else ""
        size = ", ".join(f"{kind} {count_bytes(count)}" for kind, count in self.bytes.items())
        return (
            f"{self.dataset}: {total:,} rows in {self.shards} shards ({size}), {self.seconds:.1f} s, {speed}, "
            f"peak memory {count_bytes(self.peak_memory)}\n{self.location}"
        )


def count_bytes(count: int) -> str:
    """Bytes for people: ``1.2 GB``."""
    value = float(count)
    for suffix in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or suffix == "TB":
            return f"{value:.0f} {suffix}" if suffix == "B" else f"{value:.1f} {suffix}"
        value /= 1000
    raise AssertionError


def peak_memory() -> int:
    """Bytes of the largest resident set that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would begin with the peak of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    scale = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The installed versions of packages, and of Python; a package that isn't installed is left out."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
