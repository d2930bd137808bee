"""What statistics tell of a column's distribution, as numbers that can be compared with those of another version."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.comparing.drift import Curve

_LISTED = 10  # most frequent values that statistics tell at most
_WHOLE = 0.99  # of the rows: where the listed values make up so many, nothing else is worth a look
_Point = tuple[float, float]
_SPANS = {"seconds": 1, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}


def kind(type_: pa.DataType) -> str:
    """What values of a type can be compared with: numbers with numbers, texts with texts; empty: with nothing."""
    type_ = type_.value_type if t.is_dictionary(type_) else type_
    if t.is_boolean(type_):
        return "boolean"
    if t.is_integer(type_) or t.is_floating(type_) or t.is_decimal(type_):
        return "number"
    if t.is_timestamp(type_) or t.is_date(type_):
        return "time"
    if t.is_duration(type_):
        return "span"
    return "text" if t.is_string(type_) or t.is_large_string(type_) else ""


def step(type_: pa.DataType) -> float:
    """The least that two values of a type differ by, as `as_number` has them; 0 where that is next to nothing."""
    return 1.0 if t.is_integer(type_) else 86_400.0 if t.is_date(type_) else 0.0


@dataclass(frozen=True, slots=True)
class Shape:
    """A column of a split."""

    rows: int
    filled: int  # rows with a value that is neither null nor NaN
    looked: int  # rows that the listed values and points come from
    nulls: float  # part of the rows
    nan: float  # part of the rows
    values: Mapping[str, float]  # parts of the filled rows, by value as JSON
    complete: bool  # whether no value is missing there
    points: tuple[_Point, ...]  # values as numbers, and the part of the filled rows below them

    @classmethod
    def of(cls, told: Mapping[str, Any], rows: int, kind: str, step: float) -> Shape:
        """From the statistics of a column.

        Args:
            told: as `statistics.read_statistics` has it.
            rows: of the split.
            kind: of its type; values of no kind are left out.
            step: the least that two values differ by, or 0.
        """
        filled = told["count"] - told.get("nan", 0)
        about = told.get("approximate", {})
        values = _values(told, about, filled, kind)
        whole = kind == "boolean" or (
            about.get("distinct", _LISTED + 1) == len(values) and about.get("sampled_rows", 0) >= rows
        )
        return cls(
            rows=rows,
            filled=filled,
            looked=rows if kind == "boolean" else min(about.get("sampled_rows", rows), rows),
            nulls=told["nulls"] / rows if rows else 0.0,
            nan=told.get("nan", 0) / rows if rows else 0.0,
            values=values,
            complete=whole,
            points=_points(told, about, kind, step) if filled and kind in ("number", "time", "span") else (),
        )

    @property
    def is_listed(self) -> bool:
        """Whether the listed values are nearly all that there is."""
        return self.complete or sum(self.values.values()) >= _WHOLE

    @property
    def floor(self) -> float:
        """The part of the rows that a value which isn't listed has at most, about."""
        rest = max(1 - sum(self.values.values()), 0.0)
        return min(rest, *self.values.values()) if len(self.values) >= _LISTED else 0.0

    @property
    def curve(self) -> Curve:
        """The distribution function; there must be points."""
        return Curve.of(self.points, rows=self.filled, looked=self.looked)


def as_number(value: Any, kind: str) -> float:
    """A value of statistics: a number, or what JSON lacks as text; times in seconds since 1970."""
    if kind == "time":
        import numpy as np

        return float(np.datetime64(str(value).removesuffix("Z")).astype("datetime64[us]").astype("int64")) / 1e6
    if kind == "span":
        count, _, unit = str(value).partition(" ")
        return float(count) * _SPANS[unit]
    return float(value)


def as_text(number: float, kind: str) -> str:
    """A number of `as_number` for people."""
    if kind == "time" and math.isfinite(number):
        import numpy as np

        return str(np.datetime64(round(number), "s"))
    if kind == "span" and math.isfinite(number):
        return str(timedelta(seconds=number))
    return f"{number:,.6g}"


def _values(told: Mapping[str, Any], about: Mapping[str, Any], filled: int, kind: str) -> dict[str, float]:
    """The most frequent values with their parts of the rows, which together are 1 at most."""
    if not filled or not kind:
        return {}
    if kind == "boolean":
        true = told["mean"]
        return {one: part for one, part in (("true", true), ("false", 1 - true)) if part}
    plain = (lambda value: as_number(value, kind)) if kind == "number" else str
    found = {json.dumps(plain(one["value"]), ensure_ascii=False): one["rows"] for one in about.get("frequent", [])}
    total = max(filled, sum(found.values()))
    return {value: rows / total for value, rows in found.items()}


def _points(told: Mapping[str, Any], about: Mapping[str, Any], kind: str, step: float) -> tuple[_Point, ...]:
    """Bounds, quantiles, and the edges of the histogram's bars; none where there are no quantiles."""
    quantiles, filled = about.get("quantiles", {}), told["count"] - told.get("nan", 0)
    if not quantiles:
        return ()
    points = [(as_number(told["min"], kind), 0.0), (as_number(told["max"], kind), 1.0)]
    points += [(as_number(value, kind), float(part)) for part, value in quantiles.items()]
    bars = about.get("histogram")
    if bars and math.isfinite(low := as_number(bars["from"], kind)):
        high, many, inside = as_number(bars["to"], kind), len(bars["rows"]), sum(bars["rows"])
        below = _outside(low, high, points, max(1 - inside / filled, 0.0))
        passed = 0
        for i in range(1, many):
            passed += bars["rows"][i - 1]
            points.append((low + (high + step - low) * i / many, min(below + passed / filled, 1.0)))
    return tuple(points)


def _outside(low: float, high: float, points: list[_Point], rest: float) -> float:
    """The part of the rows below a histogram, of all that lie outside of it."""
    least, most = points[0][0], points[1][0]
    if least == low:
        return 0.0
    return rest if most == high else rest / 2
