"""On paper: how long 1 TB and 100 TB would take on 8, 64 and 512 workers. A model and a simulation; nothing was run.

    python benchmarks/model.py [--cores 16] [--network 1.25] [--bucket 25] [--output benchmarks/results/model.jsonl]

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from machine import stamp
from results import Result, by_case, read_all, write
from shown import hours
from spread import median

from ailab_dataproc.errors import AilabError, InvalidRequest

RESULTS = Path(__file__).parent / "results"
ROW = 123  # bytes of Arrow of a row of the ad log (results/prepare.jsonl)
SHARD = 128 * 10**6  # bytes of Arrow
STORED = {"parquet": 0.25, "tfrecord": 2.6}  # bytes in the bucket for a byte of Arrow
SOURCES = 1.0  # bytes of CSV that are read for a byte of Arrow
PUBLISHED = 600  # shards that are renamed in the bucket a second: 100 at a time, 0.1 s each, for two formats
SIZES = {"1 TB": 10**12, "100 TB": 10**14}
WORKERS = (8, 64, 512)
SPREAD = 0.3  # of a task's seconds: the standard deviation of their logarithm
TRAFFIC = {  # bytes that are read and written for a byte of Arrow
    "prepare, Parquet": SOURCES + STORED["parquet"],
    "prepare, both formats": SOURCES + sum(STORED.values()),
    "load": STORED["parquet"],
}
_MEASURED = {  # the suite, and what its line has
    "prepare, Parquet": ("prepare", {"kind": "log", "way": "ours, Parquet, threads", "workers": 1}),
    "prepare, both formats": ("prepare", {"kind": "log", "way": "ours, both formats, threads", "workers": 1}),
    "load": ("load", {"data": "log", "what": "whole", "way": "ailab_dataproc", "object": "Arrow table"}),
}


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


def costs(measured: Sequence[Result]) -> dict[str, float]:
    """Seconds of a core per byte of Arrow, and of the scheduler per task, as measured.

    Raises:
        InvalidRequest: one of them isn't among the results.
    """
    found = {name: _each_byte(measured, suite, wanted) for name, (suite, wanted) in _MEASURED.items()}
    missing = [name for name, one in found.items() if one is None]
    if missing:
        suites = sorted({_MEASURED[name][0] for name in missing})
        raise InvalidRequest(
            f"{RESULTS}: hold no seconds of {', '.join(missing)}, wanted one of each. "
            f"Measure: ailab-dataproc bench run {' '.join(suites)}."
        )
    tasks = [one.number("seconds_a_task") for one in measured if one.suite == "workers"]
    told = [one for one in tasks if one]
    return {name: one for name, one in found.items() if one} | {"scheduler": min(told) if told else 1 / 330}


def _each_byte(measured: Sequence[Result], suite: str, wanted: Mapping[str, Any]) -> float | None:
    for one in measured:
        fields = {"case": one.case, "way": one.way, "workers": one.workers, **one.extra}
        if one.suite == suite and one.bytes and one.typical and wanted.items() <= fields.items():
            work = median(one.cpu_seconds) if one.cpu_seconds and suite == "load" else one.typical
            return work / one.bytes
    return None


def main(arguments: list[str] | None = None) -> int:
    """Simulate all, write, and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--results", type=Path, default=RESULTS, help="of prepare, load and workers")
    options.add_argument("--cores", type=int, default=16, help="of a worker")
    options.add_argument("--network", type=float, default=1.25, help="GB/s of a worker (10 Gbit/s)")
    options.add_argument("--bucket", type=float, default=25, help="GB/s of all workers (200 Gbit/s)")
    options.add_argument("--output", type=Path, default=RESULTS / "model.jsonl")
    asked = options.parse_args(arguments)
    try:
        found = costs(read_all([asked.results])[0])
        results = list(simulated(found, asked.cores, asked.network * 1e9, asked.bucket * 1e9))
        write(results, asked.output)
    except AilabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"On paper: {asked.cores} cores a worker, {asked.network} GB/s each, {asked.bucket} GB/s in all\n")
    print(table(results))
    return 0


def simulated(
    found: Mapping[str, float], cores: int, network: float, bucket: float, sizes: Mapping[str, int] = SIZES
) -> Iterator[Result]:
    """A line for each work, size and number of workers; its seconds are no measurement.

    Args:
        found: see `costs`.
        cores: of a worker.
        network: bytes a second of a worker.
        bucket: bytes a second of all together.
        sizes: bytes as Arrow, by what they are called.
    """
    marks = stamp()
    for name, traffic in TRAFFIC.items():
        for size, count in sizes.items():
            tasks = math.ceil(count / SHARD)
            for workers in WORKERS:
                job = Job(
                    tasks=tasks,
                    computing=found[name] * SHARD,
                    traffic=traffic * SHARD,
                    scheduler=found["scheduler"],
                    cores=workers * cores,
                    workers=workers,
                    network=network,
                    bucket=bucket,
                    spread=SPREAD,
                    publishing=0 if name == "load" else tasks * (2 if "both" in name else 1) / PUBLISHED,
                )
                yield _line(f"{name}, {size}", count, job, marks)


def _line(case: str, count: int, job: Job, marks: Mapping[str, Any]) -> Result:
    seconds = simulate(job)
    part, saved = bottleneck(job, seconds)
    extra = {
        "on_paper": True,
        "efficiency": job.tasks * job.computing / (seconds * job.cores),
        "bottleneck": part,
        "saved": saved,
        "assumed": asdict(job),
    }
    told: dict[str, Any] = {"suite": "model", "case": case, "way": "on paper", "workers": job.workers, **marks}
    return Result(**told, rows=count // ROW, bytes=count, seconds=(seconds,), extra=extra)


def cell(one: Result) -> str:
    """The time, and what it would gain most from."""
    return f"{hours(one.typical or 0)} ({one.extra['bottleneck']})"


def table(results: Sequence[Result]) -> str:
    """A Markdown table: a line for each work and size."""
    workers = sorted({one.workers or 0 for one in results})
    lines = [f"| on paper | {' | '.join(f'{one} workers' for one in workers)} |", "| --- " * (len(workers) + 1) + "|"]
    for case, of in by_case(results):
        lines.append(f"| {case} | {' | '.join(map(cell, of))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
