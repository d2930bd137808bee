"""Where the data lies and which definitions are seen: one YAML file and the environment, into frozen Settings."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ailab_dataproc import configuration
from ailab_dataproc.errors import SettingsError

_ENVIRONMENT = {
    "data_dir": "AILAB_DATA_DIR",
    "datasets": "AILAB_DATASETS",
    "auto": "AILAB_AUTO",
    "cache_dir": "AILAB_CACHE_DIR",
    "cache_bytes": "AILAB_CACHE_BYTES",
    "downloads": "AILAB_DOWNLOADS",
    "calibration": "AILAB_CALIBRATION",
    "cluster": "AILAB_CLUSTER",
    "jobs_dir": "AILAB_JOBS_DIR",
    "storage_options": "AILAB_STORAGE_OPTIONS",
}
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {f"{unit}IB": 1 << 10 * power for power, unit in enumerate("KMGT", start=1)}
_WANTED: dict[str, Any] = {
    "data_dir": str,
    "cache_dir": str,
    "downloads": str,
    "calibration": str,
    "cluster": str,
    "jobs_dir": str,
    "cache_bytes": (int, str),
    "storage_options": dict,
}  # else lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a site or a user sets once."""

    data_dir: str = "~/ailab_data"  # a folder or a URL; holds <name>/<version>/manifest.json
    datasets: tuple[str, ...] = ()  # folders with dataset definitions, searched beside the installed packages
    auto: tuple[str, ...] = ("pandas", "dask")  # the ladder of backend="auto": `choosing.choose` says which is taken
    calibration: str | None = None  # the file with what loads cost here; None: see `calibration.DEFAULT`
    cache_dir: str = "~/.cache/ailab_dataproc"  # of shards that were loaded from a bucket
    cache_bytes: int = 20 * 10**9  # that the cache takes at most, and never over half of what is free; 0: no cache
    downloads: str | None = None  # where downloads are kept; None: in the data directory, if that is a folder
    cluster: str | None = None  # where jobs go and what `connect()` means: a name or an address
    jobs_dir: str | None = None  # a folder or a URL that client and workers reach; None: <data_dir>/.jobs
    storage_options: dict[str, Any] | None = field(default=None, repr=False)  # for fsspec; never written anywhere


def load_settings(path: str | Path | None = None) -> Settings:
    """Read the settings: defaults, then the file, then the environment.

    Args:
        path: the YAML file; by default ``$AILAB_SETTINGS`` or ``~/.config/ailab_dataproc/settings.yaml``,
            which need not exist.

    Raises:
        SettingsError: the file isn't a mapping, has an unknown key, or a value of another kind.
    """
    asked = path or os.environ.get("AILAB_SETTINGS")
    file = Path(asked or "~/.config/ailab_dataproc/settings.yaml").expanduser()
    if asked and not file.exists():
        raise SettingsError(f"{file}: the settings file does not exist. Create it, or unset AILAB_SETTINGS.")
    values = _from_file(file) if file.exists() else {}
    for key, variable in _ENVIRONMENT.items():
        if os.environ.get(variable):
            values[key] = os.environ[variable]
    if isinstance(values.get("storage_options"), str):
        values["storage_options"] = _parse_options(values["storage_options"])
    for key, separator in (("datasets", os.pathsep), ("auto", ",")):
        if isinstance(values.get(key), str):
            values[key] = [part.strip() for part in values[key].split(separator) if part.strip()]
        if key in values:
            values[key] = tuple(values[key])
    if "cache_bytes" in values:
        values["cache_bytes"] = parse_bytes(values["cache_bytes"], "cache_bytes")
    return Settings(**values)


def _parse_options(text: str) -> dict[str, Any]:
    """The options of $AILAB_STORAGE_OPTIONS, which an error never shows."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"column {error.colno}"
        raise SettingsError(f"AILAB_STORAGE_OPTIONS: no JSON ({error.msg} at {where}). Mend or unset it.") from None
    if not isinstance(found, dict):
        raise SettingsError(
            f"AILAB_STORAGE_OPTIONS: found a {type(found).__name__}, wanted an object of JSON. Mend it."
        )
    return found


def parse_bytes(text: str | int, where: str) -> int:
    """``"20 GB"`` as a number of bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(text).strip().replace("_", ""))
    if not found or found[2].upper() not in _UNITS:
        raise SettingsError(f"{where}: found {text!r}, wanted bytes such as 20 GB, 500 MiB or 0.")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def _from_file(file: Path) -> dict[str, Any]:
    wanted: dict[str, type | tuple[type, ...]] = {field.name: (list, str) for field in fields(Settings)}
    return configuration.read(file, wanted | _WANTED, kind="setting")
