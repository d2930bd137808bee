"""Predict the peak memory of every eager backend on eight schemas, and measure it.

    python benchmarks/memory.py [--scale small|medium|large] [--rounds 3] [--output benchmarks/results/memory.jsonl]
    python benchmarks/memory.py --show    # the table of the README, from the results

--rows are those of the ad log; the others have so many that medium makes 250 to 500 MB of each as Arrow. What counts is
the largest resident set of the process (VmHWM) less what it had before, `measured`; libraries are imported by a load of
no row. `predicted` is `Backend.peak` of the plan's need, made in the same process. What a process takes for the first
load of any size, some 30 MB, isn't predicted: at the small scale it weighs more than the rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clock import Clock, WrongAnswer
from harness import Point, Suite, main
from memory_data import AD_LOG, ROWS, SCHEMAS, dataset_name, prepare_case
from results import Result
from shown import grid

import ailab_dataproc as adp
from ailab_dataproc.backends import backend
from ailab_dataproc.report import resident_memory

# A GPU's memory is another one: benchmarks/gpu.py.
WAYS: dict[str, dict[str, Any]] = {
    "arrow": {},
    "numpy": {},
    "pandas": {},
    "polars": {},
    "pandas, NumPy dtypes": {"backend": "pandas", "dtypes": "numpy"},
}
BOUND = 0.25  # how far a prediction may be from its measurement


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """Every eager backend on each dataset, and pandas once more with NumPy dtypes."""
    for case in (*SCHEMAS, AD_LOG):
        for way, given in WAYS.items():
            name = given.get("backend", way)
            needs = (name,) if name in ("pandas", "polars") else ()
            yield Point(case=case, way=way, needs=needs, extra=name)


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """All datasets."""
    for case in (*SCHEMAS, AD_LOG):
        prepare_case(case, str(folder), asked.rows / ROWS)


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """Load a dataset in this process: bytes predicted and measured; or the refusal."""
    given = {"backend": point.way} | WAYS[point.way] | {"nulls": "mask", "allow_pii": True, "data_dir": str(folder)}
    name = dataset_name(point.case)
    adp.load(name, split="train[:0]", **given)
    need = adp.plan(name, split="train", **given).need
    predicted = backend(given["backend"]).peak(need)
    with Clock() as clock:
        before = resident_memory()
        found = adp.load(name, split="train", **given)
    rows = len(next(iter(found.values()))) if isinstance(found, dict) else len(found)
    if rows != need.rows:
        raise WrongAnswer(f"{rows} rows, wanted {need.rows}")
    told = {"predicted": predicted, "measured": clock.peak_memory - before}
    return clock.line(rows=rows, bytes=need.bytes, **told, shards=need.shards, largest=need.largest)


def show(results: list[Result]) -> str:
    """Predicted over measured by case and way, and how many predictions are off."""
    ratios = {(one.case, one.way): _ratio(one) for one in results}
    cases, ways = (list(dict.fromkeys(key[at] for key in ratios)) for at in (0, 1))

    def cell(case: str, way: str) -> str:
        value = ratios.get((case, way))
        return "refused" if value is None else f"{value:.2f}"

    table = grid("predicted over measured", cases, ways, cell)
    known = {key: value for key, value in ratios.items() if value is not None}
    if not known:
        return table
    case, way = max(known, key=lambda key: abs(known[key] - 1))
    beyond = sum(abs(value - 1) > BOUND for value in known.values())
    off = f"{beyond} of {len(known)} are off by more than {BOUND:.0%}"
    worst = f"The worst is {known[case, way]:.2f} ({way}: {case}); {off}."
    return f"{table}\n\n{worst}"


def _ratio(one: Result) -> float | None:
    predicted, measured = one.number("predicted"), one.number("measured")
    return predicted / measured if predicted and measured else None


SUITE = Suite(
    name="memory",
    file=__file__,
    about=__doc__,
    rows={"small": 200_000, "medium": ROWS, "large": 4 * ROWS},
    points=points,
    measure=measure,
    prepare=prepare,
    show=show,
    rounds=3,
    disk=1000,  # all datasets together, by rows of the ad log
    memory=450,
)

if __name__ == "__main__":
    main(SUITE)
