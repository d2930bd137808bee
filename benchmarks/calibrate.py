"""What a load costs here with each backend, over sizes; with --save written where `backend="auto"` reads it.

    python benchmarks/calibrate.py [--scale small] [--save [--file FILE]] [--output benchmarks/results/calibrate.jsonl]

Each measurement is a fresh process that loads some columns of the ad log and groups by one of them, so that every value
is touched and a lazy backend has done its work; imports, and the same with 1,000 rows, come before the clock. The
backends take turns. The line of seconds over Arrow bytes, and the peak memory over what the planner predicts, are
printed. `bench calibrate`, which is --save, keeps them for this machine (in `AILAB_CALIBRATION`, else
~/.config/ailab_dataproc/calibration.json); without it nothing changes in what "auto" takes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from clock import Clock
from harness import Point, Suite, main
from results import Result

import ailab_dataproc as adp
from ailab_dataproc.backends import BACKENDS, backend
from ailab_dataproc.calibration import Calibration, Cost, fitted, save_calibration
from ailab_dataproc.calibration import Point as Load
from ailab_dataproc.catalog import find
from ailab_dataproc.choosing import check_ladder, choose
from ailab_dataproc.errors import BackendRefused, InvalidRequest, StorageFailed
from ailab_dataproc.report import count_bytes, peak_memory, resident_memory
from ailab_dataproc.settings import load_settings
from ailab_dataproc.sizing import Machine, Need

LOG = "products/ad_log/impressions"
CASE = "load and group-by"
KEY = "country"
NUMBERS = ["price", "bid", "dwell_seconds", "user", "item"]
COLUMNS = [KEY, *NUMBERS, "device"]
ROW = 43.6  # bytes of these columns as Arrow
STEPS = (1, 4, 16, 64, 512)  # the largest size by these is measured, too
SHARD = 128e6  # bytes as Arrow
STEP = 2**0.125  # between two sizes at which "auto" is asked
TINY = 1000  # rows of what is loaded before the clock starts
_MODULES = {"dask_cudf": ("dask_cudf", "cudf"), "cudf": ("cudf",), "arrow": (), "numpy": ()}


def options(parser: argparse.ArgumentParser) -> None:
    """Whether the calibration is written, and where."""
    parser.add_argument("--save", action="store_true", help='write it: backend="auto" goes by it from then on')
    parser.add_argument("--file", help="where --save writes; default: as the settings say")


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """Every backend that holds frames or arrays, at every size."""
    for rows in sizes(asked.rows):
        for name in BACKENDS:
            if name not in ("tf", "torch"):  # they hold a shard at a time
                extra = "gpu" if "cudf" in name else name
                yield Point(case=CASE, way=name, rows=rows, needs=_MODULES.get(name, (name,)), extra=extra)


def sizes(most: int) -> list[int]:
    """Rows, in steps; no more than a sixth of the free memory holds."""
    rows = min(most, int(Machine.here().memory / 6 / ROW))
    return sorted(rows // step for step in STEPS)


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """An ad log of each size."""
    for rows in (TINY, *sizes(asked.rows)):
        prepare_log(folder, rows)


def prepare_log(folder: Path, rows: int) -> None:
    """An ad log of so many rows, in a data directory of its own."""
    source = {"train": f"synthetic:rows={rows},seed=0", "test": "synthetic:rows=1,seed=1"}
    adp.prepare(LOG, sources=source, data_dir=place(folder, rows), formats=("parquet",))


def place(folder: Path, rows: int) -> str:
    """The data directory of the ad log with so many rows."""
    return str(folder / str(rows))


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """Load and group by in this process."""
    given: dict[str, Any] = {"split": "train", "columns": COLUMNS, "backend": point.way, "nulls": "mask"}
    where = place(folder, point.rows or TINY)
    need = adp.plan(LOG, **given, data_dir=where).need
    group(adp.load(LOG, **given, data_dir=place(folder, TINY)))
    one = backend(point.way)
    with Clock() as clock:
        before = resident_memory()
        found = adp.load(LOG, **given, data_dir=where)
        peak = peak_memory() - before  # of the load alone, as the planner predicts it
        groups = group(found)
    eager = one.family == "eager" and "cudf" not in point.way
    factor = {"memory_factor": peak / one.peak(need)} if eager else {}
    return clock.line(rows=need.rows, bytes=need.bytes, groups=groups, **factor)


def group(found: Any) -> int:
    """The sums of all numbers by one column: the number of groups."""
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
    return len(sums.compute() if hasattr(sums, "dask") else sums)


def costs_of(results: Sequence[Result]) -> dict[str, Cost]:
    """By backend, the line through what was measured."""
    found: dict[str, list[Load]] = {}
    for one in results:
        if one.typical is not None and one.bytes:
            found.setdefault(one.way, []).append(Load(one.bytes, one.typical, one.number("memory_factor")))
    return {name: fitted(loads) for name, loads in found.items()}


def crossover(slow: Cost, fast: Cost) -> float | None:
    """From how many bytes the second is faster than the first, which starts faster; None where it never is."""
    gain, late = slow.seconds_per_gb - fast.seconds_per_gb, fast.fixed_seconds - slow.fixed_seconds
    return late / gain * 1e9 if gain > 0 and late > 0 else None


def fastest(costs: Mapping[str, Cost]) -> list[tuple[float, str]]:
    """The backend with the least seconds, from how many bytes on."""
    now = min(costs, key=lambda name: (costs[name].fixed_seconds, costs[name].seconds_per_gb))
    found = [(0.0, now)]
    while later := [(size, name) for name in costs if (size := crossover(costs[now], costs[name]))]:
        size, now = min(later)
        found.append((size, now))
    return found


def taken(costs: Mapping[str, Cost], ladder: Sequence[str], machine: Machine) -> list[tuple[float, str]]:
    """What `backend="auto"` takes of these columns, from how many bytes on; "none" where all refuse."""
    schema = pa.schema([find(LOG, load_settings()).schema.field(name) for name in COLUMNS])
    known, backends = Calibration(costs=costs), {name: backend(name) for name in ladder}
    size, found = 1e6, []
    while size < 4 * machine.memory:
        shards = math.ceil(size / SHARD)
        need = Need(
            rows=int(size / ROW),
            bytes=int(size),
            largest=int(size / shards),
            shards=shards,
            schema=schema,
            columns=dict.fromkeys(COLUMNS, int(size / len(COLUMNS))),
            threads=machine.threads(shards),
        )
        try:
            name = choose(need, machine, backends, asked="auto", ladder=ladder, calibration=known).backend
        except BackendRefused:
            name = "none"
        if not found or found[-1][1] != name:
            found.append((size if found else 0.0, name))
        size *= STEP
    return found


def told(reigns: Sequence[tuple[float, str]]) -> str:
    """For people: ``pandas up to 1.2 GB, dask above``."""
    ends = [f"{name} up to {count_bytes(int(end))}" for (_, name), (end, _) in pairwise(reigns)]
    last = reigns[-1][1]
    return ", ".join([*ends, f"{last} above" if ends else f"{last} at every size"])


def show(results: list[Result]) -> str:
    """The costs, and where one backend overtakes another."""
    costs = costs_of(results)
    lines = [f"{'backend':10} {'fixed':>9} {'a GB':>8} {'memory':>7}"]
    for name, cost in costs.items():
        line = f"{cost.fixed_seconds * 1e3:6.0f} ms {cost.seconds_per_gb:6.2f} s"
        lines.append(f"{name:10} {line} {cost.memory_factor:6.2f}x")
    if costs:
        lines.append(f"fastest: {told(fastest(costs))}")
    refused = {one.way: one.refused for one in results if one.refused}
    return "\n".join([*lines, *(f"{way}: {why}" for way, why in refused.items())])


def finish(asked: argparse.Namespace, results: list[Result]) -> None:
    """Write the file that the planner reads, if that is wanted, and say what "auto" takes with it."""
    costs = costs_of(results)
    if not costs:
        raise InvalidRequest(f"{asked.output}: holds no time of any backend, wanted one at least. See its lines.")
    settings, machine = load_settings(), Machine.here()
    ladder = check_ladder(settings.auto, None, BACKENDS)
    if asked.save:
        date = datetime.now(UTC).date().isoformat()
        try:
            file = save_calibration(costs, date, asked.file or settings.calibration, machine)
        except OSError as error:
            raise StorageFailed(
                f"{error.filename}: can't be written ({error.strerror}). Name another --file."
            ) from error
        print(f'{file}: backend="auto" goes by it on this machine from now on')
    else:
        print('not kept: `ailab-dataproc bench calibrate` writes it where backend="auto" reads it')
    print(f"auto of {', '.join(ladder)}{'' if asked.save else ' would take'}: {told(taken(costs, ladder, machine))}")


SUITE = Suite(
    name="calibrate",
    file=__file__,
    about=__doc__,
    rows={"small": 1_500_000, "medium": 12_000_000, "large": 48_000_000},
    points=points,
    measure=measure,
    prepare=prepare,
    options=options,
    show=show,
    finish=finish,
    rounds=3,
    disk=60,
    memory=130,
)

if __name__ == "__main__":
    main(SUITE)
