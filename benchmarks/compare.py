"""Compare two runs of the benchmarks: what has become slower or larger, or faster or smaller, beyond the noise.

    python benchmarks/compare.py BEFORE AFTER [--threshold 5%] [--json]

Each is a file of results, or a folder of them. Two medians differ when the interval of their ratio excludes 1, and when
they are further apart than the threshold. Exit code 1: something has become worse; 2: bad input.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from results import Key, Result, read_all
from shown import seconds
from spread import Ratio, median, ratio

from ailab_dataproc.errors import AilabError
from ailab_dataproc.report import count_bytes

THRESHOLD = 0.05
_MEASURES = {"seconds": "time", "peak_memory": "peak memory"}
_WORSE, _BAD_INPUT = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measure of one result that both runs have."""

    suite: str
    case: str
    way: str  # with its workers and, where it helps, rows
    measure: str  # "time" or "peak memory"
    before: float  # seconds or bytes, the median
    after: float
    ratio: Ratio
    verdict: str  # "worse", "better" or "same"

    def __str__(self) -> str:
        show = seconds if self.measure == "time" else lambda value: count_bytes(int(value))
        change = f"{self.measure} {show(self.before)} → {show(self.after)}"
        return f"{self.suite}: {self.case} | {self.way}: {change}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs, line by line."""

    lines: list[Line]
    only_before: list[str]
    only_after: list[str]
    failed: list[str]  # that were measured before, and failed now
    other: list[str]  # sentences: other machines, versions
    threshold: float

    @property
    def worse(self) -> list[Line]:
        """What has become slower or larger, the most first."""
        return sorted((one for one in self.lines if one.verdict == "worse"), key=lambda one: -one.ratio.value)

    @property
    def better(self) -> list[Line]:
        """What has become faster or smaller, the most first."""
        return sorted((one for one in self.lines if one.verdict == "better"), key=lambda one: one.ratio.value)


def compare(before: Sequence[Result], after: Sequence[Result], threshold: float = THRESHOLD) -> Comparison:
    """Compare what both runs have measured."""
    before, after = ([one for one in of if not one.on_paper] for of in (before, after))
    old, new = ({one.key: one for one in of} for of in (before, after))
    both = [key for key in new if key in old]
    gone, added = _alone(old, new), _alone(new, old)
    return Comparison(
        lines=[line for key in both for line in _lines(old[key], new[key], threshold)],
        only_before=[_name(one) for one in gone],
        only_after=[_name(one) for one in added],
        failed=list(_failed(before, after)),
        other=[*_machines(before, after), *_versions(before, after)],
        threshold=threshold,
    )


def _alone(some: Mapping[Key, Result], others: Mapping[Key, Result]) -> list[Result]:
    """Those without a counterpart; one that was refused has no number of rows, and is that of any."""
    loose = {_loose(one) for one in others.values() if one.refused}
    every = {_loose(one) for one in others.values()}
    found = [one for key, one in some.items() if key not in others and _loose(one) not in loose]
    return [one for one in found if not (one.refused and _loose(one) in every)]


def _failed(before: Sequence[Result], after: Sequence[Result]) -> Iterator[str]:
    """What was measured before and is refused now, but for peers that aren't installed."""
    exact = {one.key for one in before if one.seconds}
    loose = {_loose(one) for one in before if one.seconds}
    for one in after:
        measured = one.key in exact if one.rows else _loose(one) in loose
        if one.refused and measured and "is not installed" not in one.refused:
            yield f"{_name(one)}: {one.refused}"


def _loose(one: Result) -> tuple[object, ...]:
    return (one.suite, one.case, one.way, one.workers)


def _lines(old: Result, new: Result, threshold: float) -> Iterator[Line]:
    for field, measure in _MEASURES.items():
        before, after = getattr(old, field), getattr(new, field)
        if not before or not after or min(*before, *after) <= 0:
            continue
        found = ratio(before, after)
        verdict = "same" if not found.differs(threshold) else "worse" if found.value > 1 else "better"
        numbers = {"before": median(before), "after": median(after), "ratio": found, "verdict": verdict}
        yield Line(suite=new.suite, case=new.case, way=_way(new), measure=measure, **numbers)


def _way(one: Result) -> str:
    return f"{one.label}, {one.rows:,} rows" if one.rows else one.label


def _name(one: Result) -> str:
    return f"{one.suite}: {one.case} | {_way(one)}"


def hardware(machine: Mapping[str, Any]) -> str:
    """A machine in words: what two runs must share, so that their times can be compared."""
    gpus = "; ".join(machine.get("gpus") or [])
    return (
        f"{machine.get('cpu') or 'unknown processor'}, {machine.get('cores', '?')} cores, "
        f"{machine.get('memory_gb', '?')} GB" + (f", {gpus}" if gpus else "")
    )


def _machines(before: Sequence[Result], after: Sequence[Result]) -> Iterator[str]:
    old, new = (sorted({hardware(one.machine) for one in of}) for of in (before, after))
    if old != new:
        yield f"Other machines: {' and '.join(old)} before, {' and '.join(new)} after; differences may be theirs."


def _versions(before: Sequence[Result], after: Sequence[Result]) -> Iterator[str]:
    old, new = (versions(of) for of in (before, after))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"Other versions: {name} {old.get(name, 'none')} before, {new.get(name, 'none')} after."


def versions(results: Sequence[Result]) -> dict[str, str]:
    """The versions of Python and of packages; several of one are joined."""
    found: dict[str, set[str]] = {}
    for one in results:
        told = {"python": one.machine.get("python", "?"), **one.machine.get("versions", {})}
        for name, version in told.items():
            found.setdefault(name, set()).add(str(version))
    return {name: " and ".join(sorted(of)) for name, of in found.items()}


def text(found: Comparison) -> str:
    """The comparison for people: what differs first, every line, then what only one run has."""
    counted = f"{len(found.worse)} worse, {len(found.better)} better, {len(found.lines)} compared"
    parts = [*found.other, "", f"{'':6} {'ratio (95 % interval)':24} what"]
    parts += [f"{one.verdict if one.verdict != 'same' else '':6} {one.ratio!s:24} {one}" for one in found.lines]
    parts += [f"only before: {one}" for one in found.only_before]
    parts += [f"only after: {one}" for one in found.only_after]
    parts += ["", f"{counted}; beyond the noise and {found.threshold:.0%}."]
    parts += [f"FAILED  {one}" for one in found.failed]
    parts += [f"WORSE   x {one.ratio}  {one}" for one in found.worse]
    parts += [f"better  x {one.ratio}  {one}" for one in found.better]
    return "\n".join(parts).strip()


def _threshold(given: str) -> float:
    try:
        value = float(given.strip().removesuffix("%"))
    except ValueError:
        value = -1
    value = value / 100 if "%" in given else value
    if not 0 <= value < 10:
        raise argparse.ArgumentTypeError(f"{given!r} is no share such as 5% or 0.05")
    return value


def main(arguments: list[str] | None = None) -> int:
    """Compare, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--threshold", type=_threshold, default=THRESHOLD, help="default: 5%%")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        (before, old), (after, new) = read_all([asked.before]), read_all([asked.after])
    except AilabError as error:
        print(f"error: {error}", file=sys.stderr)
        return _BAD_INPUT
    for skipped in (*old, *new):
        print(f"left out: {skipped}", file=sys.stderr)
    found = compare(before, after, asked.threshold)
    print(json.dumps(asdict(found), indent=2) if asked.json else text(found))
    return _WORSE if found.worse or found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
