"""Medians, their spread, and how sure the ratio of two of them is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
_RESAMPLES = 2000
# Student's t for 95 % on both sides, by degrees of freedom from 1; beyond the last it is near the normal's 1.96.
_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11)
_STUDENT += (2.10, 2.09, 2.09, 2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05, 2.04)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as much: the ratio of two medians, and where it lies with 95 % confidence."""

    value: float
    low: float | None = None  # None where one of the two has a single round
    high: float | None = None

    def differs(self, threshold: float) -> bool:
        """Whether the two differ beyond the noise and by more than a threshold, such as 0.05."""
        if self.low is None or self.high is None or self.low <= 1 <= self.high:
            return False
        return abs(math.log(self.value)) > math.log1p(threshold)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.2f} (one round)"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def median(values: Sequence[float]) -> float:
    """The middle."""
    return float(statistics.median(values))


def mad(values: Sequence[float]) -> float:
    """The median of the distances from the median: the spread that one bad round doesn't change."""
    middle = median(values)
    return median([abs(one - middle) for one in values])


def ratio(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Ratio:
    """The median after over the median before, with an interval.

    The interval holds two: the bootstrap's of the ratio of medians (Kalibera and Jones, "Rigorous Benchmarking in
    Reasonable Time", ISMM 2013), and Welch's of the logarithms. The first alone says nothing of rounds that weren't
    run: with three of each it calls one of ten pairs different that aren't. The second alone takes noise as normal.

    Args:
        before: positive numbers, one a round.
        after: the same of the other.
        seed: of the resampling, so that the answer is always the same.
    """
    value = median(after) / median(before)
    if min(len(before), len(after)) < 2:
        return Ratio(value)
    random = np.random.default_rng(seed)
    ratios = _medians(random, after) / _medians(random, before)
    tail = 50 * (1 - CONFIDENCE)  # per cent on each side
    low, high = np.percentile(ratios, [tail, 100 - tail])
    least, most = _welch(before, after)
    return Ratio(value, min(float(low), least, value), max(float(high), most, value))


def _medians(random: np.random.Generator, values: Sequence[float]) -> np.ndarray:
    drawn = random.choice(np.asarray(values, dtype=float), size=(_RESAMPLES, len(values)))
    return np.median(drawn, axis=1)


def _welch(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    logs = [[math.log(one) for one in values] for values in (before, after)]
    parts = [statistics.variance(one) / len(one) for one in logs]
    middle = statistics.fmean(logs[1]) - statistics.fmean(logs[0])
    error = math.sqrt(sum(parts))
    if not error:
        return math.exp(middle), math.exp(middle)
    freedom = sum(parts) ** 2 / sum(part**2 / (len(one) - 1) for part, one in zip(parts, logs, strict=True))
    reach = _STUDENT[min(int(freedom), len(_STUDENT)) - 1] * error
    return math.exp(middle - reach), math.exp(middle + reach)
