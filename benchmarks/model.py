"""On paper: how long 1 TB and 100 TB would take on 8, 64 and 512 workers. A model and a simulation; nothing was run.

    python benchmarks/model.py [--cores 16] [--network 1.25] [--bucket 25] [--output benchmarks/results/model.jsonl]
    python benchmarks/model.py --show    # the table of the README

Measured here, from the files in results/: seconds of a core per byte of Arrow to prepare and to load (prepare.jsonl,
load.jsonl) and the scheduler's time for a task (workers.jsonl, else 3 ms). Assumed, and said in each result: cores a
worker, the network of a worker and of the whole bucket in GB/s, and how much the time of a task varies. A scheduler
hands out tasks one by one; a free core takes the next; a task's bytes go at its core's share of the worker's network,
and through the bucket one task after the other; the last task ends the run; then the index is published by one machine.
The bottleneck is what the run would gain most from if it cost nothing.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from machine import stamp
from results import Result, read, write
from shown import grid, hours
from spread import median

from ailab_dataproc.errors import AilabError, InvalidRequest

RESULTS = Path(__file__).parent / "results"
ROW = 123  # bytes of Arrow of a row of the ad log
SHARD = 128 * 10**6  # bytes of Arrow
STORED = {"parquet": 0.25, "tfrecord": 2.6}  # bytes in the bucket for a byte of Arrow
SOURCES = 1.0  # bytes of CSV that are read for a byte of Arrow
SCHEDULER = 0.003  # seconds a task, where workers.jsonl isn't there
PUBLISHED = 600  # shards that are renamed in the bucket a second: 100 at a time, 0.1 s each, for two formats
SIZES = {"1 TB": 10**12, "100 TB": 10**14}
WORKERS = (8, 64, 512)
SPREAD = 0.3  # of a task's seconds: the standard deviation of their logarithm
PARTS = ("computing", "storage", "scheduler", "stragglers", "publishing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run on paper."""

    tasks: int
    computing: float  # seconds of a core for a task
    traffic: float  # bytes that a task reads and writes
    scheduler: float  # seconds between two tasks that are handed out
    cores: int  # in all
    workers: int
    network: float  # bytes a second of a worker
    bucket: float  # bytes a second of all together
    spread: float
    publishing: float  # seconds at the end


def simulate(job: Job, seed: int = 0) -> float:
    """Seconds from the first task to the published index.

    Source: list scheduling on identical machines (R. L. Graham, "Bounds on Multiprocessing Timing Anomalies", 1969),
    here between two servers that take one task at a time: the scheduler before, the bucket after.
    """
    draw = random.Random(seed)
    transfer = job.traffic / (job.network * job.workers / job.cores)
    served = job.traffic / job.bucket
    free = [0.0] * min(job.cores, job.tasks)
    handed = bucket = 0.0
    for _ in range(job.tasks):
        handed = max(handed + job.scheduler, free[0])
        varied = draw.lognormvariate(-(job.spread**2) / 2, job.spread) if job.spread else 1.0
        bucket = max(bucket, handed) + served
        heapq.heapreplace(free, max(handed + (job.computing + transfer) * varied, bucket))
    return max(free) + job.publishing


def bottleneck(job: Job, total: float) -> tuple[str, dict[str, float]]:
    """What would shorten the run most if it cost nothing, and the seconds that each would save."""
    without = {
        "computing": replace(job, computing=0.0),
        "storage": replace(job, traffic=0.0),
        "scheduler": replace(job, scheduler=0.0),
        "stragglers": replace(job, spread=0.0),
        "publishing": replace(job, publishing=0.0),
    }
    saved = {name: total - simulate(one) for name, one in without.items()}
    return max(saved, key=lambda name: saved[name]), saved


def costs(results: Path) -> dict[str, float]:
    """Seconds of a core per byte of Arrow, and of the scheduler per task, as measured.

    Args:
        results: the folder with prepare.jsonl, load.jsonl and, where there is one, workers.jsonl.

    Raises:
        InvalidRequest: something was not measured.
    """
    prepared, loaded = read(results / "prepare.jsonl"), read(results / "load.jsonl")
    alone = {"case": "from the generator", "workers": 1}
    table = _find(loaded, case="Arrow table: log, whole", way="ailab_dataproc")
    workers = results / "workers.jsonl"
    tasks = [one.number("seconds_a_task") for one in read(workers)] if workers.exists() else []
    known = [one for one in tasks if one]
    return {
        "prepare, Parquet": _cost(_find(prepared, way="ours, Parquet, threads", **alone)),
        "prepare, both formats": _cost(_find(prepared, way="ours, both formats, threads", **alone)),
        "load": median(table.cpu_seconds) / (table.bytes or 0),
        "scheduler": median(known) if known else SCHEDULER,
    }


def _find(results: Iterable[Result], **wanted: Any) -> Result:
    for one in results:
        if one.typical and one.bytes and all(getattr(one, name) == value for name, value in wanted.items()):
            return one
    told = ", ".join(f"{name} {value!r}" for name, value in wanted.items())
    raise InvalidRequest(f"results: hold no measurement of {told}. Measure it: ailab-dataproc bench run prepare load.")


def _cost(one: Result) -> float:
    """Seconds for a byte of Arrow."""
    return (one.typical or 0) / (one.bytes or 1)


def main() -> int:
    """Simulate all, write, and print a table; returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cores", type=int, default=16, help="of a worker")
    options.add_argument("--network", type=float, default=1.25, help="GB/s of a worker (10 Gbit/s)")
    options.add_argument("--bucket", type=float, default=25, help="GB/s of all workers (200 Gbit/s)")
    options.add_argument("--results", type=Path, default=RESULTS, help="the folder of what was measured")
    options.add_argument("--output", type=Path, default=RESULTS / "model.jsonl")
    options.add_argument("--show", action="store_true", help="print the table of results that are there")
    asked = options.parse_args()
    try:
        results = read(asked.output) if asked.show else list(_all(asked))
        if not asked.show:
            write(results, asked.output)
    except AilabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(show(results))
    return 0


def _all(asked: argparse.Namespace) -> Iterator[Result]:
    found, marks = costs(asked.results), stamp(asked.results)
    what = {
        "prepare, Parquet": SOURCES + STORED["parquet"],
        "prepare, both formats": SOURCES + sum(STORED.values()),
        "load": STORED["parquet"],
    }
    for name, traffic in what.items():
        for size, count in SIZES.items():
            tasks = math.ceil(count / SHARD)
            for workers in WORKERS:
                job = Job(
                    tasks=tasks,
                    computing=found[name] * SHARD,
                    traffic=traffic * SHARD,
                    scheduler=found["scheduler"],
                    cores=workers * asked.cores,
                    workers=workers,
                    network=asked.network * 1e9,
                    bucket=asked.bucket * 1e9,
                    spread=SPREAD,
                    publishing=0 if name == "load" else tasks * (2 if "both" in name else 1) / PUBLISHED,
                )
                seconds = simulate(job)
                part, saved = bottleneck(job, seconds)
                told = {"on_paper": True, "efficiency": tasks * job.computing / (seconds * job.cores)}
                told |= {"what": name, "size": size, "bottleneck": part, "saved": saved, "assumed": asdict(job)}
                yield Result(
                    suite="model",
                    case=f"on paper: {name}, {size}",
                    way="simulated",
                    workers=workers,
                    rows=count // ROW,
                    bytes=count,
                    seconds=(seconds,),
                    extra=told,
                    **marks,
                )


def show(results: list[Result]) -> str:
    """The table of the README: time, efficiency and bottleneck."""
    cells = {(one.case, f"{one.workers} workers"): one for one in results}

    def cell(case: str, workers: str) -> str:
        one = cells.get((case, workers))
        if one is None or one.typical is None:
            return ""
        return f"{hours(one.typical)}, {one.extra['efficiency']:.0%} ({one.extra['bottleneck']})"

    cases, workers = (list(dict.fromkeys(key[at] for key in cells)) for at in (0, 1))
    return grid("nothing was run", cases, workers, cell)


if __name__ == "__main__":
    sys.exit(main())
