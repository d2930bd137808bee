"""How far two distributions lie apart: population stability index, Kolmogorov-Smirnov distance, shift of the mean.

All come from what statistics keep of a column, so most are approximate. What is said of each is said with its bounds.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

# The usual reading of a population stability index: N. Siddiqi, Credit Risk Scorecards, 2006.
MOVED, MUCH = 0.1, 0.25
_LEAST = 1e-4  # the share that an empty bin counts with, since its logarithm would be infinite
_NORMAL = 1.6449  # the 95 % point of the normal distribution
_DKW = 1.3581  # by how many 1/sqrt(rows) a sample's distribution is off at most, 19 times in 20: sqrt(ln(2 / 0.05) / 2)
_SKETCH = 0.004  # of rank: `preparation.sketches.Points` keeps 256 of the sorted values, once or twice
_KEPT = 256  # values up to which it keeps all


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with bounds."""

    value: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A distribution function that is known at some points.

    Below `x` lie at most, and up to `x` at least, `parts` of the rows. Between two points it may have any shape that
    rises; it is drawn as a straight line.
    """

    x: tuple[float, ...]  # sorted; one may stand twice, where many rows hold it
    parts: tuple[float, ...]  # sorted, from 0 to 1
    error: float = 0.0  # by how much the parts may be off: from sampling (19 times in 20) and sketching

    @classmethod
    def of(cls, points: Sequence[tuple[float, float]], *, rows: int, looked: int) -> Curve:
        """Take points in any order.

        Args:
            points: values, and the part of the rows below them.
            rows: that hold a value.
            looked: of how many of them the points come.
        """
        x, parts = zip(*sorted(points), strict=True)
        rising = itertools.accumulate(parts, max)  # rounding
        sampled = _DKW / math.sqrt(max(looked, 1)) if looked < rows else 0.0
        return cls(x, tuple(rising), sampled + (_SKETCH if rows > _KEPT else 0.0))

    def at(self, x: float) -> float:
        """The part of the rows up to `x`, about."""
        return self._line(x, bisect.bisect_right(self.x, x))

    def before(self, x: float) -> float:
        """The part of the rows below `x`, about."""
        return self._line(x, bisect.bisect_left(self.x, x))

    def within(self, left: float, right: float) -> tuple[float, float]:
        """The least and the most that the function may be between two values, which no point lies between."""
        below, above = bisect.bisect_right(self.x, left), bisect.bisect_left(self.x, right)
        return (self.parts[below - 1] if below else 0.0, self.parts[above] if above < len(self.x) else 1.0)

    def _line(self, x: float, place: int) -> float:
        """Between the points before and at a place."""
        if not place or place == len(self.x):
            return 1.0 if place else 0.0
        (left, right), (low, high) = self.x[place - 1 : place + 1], self.parts[place - 1 : place + 1]
        part = (x - left) / (right - left)
        return low + (high - low) * (part if math.isfinite(part) else 0.5)


def stability_index(old: Sequence[float], new: Sequence[float]) -> float:
    """The population stability index of shares of the same bins: 0 where they are equal, without a bound above.

    It is the symmetric divergence of S. Kullback and R. Leibler, On Information and Sufficiency, 1951.
    """
    pairs = [(max(p, _LEAST), max(q, _LEAST)) for p, q in zip(old, new, strict=True)]
    return sum((q - p) * math.log(q / p) for p, q in pairs)


def by_chance(bins: int, old_rows: int, new_rows: int) -> float:
    """The index that two samples of the same rows stay below, 19 times in 20.

    B. Yurdakul and J. Naranjo, Statistical Properties of the Population Stability Index, 2020: a chi-square with
    bins - 1 degrees of freedom times 1/n + 1/m; its quantile by E. Wilson and M. Hilferty's cube.
    """
    free = bins - 1
    if free < 1 or not old_rows or not new_rows:
        return 0.0
    spread = 2 / (9 * free)
    return free * (1 - spread + _NORMAL * math.sqrt(spread)) ** 3 * (1 / old_rows + 1 / new_rows)


def largest_gap(old: Curve, new: Curve) -> Estimate:
    """The two-sample Kolmogorov-Smirnov distance: the largest difference of two distribution functions, 0 to 1."""
    places = sorted({*old.x, *new.x})
    value = least = most = 0.0
    for left, right in itertools.pairwise(places):
        (low, high), (other_low, other_high) = old.within(left, right), new.within(left, right)
        most = max(most, high - other_low, other_high - low)
        least = max(least, low - other_high, other_low - high)
        value = max(value, abs(old.at(left) - new.at(left)), abs(old.before(right) - new.before(right)))
    if len(places) == 1:
        most = 0.0
    error = old.error + new.error
    return Estimate(value, max(least - error, 0.0), min(most + error, 1.0))
