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
import json
import math
import random
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from machine import write_results

RESULTS = Path(__file__).parent / "results"
ROW = 123  # bytes of Arrow of a row of the ad log (results/prepare.jsonl)
SHARD = 128 * 10**6  # bytes of Arrow
STORED = {"parquet": 0.25, "tfrecord": 2.6}  # bytes in the bucket for a byte of Arrow
SOURCES = 1.0  # bytes of CSV that are read for a byte of Arrow
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


def costs() -> dict[str, float]:
    """Seconds of a core per byte of Arrow, and of the scheduler per task, as measured on this machine."""
    prepare = {one["way"]: one for one in _lines("prepare") if one.get("sources") == "log"}
    loads = [
        one for one in _lines("load") if (one["data"], one["case"], one["way"]) == ("log", "whole", "ailab_dataproc")
    ]
    load = next(one for one in loads if one["object"] == "Arrow table")
    scheduler = [one["seconds_a_task"] for one in _lines("workers") if "seconds_a_task" in one]
    return {
        "prepare, Parquet": 1 / (_median(prepare["Parquet, 1 thread"]["all"]) * ROW),
        "prepare, both formats": 1 / (_median(prepare["both formats, 1 thread"]["all"]) * ROW),
        "load": _median(load["cpu_seconds"]) / load["bytes"],
        "scheduler": _median(scheduler) if scheduler else 1 / 330,
    }


def main() -> None:
    """Simulate all, write, and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cores", type=int, default=16, help="of a worker")
    options.add_argument("--network", type=float, default=1.25, help="GB/s of a worker (10 Gbit/s)")
    options.add_argument("--bucket", type=float, default=25, help="GB/s of all workers (200 Gbit/s)")
    options.add_argument("--output", type=Path, default=RESULTS / "model.jsonl")
    asked = options.parse_args()
    results = list(_all(asked.cores, asked.network * 1e9, asked.bucket * 1e9))
    write_results(results, asked.output)
    print(f"On paper: {asked.cores} cores a worker, {asked.network} GB/s each, {asked.bucket} GB/s in all")
    print(f"{'what':22} {'size':>7} {'workers':>7} {'time':>9} {'efficiency':>10}  bottleneck")
    for one in results:
        told = f"{one['what']:22} {one['size']:>7} {one['workers']:7} {_clock(one['seconds']):>9}"
        print(f"{told} {one['efficiency']:10.0%}  {one['bottleneck']}")


def _all(cores: int, network: float, bucket: float) -> Iterator[dict[str, Any]]:
    found = costs()
    what = {
        "prepare, Parquet": SOURCES + STORED["parquet"],
        "prepare, both formats": SOURCES + sum(STORED.values()),
        "load": STORED["parquet"],
    }
    for name, traffic in what.items():
        for size, count in SIZES.items():
            tasks = math.ceil(count / SHARD)
            alone = tasks * found[name] * SHARD
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
                seconds = simulate(job)
                part, saved = bottleneck(job, seconds)
                yield {
                    "suite": "model",
                    "what": name,
                    "size": size,
                    "workers": workers,
                    "seconds": seconds,
                    "efficiency": alone / (seconds * job.cores),
                    "bottleneck": part,
                    "saved": saved,
                    "assumed": asdict(job),
                }


def _lines(suite: str) -> list[dict[str, Any]]:
    file = RESULTS / f"{suite}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _median(values: Any) -> float:
    return statistics.median(values) if isinstance(values, list) else float(values)


def _clock(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def told(results: list[Mapping[str, Any]]) -> str:
    """The table of the README."""
    head = "| on paper | size | " + " | ".join(f"{workers} workers" for workers in WORKERS) + " |"
    lines = [head, "| --- | --- |" + " --- |" * len(WORKERS)]
    for what in dict.fromkeys(one["what"] for one in results):
        for size in SIZES:
            each = [one for one in results if (one["what"], one["size"]) == (what, size)]
            cells = " | ".join(f"{_clock(one['seconds'])} ({one['bottleneck']})" for one in each)
            lines.append(f"| {what} | {size} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
