"""What a load costs here with each backend, over sizes; written where `backend="auto"` reads it.

    python benchmarks/calibrate.py [--rounds 3] [--most 512] [--file FILE] [--output benchmarks/results/calibrate.jsonl]

Each measurement is a fresh process that loads some columns of the ad log and groups by one of them, so that every value
is touched and a lazy backend has done its work; imports, and the same with 1,000 rows, come before the clock. The
backends take turns. The line of seconds over Arrow bytes, and the peak memory over what the planner predicts, are kept
for this machine in a file (`AILAB_CALIBRATION`, else ~/.config/ailab_dataproc/calibration.json).
"""

from __future__ import annotations

import importlib.util
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fresh
import numpy as np
from machine import write_results

import ailab_dataproc as adp
from ailab_dataproc.backends import BACKENDS, backend
from ailab_dataproc.calibration import Cost, Point, fitted, save_calibration
from ailab_dataproc.errors import BackendRefused, MissingLibrary
from ailab_dataproc.report import peak_memory, resident_memory
from ailab_dataproc.settings import load_settings
from ailab_dataproc.sizing import Machine

LOG = "products/ad_log/impressions"
KEY = "country"
NUMBERS = ["price", "bid", "dwell_seconds", "user", "item"]
TEXTS = ["device"]
COLUMNS = [KEY, *NUMBERS, *TEXTS]
STEPS = (1, 8, 64, 512, 4096)  # MB as Arrow
TINY = 1000  # rows of what is loaded before the clock starts


def main() -> None:
    """Measure in turns, fit, write the file, and say where one backend overtakes another."""
    options = fresh.parser("calibrate", __doc__, nargs=3, metavar=("BACKEND", "ROWS", "FOLDER"))
    options.add_argument("--most", type=float, default=512, help="MB of the largest size; a sixth of what is free")
    options.add_argument("--file", help="the calibration that is written")
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one[0], int(asked.one[1]), asked.one[2])))
        return
    machine = Machine.here()
    most = min(asked.most, machine.memory / 6e6)
    with tempfile.TemporaryDirectory(prefix="bench-calibrate-") as work:
        sizes = make(work, [mb for mb in STEPS if mb <= most] or [most])
        results = _rounds(work, sizes, asked.rounds)
    write_results(results, asked.output)
    costs = {name: fitted(points) for name, points in points_of(results).items()}
    file = save_calibration(
        costs, datetime.now(UTC).date().isoformat(), asked.file or load_settings().calibration, machine
    )
    _print(costs, results)
    print(f'\nWritten to {file}: backend="auto" goes by it on this machine from now on.')


def make(work: str, sizes: Sequence[float]) -> list[int]:
    """Prepare an ad log of each size in MB of the wanted columns; return their rows."""
    tiny = _prepare(work, TINY)
    each = adp.plan(LOG, split="train", columns=COLUMNS, data_dir=tiny).need.bytes / TINY
    rows = [round(size * 1e6 / each) for size in sizes]
    for count in rows:
        _prepare(work, count)
    return rows


def measure(name: str, rows: int, work: str) -> dict[str, Any]:
    """Load and group by in this process."""
    given: dict[str, Any] = {"split": "train", "columns": COLUMNS, "backend": name, "nulls": "mask"}
    try:
        need = adp.plan(LOG, **given, data_dir=place(work, rows)).need
        group(adp.load(LOG, **given, data_dir=place(work, TINY)))
    except (BackendRefused, MissingLibrary) as error:
        return {"refused": str(error)}
    predicted, before = backend(name).peak(need), resident_memory()
    started = time.perf_counter()
    found = adp.load(LOG, **given, data_dir=place(work, rows))
    peak = peak_memory() - before  # of the load alone, as the planner predicts it
    groups = group(found)
    seconds = time.perf_counter() - started
    eager = backend(name).family == "eager" and "cudf" not in name
    return {
        "seconds": seconds,
        "rows": need.rows,
        "bytes": need.bytes,
        "groups": groups,
        "memory_factor": peak / predicted if eager else None,
    }


def group(found: Any) -> int:
    """The sums of all numbers by one column, and the longest text: the number of groups."""
    if isinstance(found, Mapping):  # of NumPy arrays
        names, where = np.unique(found[KEY], return_inverse=True)
        for name in NUMBERS:
            np.bincount(where, weights=np.ma.filled(found[name], 0))
        return len(names)
    if hasattr(found, "schema") and hasattr(found, "group_by"):  # Polars, Arrow
        groups = found.group_by(KEY)
        if hasattr(groups, "aggregate"):
            return len(groups.aggregate([(name, "sum") for name in NUMBERS]))
        import polars as pl

        return len(groups.agg(pl.col(NUMBERS).sum()))
    sums = found.groupby(KEY)[NUMBERS].sum()
    texts = found[TEXTS].count()
    if hasattr(sums, "dask"):
        import dask

        sums, texts = dask.compute(sums, texts)
    return len(sums)


def points_of(results: Sequence[Mapping[str, Any]]) -> dict[str, list[Point]]:
    """By backend, what was measured, a point a size."""
    found: dict[str, list[Point]] = {}
    for one in results:
        if "refused" not in one:
            found.setdefault(one["way"], []).append(Point(one["bytes"], one["seconds"], one["memory_factor"]))
    return found


def crossover(slow: Cost, fast: Cost) -> float | None:
    """From how many bytes the second is faster than the first; None where it never is."""
    gain = slow.seconds_per_gb - fast.seconds_per_gb
    if gain <= 0:
        return 0.0 if fast.fixed_seconds < slow.fixed_seconds and not gain else None
    return max(fast.fixed_seconds - slow.fixed_seconds, 0) / gain * 1e9


def _rounds(work: str, sizes: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    names = [name for name in BACKENDS if importlib.util.find_spec(name.split("_", maxsplit=1)[0]) or name == "arrow"]
    cases = [(name, rows) for rows in sizes for name in names if name not in ("tf", "torch")]
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for number in range(rounds):
        for case in random.Random(number).sample(cases, len(cases)):
            if "refused" in runs.get(case, [{}])[-1]:
                continue
            last = fresh.measured(__file__, *case, work)
            runs.setdefault(case, []).append(last)
            print(f"round {number + 1} {case[0]:10} {case[1]:12,} rows {last}", file=sys.stderr)
    return [_summary(name, runs[name, rows]) for name, rows in cases]


def _summary(name: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    stamp = {"suite": "calibrate", "case": "load and group-by", "way": name}
    if "refused" in runs[0]:
        return stamp | dict(runs[0])
    assert len({one["groups"] for one in runs}) == 1, runs  # noqa: S101 - an answer that changes is no measurement
    factors = [one["memory_factor"] for one in runs]
    return (
        stamp
        | dict(runs[0])
        | {
            "seconds": statistics.median(one["seconds"] for one in runs),
            "all": [one["seconds"] for one in runs],
            "memory_factor": None if None in factors else statistics.median(factors),
        }
    )


def _prepare(work: str, rows: int) -> str:
    source = {"train": f"synthetic:rows={rows},seed=0", "test": "synthetic:rows=1,seed=1"}
    adp.prepare(LOG, sources=source, data_dir=place(work, rows), formats=("parquet",))
    return place(work, rows)


def place(work: str, rows: int) -> str:
    """The data directory of the ad log with so many rows."""
    return str(Path(work) / str(rows))


def _print(costs: Mapping[str, Cost], results: Sequence[Mapping[str, Any]]) -> None:
    for one in results:
        if "refused" in one:
            print(f"{one['way']}: {one['refused']}")
    print(f"{'backend':10} {'fixed':>9} {'a GB':>8} {'memory':>7}")
    for name, cost in costs.items():
        told = asdict(cost)
        print(
            f"{name:10} {told['fixed_seconds'] * 1e3:6.0f} ms {told['seconds_per_gb']:6.2f} s {cost.memory_factor:6.2f}x"
        )
    for slow in costs:
        for fast in costs:
            size = crossover(costs[slow], costs[fast])
            if size is not None and 1e6 < size < 1e12:
                print(f"{fast} overtakes {slow} at {size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
