"""Load TPC-H lineitem and the ad log as every kind of object: each backend beside its peers on the same Parquet shards.

    python benchmarks/load.py [--scale medium] [--rounds 5] [--output benchmarks/results/load.jsonl]
    python benchmarks/load.py --show    # the tables of the README, from the results

Every measurement is a fresh process that has done the same with 1,000 rows, so that imports aren't counted; the page
cache is warm, and so is free memory: the host of a virtual machine may have taken it back, and a load that is the first
to touch it takes up to three times as long. A load of less than 0.2 s is done seven times in its
process, and the median counts: the machine's noise is some milliseconds. What came back is compared with what was
written: rows, a sum, and the bounds of a time. --rows are those of the ad log; lineitem has three times as many. The
table's memory is what the process held itself at most, beside what it held before; mapped files aren't counted. The
small scale takes the ad log only, and two cases of it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clock import Clock, WrongAnswer
from harness import Point, Suite, main
from load_data import CASES, DATA, job, make
from load_ways import ONCE, OURS, WAYS, chosen, found, needs
from process import warm_memory
from results import Result

_SMALL = ("whole", "arrays")
_WARM = 2.5  # bytes of memory for each of the data, as Arrow: what most ways take
_WARM_AT_LEAST = 1 << 29
_SHORT = 0.2  # seconds; what takes less is done so often in a process, and the median is told
_TIMES = 7
_LINEITEM = 3 / 6_000_000  # of TPC-H's scale, for each row of the ad log


def options(parser: argparse.ArgumentParser) -> None:
    """Those of this suite."""
    parser.add_argument("--objects", nargs="+", choices=list(WAYS), help="only these")
    parser.add_argument("--cases", nargs="+", choices=CASES, help="only these")
    parser.add_argument("--data", nargs="+", choices=list(DATA), help="only these")


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """Every way to every object, for each case of each dataset."""
    small = asked.scale == "small"
    for data in asked.data or (["log"] if small else list(DATA)):
        for what, kind, way in chosen(asked.objects, asked.cases or list(_SMALL if small else CASES)):
            yield Point(
                case=f"{kind}: {data}, {what}",
                way=way,
                needs=needs(kind, way),
                once=way in ONCE,
                given={"data": data, "what": what, "object": kind},
            )


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """Both datasets, once large, once tiny."""
    make(folder, asked.rows * _LINEITEM, asked.rows)


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """Load once."""
    data, what, kind = (point.given[key] for key in ("data", "what", "object"))
    tiny, _ = job(folder, data, what, tiny=True)
    full, told = job(folder, data, what)
    WAYS[kind][point.way](tiny)()
    load = WAYS[kind][point.way](full)
    warm_memory(int(told["bytes"] * _WARM) + _WARM_AT_LEAST)
    with Clock() as clock:
        result = load()
    for key, value in found(kind, result, full).items():
        if not math.isclose(value, told[key], rel_tol=1e-6):
            raise WrongAnswer(f"{key} is {value}, wanted {told[key]}")
    clocks = [clock]
    while len(clocks) < _TIMES and clock.seconds < _SHORT:
        del result
        with Clock() as again:
            result = load()
        clocks.append(again)
    typical = sorted(clocks, key=lambda one: one.seconds)[len(clocks) // 2]
    seconds = {"seconds": typical.seconds, "cpu_seconds": typical.cpu_seconds}
    return clock.line(rows=told["rows"], bytes=told["bytes"]) | seconds


def tables(results: list[Result]) -> str:
    """A Markdown table for each object: seconds of each way and case, and how many times the fastest; peak memory."""
    there = {one.extra["object"] for one in results}
    return "\n\n".join(
        _table(kind, [one for one in results if one.extra["object"] == kind]) for kind in WAYS if kind in there
    )


def _table(kind: str, mine: list[Result]) -> str:
    cases = list(dict.fromkeys(one.case for one in mine))
    best = {case: min(one.typical for one in mine if one.case == case and one.typical) for case in cases}
    lines = [f"| {kind} | {' | '.join(case.partition(': ')[2] for case in cases)} |"]
    lines.append("| --- " * (len(cases) + 1) + "|")
    for way in dict.fromkeys(one.way for one in mine):
        of = {one.case: one for one in mine if one.way == way}
        shown = f"`{way}`" if way == OURS else way
        lines.append(f"| {shown} | {' | '.join(_cell(of.get(case), best[case]) for case in cases)} |")
    return "\n".join(lines)


def _cell(one: Result | None, best: float) -> str:
    """A result in a table: seconds, times the fastest, and the memory that it added over the bytes as Arrow."""
    if one is None or one.typical is None:
        return "refused" if one else ""
    memory = one.number("added_memory")
    peak = f", {memory / one.bytes:.1f} x" if memory is not None and one.bytes and one.bytes > 1e8 else ""
    return f"{one.typical:.2f} s ({one.typical / best:.2f}){peak}"


SUITE = Suite(
    name="load",
    file=__file__,
    about=__doc__,
    rows={"small": 200_000, "medium": 4_000_000, "large": 40_000_000},
    points=points,
    measure=measure,
    prepare=prepare,
    options=options,
    show=tables,
    disk=1500,  # TPC-H's files, ours, and HF's cache
    memory=2500,  # DuckDB's DataFrame of lineitem
)

if __name__ == "__main__":
    main(SUITE)
