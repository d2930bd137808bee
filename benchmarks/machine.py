"""The machine that a number comes from."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("ailab_dataproc", "pyarrow", "numpy", "pandas", "dask", "polars", "duckdb", "datasets")
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
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = {one.name.lower(): one.version for one in metadata.distributions()}
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "python": platform.python_version(),
        "versions": {name: found[name] for name in _PACKAGES if name in found},
    }
