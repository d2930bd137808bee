"""What two prepared versions of a dataset tell of their difference: manifests, sources and statistics, no rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ailab_dataproc.comparing.columns import Drift, drift
from ailab_dataproc.comparing.sources import SourceChanges, compare_sources
from ailab_dataproc.errors import NotPrepared, unknown
from ailab_dataproc.manifest import Prepared
from ailab_dataproc.references import number
from ailab_dataproc.statistics import read_statistics


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """A column that was added or removed, or of which something else is declared."""

    name: str
    kind: str  # "added", "removed", "changed"
    what: dict[str, tuple[Any, Any]]  # such as "type", with what it was and is; None where there is no such column


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The difference of two versions."""

    dataset: str
    old: str
    new: str
    deprecated: dict[str, str]  # why, by version
    release_notes: dict[str, str]  # of the versions between, the newest first
    changed: list[str]  # parts of the fingerprint that differ, such as "code"
    made_from: tuple[str, str] | None  # where one was made from other versions, and they differ
    columns: list[ColumnChange]
    rows: dict[str, tuple[int | None, int | None]]  # by split; None where there is no such split
    bytes: dict[str, tuple[int | None, int | None]]  # as stored, by format
    sources: SourceChanges | None  # None where one of them kept no list
    drift: list[Drift] = field(default_factory=list)  # the one that moved most first
    problem: str = ""  # why there is no drift

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values, for JSON."""
        found = dataclasses.asdict(self)
        for one, made in zip(self.drift, found["drift"], strict=True):
            made["moved_most"] = dataclasses.asdict(one.moved_most)
        return found

    def __str__(self) -> str:
        moved = [f"{one.split}.{one.column}" for one in self.drift if one.level != "stable"]
        rows = sum(new or 0 for _, new in self.rows.values()) - sum(old or 0 for old, _ in self.rows.values())
        return (
            f"{self.dataset} {self.old} → {self.new}: {rows:+,} rows, {len(self.columns)} columns declared otherwise, "
            f"moved: {', '.join(moved) or 'none'}"
        )


def compare(old: Prepared, new: Prepared, *, columns: Sequence[str] | None = None) -> Comparison:
    """Compare two versions of a dataset. Reads their manifests, lists of sources and statistics, and no rows.

    Args:
        old: the one that the other is measured by.
        new: the other.
        columns: only these are compared; by default all.

    Raises:
        UnknownName: no version has such a column.
        DamagedData: a file isn't what the manifest was written with.
    """
    before, after = old.manifest, new.manifest
    known = [one["name"] for one in (*before.columns, *after.columns)]
    for name in columns or ():
        if name not in known:
            raise unknown("column", name, set(known), where=before.name)
    wanted = set(known if columns is None else columns)
    found, problem = _drift(old, new, wanted)
    notes = {**before.release_notes, **after.release_notes}
    first, last = sorted((number(before.version), number(after.version)))
    between = sorted((one for one in notes if first < number(one) <= last), key=number, reverse=True)
    made = str(before.lineage or ""), str(after.lineage or "")
    return Comparison(
        dataset=before.name,
        old=before.version,
        new=after.version,
        deprecated={one.manifest.version: str(one.notice) for one in (old, new) if one.notice},
        release_notes={version: notes[version] for version in between},
        changed=sorted(one for one in {**before.parts, **after.parts} if before.parts.get(one) != after.parts.get(one)),
        made_from=made if made[0] != made[1] else None,
        columns=_columns(before.columns, after.columns, wanted),
        rows=_pairs(before.rows, after.rows),
        bytes=_pairs(before.bytes, after.bytes),
        sources=compare_sources(old, new),
        drift=found,
        problem=problem,
    )


def _pairs(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, tuple[int | None, int | None]]:
    return {name: (old.get(name), new.get(name)) for name in {**old, **new}}


def _columns(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], wanted: set[str]
) -> list[ColumnChange]:
    before, after = ({one["name"]: one for one in columns} for columns in (old, new))
    found = []
    for name in {**after, **before}:
        a, b = before.get(name), after.get(name)
        what = {key: (a and a.get(key), b and b.get(key)) for key in {**(a or {}), **(b or {})} if key != "name"}
        what = {key: both for key, both in what.items() if both[0] != both[1]}
        if what and name in wanted:
            found.append(ColumnChange(name, "added" if a is None else "removed" if b is None else "changed", what))
    return found


def _drift(old: Prepared, new: Prepared, wanted: set[str]) -> tuple[list[Drift], str]:
    """The columns that both versions have, in the splits in which both have rows; or why there is none."""
    try:
        told = [read_statistics(one)["splits"] for one in (old, new)]
    except NotPrepared as error:  # from before there were statistics
        return [], str(error)
    names = [one for one in old.schema.names if one in new.schema.names and one in wanted]
    splits = [one for one, rows in old.manifest.rows.items() if rows and new.manifest.rows.get(one)]
    found = [
        drift(
            split,
            (old.schema.field(name), new.schema.field(name)),
            [(one[split]["columns"][name], one[split]["rows"]) for one in told],
        )
        for split in splits
        for name in names
    ]
    return sorted(found, key=lambda one: -one.psi), ""
