"""What is known of a prepared version's columns without reading a row: the statistics that preparation left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ailab_dataproc.errors import DamagedData, NotPrepared, unknown
from ailab_dataproc.manifest import STATISTICS, Prepared, read_beside


def read_statistics(
    prepared: Prepared, *, split: str | None = None, columns: Sequence[str] | None = None
) -> dict[str, Any]:
    """The statistics of a version, for people and scripts.

    Args:
        prepared: the version.
        split: one split; all by default.
        columns: some columns, in this order; all by default.

    Returns:
        ``dataset`` and ``splits``: for each its ``rows`` and ``columns``. What is told of a column are its ``type``,
        ``unit`` and ``pii``, exact numbers, and ``approximate`` ones; see `preparation.summary.merge`.

    Raises:
        UnknownName: there is no such split or column.
        NotPrepared: the version was prepared before there were statistics.
        DamagedData: the file is missing or not the one that was written.
    """
    manifest = prepared.manifest
    if split is not None and split not in manifest.splits:
        raise unknown("split", split, manifest.splits, where=prepared.name)
    known = {one["name"]: one for one in manifest.columns}
    for name in columns or ():
        if name not in known:
            raise unknown("column", name, known, where=prepared.name)
    found = _load(prepared)
    return {
        "dataset": prepared.name,
        "splits": {
            one: {"rows": rows, "columns": {name: _told(known[name], found[one][name]) for name in columns or known}}
            for one, rows in manifest.rows.items()
            if split in (None, one)
        },
    }


def distinct_values(prepared: Prepared, columns: Sequence[str]) -> dict[str, int]:
    """About how many values columns have; those are left out of which it isn't known.

    Args:
        prepared: the version.
        columns: their names.
    """
    if not columns:
        return {}
    try:
        splits = _load(prepared).values()
    except (NotPrepared, DamagedData):  # the data load without it
        return {}
    found = {name: [split[name].get("approximate", {}).get("distinct") for split in splits] for name in columns}
    return {name: max(known) for name, values in found.items() if (known := [one for one in values if one is not None])}


def _load(prepared: Prepared) -> dict[str, Any]:
    if STATISTICS not in prepared.manifest.files:
        raise NotPrepared(
            f"{prepared.name}: was prepared before statistics were kept. Prepare a new version of it to get them."
        )
    return dict(json.loads(read_beside(prepared, STATISTICS, "the statistics")))


def _told(column: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "type": column["type"], "unit": column["unit"], "pii": column["pii"]}
