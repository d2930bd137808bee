"""Does backend="auto" take the right one after `calibrate.py`? Ten sizes, the last ones over the memory limit.

    python benchmarks/auto.py [--rows N] [--output benchmarks/results/auto.jsonl]

Every backend of the ladder is measured at every size by what `calibrate.py` does: load, and group by. Each measurement
is a fresh process whose own memory is limited (`ulimit -d`) to what two thirds of the rows take as Arrow, so that a
backend which takes too much fails, or is refused. In the same way "auto" is asked, with the calibration of this
machine: right is a backend that didn't fail and took at most 1.3 times the seconds of the fastest on the ladder. What
"auto" took is measured by its own rounds and by the backend's, which do the same.
"""

from __future__ import annotations

import argparse
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import calibrate
from harness import Point, Suite, main
from results import Result
from verdicts import verdicts

import ailab_dataproc as adp
from ailab_dataproc.errors import InvalidRequest

PARTS = (1500, 500, 150, 50, 25, 12, 6, 3, 1.5, 1)  # of the rows
LADDERS = ("pandas,dask", "pandas,polars,dask")
NOT_OURS = 150 * 10**6  # bytes that an interpreter with its libraries takes, beside the limit


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """All backends of the ladders, and what auto takes, at all sizes."""
    given = {"limit": int(asked.rows * calibrate.ROW / 1.5) + NOT_OURS}
    for rows in sizes(asked.rows):
        for name in sorted({name for ladder in LADDERS for name in ladder.split(",")}):
            needs = (name,)
            yield Point(case=calibrate.CASE, way=name, rows=rows, given=given, needs=needs, extra=name)
        for ladder in LADDERS:
            yield Point(case=calibrate.CASE, way=f"auto of {ladder}", rows=rows, given=given | {"ladder": ladder})


def sizes(rows: int) -> list[int]:
    """Ten numbers of rows."""
    return [int(rows / part) for part in PARTS]


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """An ad log of each size."""
    for rows in (calibrate.TINY, *sizes(asked.rows)):
        calibrate.prepare_log(folder, rows)


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """Load and group by with little memory; of "auto", with what it takes."""
    limit = point.given["limit"]
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    way, extra = point.way, {}
    if "ladder" in point.given:
        os.environ["AILAB_AUTO"] = point.given["ladder"]
        where = calibrate.place(folder, point.rows or 0)
        made = adp.plan(calibrate.LOG, split="train", columns=calibrate.COLUMNS, nulls="mask", data_dir=where)
        way, extra = made.backend, {"choice": made.backend, "reason": made.choice.reason}
    try:
        line = calibrate.measure(Point(case=point.case, way=way, rows=point.rows), folder)
    except MemoryError as error:
        raise InvalidRequest("out of memory") from error
    return line | {"extra": line["extra"] | extra}


def show(results: list[Result]) -> str:
    """A line a size and ladder."""
    found = verdicts(results)
    lines = []
    for one in found:
        each = ", ".join(f"{name} {one.cell(name)}" for name in one.times)
        told = f"{one.choice or one.asked.refused}"
        lines.append(f"{one.asked.rows:12,} rows  {'right' if one.right else 'WRONG'}  auto: {told:10}  {each}")
    return "\n".join([*lines, f"{sum(one.right for one in found)} of {len(found)} right"])


SUITE = Suite(
    name="auto",
    file=__file__,
    about=__doc__,
    rows={"small": 33_000_000, "medium": 33_000_000, "large": 66_000_000},  # fewer leave no room beside the interpreter
    points=points,
    measure=measure,
    prepare=prepare,
    show=show,
    rounds=5,
    limit=300,
    disk=100,
    memory=60,
)

if __name__ == "__main__":
    main(SUITE)
