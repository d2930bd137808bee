"""The first rows of each split, read twice in fresh processes in which sets have another order, and compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ailab_dataproc.preparation.tasks import POOL
from ailab_dataproc.reviewing.findings import Finding, error, warning
from ailab_dataproc.reviewing.once import ERRORS

LIMIT = 1_000  # rows of the first source of each split
_ABSENT = {"StorageFailed", "InvalidRequest", "MissingLibrary"}  # the machine's fault, not the definition's
_SEARCH = "Look in read() for random numbers, the time, sets, and folders that are listed unsorted."


@dataclass(frozen=True, slots=True)
class Rows:
    """What was read, and what was found by reading."""

    tables: Mapping[str, pa.Table] = field(default_factory=dict)  # by split
    findings: Sequence[Finding] = ()


def read_twice(name: str, data_dir: str, sources: Mapping[str, Sequence[str]]) -> Rows:
    """Read the first rows of the first source of each split twice.

    Args:
        name: of a definition in the catalog.
        data_dir: whose downloads are used.
        sources: by split, in place of the definition's.
    """
    asked = {"name": name, "data_dir": data_dir, "sources": sources, "limit": LIMIT}
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / seed for seed in ("1", "2")]
        processes = [_start(asked, place) for place in places]
        told = [process.communicate()[1] for process in processes]
        for process, text in zip(processes, told, strict=True):
            if process.returncode:
                last = (text.strip().splitlines() or [f"code {process.returncode}"])[-1]
                what = f"a process that reads its first rows ended without them ({last})"
                return Rows(findings=[error("read", what, "Run: ailab-dataproc prepare --limit 100")])
        first, second = (json.loads((place / ERRORS).read_text(encoding="utf-8")) for place in places)
        tables, again = ({one.stem: _load(one) for one in sorted(place.glob("*.arrow"))} for place in places)
    return Rows(tables, [*_failures(first, second), *_differences(tables, again)])


def _start(asked: Mapping[str, Any], place: Path) -> subprocess.Popen[str]:
    place.mkdir()
    command = [sys.executable, "-P", "-m", "ailab_dataproc.reviewing.once", json.dumps(asked), str(place)]
    environment = {**os.environ, "PYTHONHASHSEED": place.name}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _load(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def _failures(first: Mapping[str, dict[str, str]], second: Mapping[str, dict[str, str]]) -> list[Finding]:
    found = []
    for split in sorted({*first, *second}):
        where = f"split {split!r}" if split and split != POOL else "sources"
        if (split in first) != (split in second):
            found.append(error(where, "can be read in one process and not in another", _SEARCH))
            continue
        kind, message = first[split]["kind"], first[split]["message"]
        if kind in _ABSENT:
            advice = "Check it where its sources are, or give them: --source SPLIT=PATH"
            found.append(warning(where, f"no row was looked at: {message}", advice))
        else:
            found.append(error(where, message, "Then check it again."))
    return found


def _differences(tables: Mapping[str, pa.Table], again: Mapping[str, pa.Table]) -> list[Finding]:
    found = []
    for split in tables.keys() & again.keys():
        one, other = tables[split], again[split]
        where = f"split {split!r}" if split != POOL else "sources"
        if one.num_rows != other.num_rows:
            what = f"read() gave {one.num_rows:,} rows, and {other.num_rows:,} when it was run again"
            found.append(error(where, what, _SEARCH))
            continue
        for name in one.column_names:
            row = _first_difference(one[name], other[name])
            if row is not None:
                what = f"read() gave another value in row {row + 1:,} when it was run again"
                found.append(error(f"{where}, column {name!r}", what, _SEARCH))
    return found


def _first_difference(one: pa.ChunkedArray, other: pa.ChunkedArray) -> int | None:
    """The first row that differs; NaN is NaN, and -0.0 isn't 0.0."""
    if one.equals(other):
        return None
    pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
    return next((row for row, (left, right) in enumerate(pairs) if repr(left) != repr(right)), None)
