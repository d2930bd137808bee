"""The machine that a number comes from."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from ailab_dataproc.machine import all_memory, processor

_PACKAGES = ("ailab_dataproc", "pyarrow", "numpy", "pandas", "dask", "distributed", "polars", "duckdb", "datasets")
_PACKAGES += ("apache-beam", "tensorflow-datasets", "tensorflow-transform", "torch", "cudf-cu13")


def stamp() -> dict[str, object]:
    """What every line of a result file carries."""
    return {"date": datetime.now(UTC).date().isoformat(), "machine": machine()}


def write_results(results: list[dict[str, Any]], output: Path) -> None:
    """A JSON line a result, each with its stamp."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("".join(json.dumps(result | stamp()) + "\n" for result in results))


def machine() -> dict[str, object]:
    """Processor, cores, memory and the versions that matter."""
    found = {one.name.lower(): one.version for one in metadata.distributions()}
    return {
        "cpu": processor() or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(all_memory() / 1e9, 1),
        "python": platform.python_version(),
        "versions": {name: found[name] for name in _PACKAGES if name in found},
    }
