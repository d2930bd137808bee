"""Drift of a column between two versions: how far its values, its nulls and its mean have moved. Reads no rows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ailab_dataproc.columns import is_pii
from ailab_dataproc.comparing import shapes
from ailab_dataproc.comparing.drift import MOVED, MUCH, Estimate, by_chance, largest_gap, stability_index
from ailab_dataproc.comparing.shapes import Shape

_BINS = ("0.05", "0.25", "0.5", "0.75", "0.95")  # quantiles of the older version between which rows are counted
_NULL, _NAN, _OTHER = "null", "NaN", "other values"


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows that are counted together, as parts of all rows."""

    name: str  # such as "2.5 to 3.1", or a value as JSON
    old: float
    new: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How a column of a split has moved."""

    split: str
    column: str
    level: str  # "stable", "moved", "moved much"
    psi: float  # population stability index of the bins
    by_chance: float  # that samples of the same rows stay below, 19 times in 20
    exact: bool  # whether the bins are counted; else they are estimates
    bins: list[Bin]
    ks: Estimate | None = None  # Kolmogorov-Smirnov distance; only of what has an order
    mean: tuple[Any, Any] | None = None  # exact
    mean_shift: float | None = None  # of the mean, in standard deviations of the older version (G. Glass, 1976)
    length: tuple[float, float] | None = None  # the mean one of texts, binaries and lists; exact
    distinct: tuple[int, int] | None = None  # about
    note: str = ""  # why values aren't compared

    @property
    def moved_most(self) -> Bin:
        """The bin that adds most to the index."""
        return max(self.bins, key=lambda one: stability_index([one.old], [one.new]))


def drift(split: str, fields: tuple[pa.Field, pa.Field], told: Sequence[tuple[Mapping[str, Any], int]]) -> Drift:
    """Compare a column of two versions.

    Args:
        split: which.
        fields: the column in both.
        told: what both tell of it in their statistics, and their rows in the split.
    """
    kinds = [shapes.kind(one.type) for one in fields]
    kind, note = (kinds[0], "") if kinds[0] == kinds[1] else ("", f"{fields[0].type} and {fields[1].type}")
    if any(map(is_pii, fields)):
        kind, note = "", "personal data"
    elif not kind and not note:
        note = f"{fields[0].type}, of which statistics keep none"
    old, new = (
        Shape.of(one, rows, kind, shapes.step(field.type)) for field, (one, rows) in zip(fields, told, strict=True)
    )
    bins, exact = _binned(old, new, kind)
    if kind and not _comparable(old, new) and not note and old.filled and new.filled:
        note = "nearly each is another one"
    psi = stability_index([one.old for one in bins], [one.new for one in bins])
    looked = [one.rows if exact else one.looked for one in (old, new)]
    chance = by_chance(sum(bool(one.old or one.new) for one in bins), *looked)
    return Drift(
        split=split,
        column=fields[0].name,
        level=_level(psi, chance),
        psi=psi,
        by_chance=chance,
        exact=exact,
        bins=bins,
        ks=largest_gap(old.curve, new.curve) if old.points and new.points else None,
        note=note,
        **_moments(told, kind),
    )


def _level(psi: float, chance: float) -> str:
    if psi < MOVED or psi <= chance:
        return "stable"
    return "moved" if psi < MUCH else "moved much"


def _comparable(old: Shape, new: Shape) -> bool:
    return bool((old.points and new.points) or old.values or new.values)


def _binned(old: Shape, new: Shape, kind: str) -> tuple[list[Bin], bool]:
    """Parts of all rows, and whether they are exact: nulls, NaN, and values or ranges of values."""
    bins = [Bin(name, a, b) for name, a, b in ((_NULL, old.nulls, new.nulls), (_NAN, old.nan, new.nan)) if a or b]
    filled = [one.filled / one.rows if one.rows else 0.0 for one in (old, new)]
    if not all(filled) or not kind or not _comparable(old, new):
        return [Bin("values", *filled), *bins], True
    listed = (old.is_listed and new.is_listed) or not (old.points and new.points)
    found = _by_value(old, new, kind) if listed else _by_range(old, new, kind)
    exact = listed and old.complete and new.complete
    return [Bin(one.name, one.old * filled[0], one.new * filled[1]) for one in found] + bins, exact


def _by_value(old: Shape, new: Shape, kind: str) -> list[Bin]:
    """The values that are frequent in either; of one that the other doesn't list, as many as it may have there."""
    found = []
    for value in {**old.values, **new.values}:
        a = old.values.get(value, min(old.floor, new.values.get(value, 0.0)))
        b = new.values.get(value, min(new.floor, old.values.get(value, 0.0)))
        name = shapes.as_text(json.loads(value), kind) if kind == "number" else value
        found.append(Bin(name, a, b))
    rest = [max(1 - sum(parts), 0.0) for parts in ([one.old for one in found], [one.new for one in found])]
    return found + ([Bin(_OTHER, *rest)] if max(rest) > 1e-9 else [])


def _by_range(old: Shape, new: Shape, kind: str) -> list[Bin]:
    """Between quantiles of the older version."""
    wanted = {float(part) for part in _BINS}
    edges = sorted({x for x, part in old.points if part in wanted})
    before, after = old.curve, new.curve
    below = [(0.0, 0.0), *((before.at(x), after.at(x)) for x in edges), (1.0, 1.0)]
    texts = [shapes.as_text(x, kind) for x in edges]
    names = [f"up to {texts[0]}", *(f"{a} to {b}" for a, b in itertools.pairwise(texts))]
    bounds = zip([*names, f"above {texts[-1]}"], itertools.pairwise(below), strict=True)
    return [Bin(name, high[0] - low[0], high[1] - low[1]) for name, (low, high) in bounds]


def _moments(told: Sequence[tuple[Mapping[str, Any], int]], kind: str) -> dict[str, Any]:
    """What is exact beside the counts: means and lengths; and how many values differ."""
    old, new = (one for one, _ in told)
    found: dict[str, Any] = {}
    if kind and "mean" in old and "mean" in new:
        found["mean"] = (old["mean"], new["mean"])
        spread = old.get("std_seconds", old.get("std", 0.0))
        if spread:
            apart = shapes.as_number(new["mean"], kind) - shapes.as_number(old["mean"], kind)
            found["mean_shift"] = apart / spread
    if old.get("lengths") and new.get("lengths"):
        found["length"] = (old["lengths"]["mean"], new["lengths"]["mean"])
    counts = [one.get("approximate", {}).get("distinct") for one in (old, new)]
    if None not in counts:
        found["distinct"] = tuple(counts)
    return found
