"""The versions that decide about bytes: the same shards come only from workers that are alike."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

import ailab_dataproc
from ailab_dataproc.errors import ClusterFailed

# pyarrow writes its version into each Parquet file; an author's function is pickled for one minor version of Python.
COMPARED = ("ailab_dataproc", "pyarrow")


def here() -> dict[str, str]:
    """The versions of this process."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "ailab_dataproc": ailab_dataproc.__version__, "pyarrow": pa.__version__}


def difference(found: Mapping[str, str | None], wanted: Mapping[str, str]) -> str | None:
    """The first difference, in words; None where both are alike."""
    for name, version in wanted.items():
        if found.get(name) != version:
            has = f"has {name} {found[name]}" if found.get(name) else f"has no {name}"
            return f"{has}, wanted {version} as here. Install the same versions on all workers."
    return None


def run_checked(wanted: Mapping[str, str], function: Callable[[Any], object], item: Any) -> object:
    """Run a function on a worker that is like the machine that sent it."""
    told = difference(here(), wanted)
    if told:
        raise ClusterFailed(f"the worker {platform.node()} {told}")
    return function(item)
