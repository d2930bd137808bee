"""How preparing scales: with workers, for a `read` that is heavy Python, and with rows, in memory.

    python benchmarks/scaling.py [--rounds 3] [--output benchmarks/results/scaling.jsonl]

"workers": each source costs seconds of plain Python, which holds the interpreter's lock; 1 and 2 workers, threads and
processes, take turns. The start of Beam's worker processes is measured with sources that cost nothing, and told apart.
"memory": the ad log with 2 M and 20 M rows; the peak of the process is told, which should not grow with the rows.
Every measurement is a fresh process.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import fresh
import pyarrow as pa
from machine import write_results

import ailab_dataproc as adp
from ailab_dataproc.report import peak_memory

LOG = "products/ad_log/impressions"
SOURCES = 16
SCHEMA = pa.schema([adp.column("word", pa.string(), "counted down to"), adp.column("sum", pa.int64(), "of digits")])


def main() -> None:
    """Measure and print."""
    options = fresh.parser("scaling", __doc__, nargs="+")
    options.add_argument("--work", type=int, default=200_000, help="rows of each source of heavy Python")
    options.add_argument("--rows", type=int, nargs=2, default=(2_000_000, 20_000_000), help="for the memory")
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(ONE[asked.one[0]](*asked.one[1:])))
        return
    results = [*_workers(asked.rounds, asked.work), *_memory(asked.rows)]
    write_results(results, asked.output)
    for one in results:
        print({key: value for key, value in one.items() if key != "all"})


def _workers(rounds: int, work: int) -> Iterator[dict[str, Any]]:
    cases = [(runner, count, rows) for rows in (work, 1) for runner in ("threads", "processes") for count in (1, 2)]
    found: dict[tuple[str, int, int], list[float]] = {}
    for _ in range(rounds):
        for case in cases:
            found.setdefault(case, []).append(_fresh("workers", *case)["seconds"])
    for (runner, count, rows), seconds in found.items():
        start = statistics.median(found[runner, count, 1])
        yield {
            "suite": "scaling",
            "what": "heavy Python",
            "runner": runner,
            "workers": count,
            "rows": rows * SOURCES,
            "seconds": statistics.median(seconds),
            "seconds_without_start": statistics.median(seconds) - start,
            "all": seconds,
        }


def _memory(rows: tuple[int, int]) -> Iterator[dict[str, Any]]:
    for order in ("source", "shuffled"):
        for count in rows:
            yield {"suite": "scaling", "what": "memory", "order": order, **_fresh("memory", order, count)}


def _fresh(*case: Any) -> dict[str, Any]:
    result = fresh.measured(__file__, *case)
    print(case, result, file=sys.stderr)
    return result


def _one_workers(runner: str, workers: str, rows: str) -> dict[str, Any]:
    def sources(split: str, text: str) -> list[Any]:
        return [adp.Source(f"{number}", split, identity=text) for number in range(SOURCES)]

    def read(source: Any) -> Iterator[dict[str, Any]]:
        for number in range(int(rows)):
            digits = [int(digit) for digit in f"{number * 7919:012d}"]
            yield {"word": "-".join(map(str, sorted(digits))), "sum": sum(digits)}

    dataset = adp.Dataset(
        name="bench/heavy", version="1.0.0", schema=SCHEMA, splits={"train": rows}, sources=sources, read=read
    )
    return _timed(dataset, runner, int(workers), ("parquet",))


def _one_memory(order: str, rows: str) -> dict[str, Any]:
    from dataclasses import replace

    from ailab_dataproc import catalog
    from ailab_dataproc.settings import load_settings

    dataset = replace(catalog.find(LOG, load_settings()), order=order)
    given = {"train": f"synthetic:rows={rows},seed=0", "test": "synthetic:rows=1,seed=1"}
    return _timed(dataset, "threads", 2, ("parquet", "tfrecord"), given)


def _timed(
    dataset: Any, runner: str, workers: int, formats: tuple[str, ...], given: dict[str, str] | None = None
) -> dict[str, Any]:
    folder = tempfile.mkdtemp(prefix="bench-scaling-")
    try:
        started = time.perf_counter()
        done = adp.prepare(
            dataset, data_dir=folder, runner=runner, workers=workers, formats=formats, sources=given or {}
        )
        seconds = time.perf_counter() - started
    finally:
        shutil.rmtree(folder)
    return {"rows": sum(done.rows.values()), "seconds": seconds, "peak_memory": peak_memory()}


ONE = {"workers": _one_workers, "memory": _one_memory}

if __name__ == "__main__":
    main()
