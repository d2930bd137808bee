"""What loads cost on this machine, as `bench calibrate` measured it: a JSON file of one entry a machine."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ailab_dataproc.machine import all_memory, processor
from ailab_dataproc.sizing import Machine, Need

FORMAT = 1  # of the file; a file of another is not read
DEFAULT = "~/.config/ailab_dataproc/calibration.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of a load with one backend until every value has been touched: a line over its Arrow bytes."""

    fixed_seconds: float  # with the library imported
    seconds_per_gb: float  # of Arrow, 10**9 bytes
    memory_factor: float = 1.0  # the peak memory measured over the one predicted

    def seconds(self, need: Need) -> float:
        """What a load will take."""
        return self.fixed_seconds + self.seconds_per_gb * need.bytes / 1e9


@dataclass(frozen=True, slots=True)
class Point:
    """One load that was measured."""

    bytes: int  # as Arrow
    seconds: float
    memory_factor: float | None = None  # the peak memory measured over the one predicted; None: not known


def fitted(points: Sequence[Point]) -> Cost:
    """The line through measured loads, and the memory factor of the largest.

    Least squares of the relative error, so that a load of a millisecond counts as much as one of a minute: weights
    1/seconds**2. Neither number may be negative: where the best line has one, the line through the other remains.

    Args:
        points: of one backend; of one size the median.
    """
    import numpy as np

    size = np.array([one.bytes for one in points]) / 1e9
    seconds = np.array([one.seconds for one in points])
    columns = np.stack([np.ones_like(size), size], axis=1) / seconds[:, None]
    line = np.linalg.lstsq(columns, np.ones_like(size), rcond=None)[0]
    if (line < 0).any() or len(points) == 1:  # one of the two alone: its own least squares
        alone = [float(column.sum() / (column @ column)) for column in columns.T]
        line = np.array([alone[0], 0.0]) if line[1] < 0 else np.array([0.0, alone[1]])
    factors = [one.memory_factor for one in sorted(points, key=lambda one: one.bytes) if one.memory_factor is not None]
    return Cost(
        fixed_seconds=float(line[0]), seconds_per_gb=float(line[1]), memory_factor=factors[-1] if factors else 1.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The costs that were measured on this machine; none where there is no file, or none that serves."""

    costs: Mapping[str, Cost] = field(default_factory=dict)  # by backend
    date: str = ""  # of the measurement, such as 2026-11-23
    path: str = ""  # of the file
    ignored: str = ""  # why the file that is there doesn't serve

    def __str__(self) -> str:
        if self.costs:
            return f"measured on this machine, {self.date} ({self.path})"
        return f"none: {self.ignored}" if self.ignored else "none"


def machine_key(machine: Machine) -> dict[str, Any]:
    """What a calibration is valid for: the processor, its cores, the memory in whole GB, the GPUs."""
    return {
        "cpu": processor(),
        "cores": machine.cpus,
        "memory_gb": round(all_memory() / 1e9),
        "gpus": sorted(one.name for one in machine.devices),
    }


def load_calibration(path: str | None, machine: Machine) -> Calibration:
    """Read what the file says about this machine; a file that doesn't serve is ignored, and the plan says why.

    Args:
        path: of the file; by default ``~/.config/ailab_dataproc/calibration.json``, which need not exist.
        machine: this one.
    """
    file = Path(path or DEFAULT).expanduser()
    if not file.exists():
        return Calibration(ignored=f"{file} does not exist" if path else "")
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return _entry(told, machine_key(machine), str(file))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return Calibration(ignored=f"{file} can't be understood ({type(error).__name__}: {error})")


def save_calibration(costs: Mapping[str, Cost], date: str, path: str | None, machine: Machine) -> Path:
    """Write the costs of this machine into the file, beside those of other machines; return its path.

    Args:
        costs: by backend.
        date: of the measurement.
        path: of the file; see `load_calibration`.
        machine: this one.
    """
    file = Path(path or DEFAULT).expanduser()
    key = machine_key(machine)
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        others = [one for one in told["machines"] if one["machine"] != key] if told["format"] == FORMAT else []
    except (OSError, ValueError, TypeError, KeyError):  # there is none yet, or none that could be read
        others = []
    entry = {"machine": key, "date": date, "backends": {name: asdict(one) for name, one in costs.items()}}
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"format": FORMAT, "machines": [*others, entry]}, indent=2) + "\n", encoding="utf-8")
    new.replace(file)
    return file


def _entry(told: Any, key: dict[str, Any], path: str) -> Calibration:
    if told["format"] != FORMAT:
        return Calibration(ignored=f"{path} has format {told['format']!r}, wanted {FORMAT}; calibrate again")
    for one in told["machines"]:
        if one["machine"] == key:
            costs = {name: _cost(name, values) for name, values in one["backends"].items()}
            return Calibration(costs=costs, date=str(one["date"]), path=path)
    return Calibration(ignored=f"{path} is of another machine than this ({_words(key)}); calibrate here")


def _cost(name: str, values: Mapping[str, Any]) -> Cost:
    cost = Cost(**values)
    for key, value in asdict(cost).items():
        if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise ValueError(f"{name}: {key} is {value!r}, wanted a number")
    return cost


def _words(key: Mapping[str, Any]) -> str:
    gpus = ", ".join(key["gpus"])
    return f"{key['cpu']}, {key['cores']} cores, {key['memory_gb']} GB" + (f", {gpus}" if gpus else "")
