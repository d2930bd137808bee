"""What results say: who is the fastest where, where lines cross, what workers bring, how good predictions are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from results import Result
from spread import Ratio, mad, ratio

from ailab_dataproc.report import count_bytes

_OURS = ("ailab_dataproc", "ours")
NEAR = 1.05  # times the fastest that count as fastest


@dataclass(frozen=True, slots=True)
class Versus:
    """Our fastest way of a case beside the fastest peer."""

    case: str
    ours: Result
    peer: Result
    ratio: Ratio  # our time over the peer's: below 1 we are faster

    @property
    def verdict(self) -> str:
        """Whether we are faster or slower, or the rounds can't tell: nothing."""
        if self.ratio.low is None or self.ratio.high is None:
            return ""
        return "faster" if self.ratio.high < 1 else "slower" if self.ratio.low > 1 else ""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where another way becomes the fastest."""

    size: float  # in the sweep's unit
    seconds: float
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """A case over sizes: for each way the results in the order of the sizes."""

    suite: str
    case: str
    unit: str  # "bytes" or "rows"
    ways: Mapping[str, list[Result]]

    def size(self, one: Result) -> float:
        """What stands on the axis."""
        return float((one.bytes if self.unit == "bytes" else one.rows) or 0)

    def speed(self, one: Result) -> float:
        """GB/s or rows/s."""
        return self.size(one) / (one.typical or math.nan) / (1e9 if self.unit == "bytes" else 1)

    def crossings(self) -> list[Crossing]:
        """Where another way becomes the fastest by more than 5 %; lines between sizes are straight on log axes."""
        at = {way: {self.size(one): one.typical or math.nan for one in of} for way, of in self.ways.items()}
        sizes = sorted({size for of in at.values() for size in of})
        best = [min((way for way in at if size in at[way]), key=lambda way, of=size: at[way][of]) for size in sizes]
        found, now = [], best[0]
        for (low, high), new in zip(pairwise(sizes), best[1:], strict=True):
            if new != now and at[now].get(high, math.inf) > NEAR * at[new][high]:
                found.append(_crossing((low, high), (now, at[now]), (new, at[new])))
                now = new
        return found


def _crossing(
    ends: tuple[float, float], old: tuple[str, Mapping[float, float]], new: tuple[str, Mapping[float, float]]
) -> Crossing:
    """Where two lines meet; at the larger size where one of them doesn't reach over both, such as for its memory."""
    low, high = ends
    if not all(size in line for size in ends for line in (old[1], new[1])):
        return Crossing(high, new[1][high], old[0], new[0])
    before, after = (math.log(new[1][size] / old[1][size]) for size in ends)
    part = min(max(before / (before - after), 0), 1)
    return Crossing(low * (high / low) ** part, old[1][low] * (old[1][high] / old[1][low]) ** part, old[0], new[0])


@dataclass(frozen=True, slots=True)
class Scaling:
    """A case over workers: for each way, by workers, the speed-up over its fewest workers, in units of one worker."""

    suite: str
    case: str
    ways: Mapping[str, Mapping[int, Ratio]]


@dataclass(frozen=True, slots=True)
class Predicted:
    """A prediction of memory and what was measured, in bytes."""

    label: str
    predicted: float
    measured: float


def is_ours(one: Result) -> bool:
    """Whether a way is this package's: its name begins so, or its extra says it."""
    return bool(one.extra.get("ours", one.way.startswith(_OURS)))


def versus(results: Sequence[Result]) -> list[Versus]:
    """For each case and number of rows that both have: ours beside the fastest peer."""
    groups: dict[tuple[str, int | None], list[Result]] = {}
    for one in results:
        if one.typical and not one.extra.get("floor"):
            groups.setdefault((one.case, one.rows), []).append(one)
    several = {case for case, rows in groups if sum(other == case for other, _ in groups) > 1}
    found = []
    for (case, rows), of in groups.items():
        sides = [[one for one in of if is_ours(one) == side] for side in (True, False)]
        if all(sides):
            ours, peer = (min(side, key=lambda one: one.typical or math.inf) for side in sides)
            name = f"{case}, {rows:,} rows" if case in several and rows else case
            found.append(Versus(name, ours, peer, ratio(peer.seconds, ours.seconds)))
    return found


def sweeps(results: Sequence[Result]) -> list[Sweep]:
    """The cases that were measured at three sizes or more; without what "auto" took, which is one of the others."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        if one.typical and one.rows and "ladder" not in one.extra:
            groups.setdefault((one.suite, one.case), []).append(one)
    found = []
    for (suite, case), of in groups.items():
        if len({one.rows for one in of}) < 3:
            continue
        ways: dict[str, list[Result]] = {}
        for one in sorted(of, key=lambda one: one.rows or 0):
            ways.setdefault(one.label, []).append(one)
        unit = "bytes" if all(one.bytes for one in of) else "rows"
        found.append(Sweep(suite, case, unit, {way: line for way, line in ways.items() if len(line) > 1}))
    return [one for one in found if one.ways]


def scalings(results: Sequence[Result]) -> list[Scaling]:
    """The cases that were measured with several numbers of workers; more rows with more workers count as more work."""
    groups: dict[tuple[str, str], dict[str, dict[int, Result]]] = {}
    for one in results:
        if one.typical and one.workers:
            groups.setdefault((one.suite, one.case), {}).setdefault(one.way, {})[one.workers] = one
    found = []
    for (suite, case), ways in groups.items():
        lines = {way: _speed_ups(of) for way, of in ways.items() if len(of) > 1}
        if lines:
            found.append(Scaling(suite, case, lines))
    return found


def _speed_ups(of: Mapping[int, Result]) -> dict[int, Ratio]:
    least = min(of)
    found = {}
    for workers, one in sorted(of.items()):
        work = least * (one.rows / of[least].rows if one.rows and of[least].rows else 1)
        raw = ratio(one.seconds, of[least].seconds)
        low, high = (None if end is None else end * work for end in (raw.low, raw.high))
        found[workers] = Ratio(raw.value * work, low, high)
    return found


def predictions(results: Sequence[Result]) -> list[Predicted]:
    """Results whose extra has the memory that was predicted."""
    found = []
    for one in results:
        predicted = one.number("predicted")
        measured = one.number("measured") or one.number("added_memory") or one.memory
        if predicted and measured:
            found.append(Predicted(f"{one.case}, {one.way}", predicted, measured))
    return found


def size(value: float, unit: str) -> str:
    """A size of a sweep for people."""
    return count_bytes(int(value)) if unit == "bytes" else f"{value:,.0f} rows"


def sentences(results: Sequence[Result]) -> Iterator[str]:
    """What somebody should know of a suite who reads no more."""
    pairs = versus(results)
    if pairs:
        yield _versus_sentence(pairs)
    yield from map(_sweep_sentence, sweeps(results))
    yield from map(_scaling_sentence, scalings(results))
    yield from _prediction_sentence(predictions(results))


def _versus_sentence(pairs: Sequence[Versus]) -> str:
    faster, slower = ([one for one in pairs if one.verdict == word] for word in ("faster", "slower"))
    rest = len(pairs) - len(faster) - len(slower)
    text = (
        f"Of {len(pairs)} cases with a peer, ailab_dataproc is faster than the fastest peer in {len(faster)}, slower "
    )
    text += f"in {len(slower)}" + (f"; in {rest} the rounds can't tell." if rest else ".")
    if faster:
        most = min(faster, key=lambda one: one.ratio.value)
        text += f" Furthest ahead: {most.case} ({1 / most.ratio.value:.1f} times as fast as {most.peer.way})."
    if slower:
        most = max(slower, key=lambda one: one.ratio.value)
        text += f" Furthest behind: {most.case} ({most.ratio.value:.1f} times the time of {most.peer.way})."
    return text


def _sweep_sentence(sweep: Sweep) -> str:
    found = sweep.crossings()
    if not found:
        last = {way: of[-1].typical or math.inf for way, of in sweep.ways.items()}
        return f"{sweep.case}, fastest at every size: {min(last, key=lambda way: last[way])}."
    steps = [f"{one.before} up to {size(one.size, sweep.unit)}" for one in found]
    return f"{sweep.case}, fastest: {'; '.join(steps)}; {found[-1].after} above."


def _scaling_sentence(scaling: Scaling) -> str:
    ends = {way: max(of) for way, of in scaling.ways.items()}
    told = [
        f"{way} {of[ends[way]].value:.2f} times with {ends[way]} ({of[ends[way]].value / ends[way]:.0%} of ideal)"
        for way, of in scaling.ways.items()
    ]
    return f"{scaling.case}, speed-up with workers: {'; '.join(told)}."


def _prediction_sentence(found: Sequence[Predicted]) -> Iterator[str]:
    if found:
        worst = max(found, key=lambda one: abs(math.log(one.predicted / one.measured)))
        well = sum(abs(one.predicted / one.measured - 1) <= 0.25 for one in found)
        yield (
            f"{well} of {len(found)} predictions of memory are within 25 % of what was measured; the worst is "
            f"{worst.predicted / worst.measured:.2f} times it ({worst.label})."
        )


def noise(results: Sequence[Result]) -> Iterator[str]:
    """How far the rounds of a median lie apart."""
    once = sum(len(one.seconds) == 1 for one in results)
    if once:
        verb = "s were" if once > 1 else " was"
        yield f"{once} way{verb} measured once, which tells nothing of the noise: give --rounds 5."
    shares = sorted(mad(one.seconds) / one.typical for one in results if len(one.seconds) > 1 and one.typical)
    if shares:
        yield (
            f"The rounds of half of all {len(shares)} medians spread by ± {shares[len(shares) // 2]:.0%} or less; "
            f"those of one in ten by more than ± {shares[len(shares) * 9 // 10]:.0%}."
        )
