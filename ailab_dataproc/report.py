"""What a step did: rows, bytes, seconds, peak memory, versions."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from ailab_dataproc.checked import lines


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
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
    predicted_memory: int = 0  # bytes that a plan said the load would take at its peak
    measured_memory: int | None = None  # that it took; None where lazy, or the process was larger before
    runner: str = ""
    backend: str = ""  # of a load, and why it was chosen
    reason: str = ""
    columns: list[str] = field(default_factory=list)  # of a load
    filters: str = ""  # of a load
    at_most: bool = False  # whether filters of a lazy load may leave fewer rows than `rows` says
    fingerprint: str = ""  # of the version that was loaded
    package: str = ""  # whose definition made the version, with the package's own version
    steps: list[dict[str, Any]] = field(default_factory=list)  # each with name, seconds, items, rows, bytes
    versions: dict[str, str] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)  # of a preparation; see `checked.read_checks`

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        total = sum(self.rows.values())
        if self.step == "load":
            return f"{self.dataset}: {self._loaded(total)}"
        package = f" (defined in {self.package})" if self.package else ""
        if self.reused:
            told = f"{self.dataset}: already prepared, {total:,} rows in {self.location}{package}"
            return "\n".join([told, *lines(self.checks)])
        speed = f"{total / self.seconds:,.0f} rows/s" if self.seconds else ""
        size = ", ".join(f"{kind} {count_bytes(count)}" for kind, count in self.bytes.items())
        told = (
            f"{self.dataset}: {total:,} rows in {self.shards} shards ({size}), {self.seconds:.1f} s, {speed}, "
            f"peak memory {count_bytes(self.peak_memory)}\n{self.location}{package}"
        )
        return "\n".join([told, *lines(self.checks)])

    def _loaded(self, total: int) -> str:
        took = f", took {count_bytes(self.measured_memory)}" if self.measured_memory is not None else ""
        most = "at most " if self.at_most else ""
        package = f"; defined in {self.package}" if self.package else ""
        return (
            f"{most}{total:,} rows of {', '.join(self.rows)} with {self.backend} ({self.reason}) "
            f"in {self.seconds:.2f} s, {len(self.columns)} columns, {count_bytes(sum(self.bytes.values()))} as Arrow; "
            f"peak memory predicted {count_bytes(self.predicted_memory)}{took}{package}"
        )


_last: ContextVar[Report | None] = ContextVar("last_report", default=None)


def keep(made: Report) -> None:
    """Make a report the one that `last_report` returns in this thread."""
    _last.set(made)


def last_report() -> Report | None:
    """The report of the last load in this thread (or asyncio task): backend, rows, seconds, memory, fingerprint."""
    return _last.get()


def count_bytes(count: int) -> str:
    """Bytes for people: ``1.2 GB``."""
    value = float(count)
    for suffix in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or suffix == "TB":
            return f"{value:.0f} {suffix}" if suffix == "B" else f"{value:.1f} {suffix}"
        value /= 1000
    raise AssertionError


def resident_memory() -> int:
    """Bytes of memory that this process has now; its peak where the system doesn't tell."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return peak_memory()
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
