"""Where a version comes from: the definition's text and commit, the engine with its options, what each step did."""

from __future__ import annotations

import inspect
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ailab_dataproc.dataset import Dataset
from ailab_dataproc.report import Report


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a preparation did."""

    name: str
    seconds: float  # of this run
    items: int = 0  # that were worked on now; those that were there already are not counted
    rows: int = 0  # that the receipts of all items tell
    bytes: int = 0  # of files, as the receipts tell


def step_done(name: str, seconds: float, items: int, receipts: Sequence[pa.Table]) -> Step:
    """Sum up the receipts of a step; of a shard in two formats the rows count once."""
    rows = 0
    for receipt in receipts:
        once = receipt.filter(pc.field("format") == "parquet") if "format" in receipt.schema.names else receipt
        rows += pc.sum(once["rows"]).as_py() or 0
    size = sum(pc.sum(receipt["bytes"]).as_py() or 0 for receipt in receipts)
    return Step(name, round(seconds, 3), items, rows, size)


def definition_file(dataset: Dataset, known: str | None) -> Path | None:
    """The file that defines a dataset: as the catalog knows it, or where its functions stand."""
    function = dataset.read or dataset.sources
    file = known or (inspect.getsourcefile(function) if inspect.isroutine(function) else None)
    return Path(file).resolve() if file and Path(file).exists() else None


def provenance(report: Report, engine: Mapping[str, Any], definition: Path | None) -> dict[str, Any]:
    """What the manifest tells of how it came about; not part of the fingerprint.

    Args:
        report: of the preparation.
        engine: how the engine describes itself; without secrets.
        definition: the file, whose text lies beside the manifest.
    """
    return {
        "versions": report.versions,
        **engine,
        "seconds": round(report.seconds, 3),
        "steps": report.steps,
        "peak_memory": report.peak_memory,
        "package": report.package or None,
        "git_commit": _git_commit(definition) if definition else None,
    }


def _git_commit(file: Path) -> str | None:
    """The commit of the checkout that holds a file; None outside of one."""
    command = ["git", "-C", str(file.parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:  # no git on this machine
        return None
    return done.stdout.strip() or None
