"""Load the ad log with every backend: seconds, and peak memory over Arrow bytes (the planner's factors).

    python benchmarks/load.py [--rows 4000000] [--rounds 3] [--output benchmarks/results/load.jsonl]

Every measurement is a fresh process; what it had in memory before the load is taken off. Dask is computed to a frame.
"""

from __future__ import annotations

import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import fresh
from machine import write_results

import ailab_dataproc as adp
from ailab_dataproc.backends import BACKENDS
from ailab_dataproc.report import peak_memory

LOG = "products/ad_log/impressions"
CASES = {
    "all columns": None,
    "numbers": ["timestamp", "user", "item", "position", "price", "bid", "clicked"],
    "strings": ["campaign", "device", "country", "query", "referrer"],
}


def main() -> None:
    """Measure every backend on every case, in turns, and print a table."""
    options = fresh.parser("load", __doc__, nargs=3, metavar=("BACKEND", "CASE", "FOLDER"))
    options.add_argument("--rows", type=int, default=4_000_000)
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(_measure(*asked.one)))
        return
    with tempfile.TemporaryDirectory(prefix="bench-load-") as work:
        source = f"synthetic:rows={asked.rows},seed=0"
        adp.prepare(LOG, data_dir=work, sources={"train": source}, formats=("parquet",))
        results = _rounds(work, asked.rounds)
    write_results(results, asked.output)
    print(f"{'case':12} {'backend':8} {'seconds':>8} {'Arrow MB':>9} {'peak MB':>8} {'factor':>7}")
    for one in results:
        sizes = f"{one['bytes'] / 1e6:9.0f} {one['peak'] / 1e6:8.0f}"
        print(f"{one['case']:12} {one['backend']:8} {one['seconds']:8.2f} {sizes} {one['factor']:7.2f}")


def _rounds(work: str, rounds: int) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for case in CASES:
            for name in BACKENDS:
                found.setdefault((case, name), []).append(fresh.measured(__file__, name, case, work))
    return [_summary(case, name, runs) for (case, name), runs in found.items()]


def _summary(case: str, name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    middle = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "peak", "bytes", "rows")}
    return {"suite": "load", "case": case, "backend": name, **middle, "factor": middle["peak"] / middle["bytes"]}


def _measure(name: str, case: str, work: str) -> dict[str, Any]:
    selecting = {"split": "train", "columns": CASES[case], "data_dir": work, "nulls": "mask"}
    adp.load(LOG, **(selecting | {"split": "train[:1000]"}), backend=name)  # imports are not what is measured
    need = adp.plan(LOG, **selecting, backend=name).need
    before = _resident()
    started = time.perf_counter()
    frame = adp.load(LOG, **selecting, backend=name)
    if name == "dask":
        frame = frame.compute()
    seconds = time.perf_counter() - started
    rows = len(frame) if name != "numpy" else len(next(iter(frame.values())))
    if rows != need.rows:
        raise SystemExit(f"{name}: {rows:,} rows came back, the plan says {need.rows:,}")
    peak = peak_memory() - before
    return {"seconds": seconds, "peak": peak, "bytes": need.bytes, "rows": rows}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
