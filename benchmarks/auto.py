"""Does backend="auto" take the right one after `calibrate.py`? Ten sizes, the last ones over the memory limit.

    python benchmarks/auto.py [--limit 1000] [--rounds 3] [--output benchmarks/results/auto.jsonl]

Every backend of the ladder is measured at every size by what `calibrate.py` does: load, and group by. Each measurement
is a fresh process whose own memory is limited (`ulimit -d`), so that a backend which takes too much fails, or is refused.
Then "auto" is asked, in such a process, with the calibration of this machine: right is a backend that didn't fail and
took at most 1.3 times the seconds of the fastest on the ladder.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import calibrate
import fresh
from machine import write_results

import ailab_dataproc as adp
from ailab_dataproc.errors import BackendRefused

SIZES = (1, 3, 10, 30, 60, 120, 240, 480, 960, 1440)  # MB as Arrow, with a limit of 1,000
LADDERS = (("pandas", "dask"), ("pandas", "polars", "dask"))
WITHIN = 1.3  # times the fastest
NOT_OURS = 150 * 10**6  # bytes that an interpreter with its libraries takes, beside the limit


def main() -> None:
    """Measure, ask, and print a table."""
    options = fresh.parser("auto", __doc__, nargs=4, metavar=("WHAT", "ROWS", "FOLDER", "BYTES"))
    options.add_argument("--limit", type=float, default=1000, help="MB of memory that a process may have")
    options.add_argument("--folder", help="where the data is made, or lies from an earlier run")
    asked = options.parse_args()
    if asked.one:
        what, rows, work, limit = asked.one
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit), int(limit)))
        print(json.dumps(_asked(what, int(rows), work) if "," in what else _measured(what, int(rows), work)))
        return
    with tempfile.TemporaryDirectory(prefix="bench-auto-") as temporary:
        work = asked.folder or temporary
        rows = calibrate.make(work, [size * asked.limit / 1000 for size in SIZES])
        results = _rounds(work, rows, int(asked.limit * 1e6) + NOT_OURS, asked.rounds)
    write_results(results, asked.output)
    print(table(results))


def _measured(name: str, rows: int, work: str) -> dict[str, Any]:
    try:
        return calibrate.measure(name, rows, work)
    except MemoryError:
        return {"refused": "out of memory"}


def _asked(ladder: str, rows: int, work: str) -> dict[str, Any]:
    os.environ["AILAB_AUTO"] = ladder
    try:
        plan = adp.plan(calibrate.LOG, split="train", columns=calibrate.COLUMNS, data_dir=calibrate.place(work, rows))
    except BackendRefused as error:
        return {"choice": None, "reason": str(error)}
    return {"choice": plan.backend, "reason": plan.choice.reason, "bytes": plan.need.bytes}


def _rounds(work: str, sizes: Sequence[int], limit: int, rounds: int) -> list[dict[str, Any]]:
    names = sorted({name for ladder in LADDERS for name in ladder})
    cases = [(name, rows) for rows in sizes for name in names]
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for number in range(rounds):
        for name, count in random.Random(number).sample(cases, len(cases)):
            runs.setdefault((name, count), []).append(_fresh(name, count, work, limit))
            print(f"round {number + 1} {name:8} {count:12,} rows {runs[name, count][-1]}", file=sys.stderr)
    return [
        _verdict(ladder, rows, runs, _fresh(",".join(ladder), rows, work, limit))
        for ladder in LADDERS
        for rows in sizes
    ]


def _fresh(what: str, rows: int, work: str, limit: int) -> dict[str, Any]:
    try:
        return fresh.measured(__file__, what, rows, work, limit)
    except subprocess.CalledProcessError as error:  # an engine that aborts when it gets no memory
        return {"refused": f"out of memory (exit code {error.returncode})"}


def _verdict(
    ladder: Sequence[str], rows: int, runs: Mapping[tuple[str, int], list[dict[str, Any]]], told: Mapping[str, Any]
) -> dict[str, Any]:
    seconds = {}
    for name in ladder:
        fine = [one["seconds"] for one in runs[name, rows] if "seconds" in one]
        seconds[name] = statistics.median(fine) if len(fine) == len(runs[name, rows]) else None
    able = [one for one in seconds.values() if one is not None]
    chosen = seconds.get(told["choice"]) if told["choice"] else None
    ratio = chosen / min(able) if chosen is not None else None
    right = ratio <= WITHIN if ratio is not None else told["choice"] is None and not able
    return {"suite": "auto", "ladder": ladder, "rows": rows, "seconds": seconds, "ratio": ratio, "right": right, **told}


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """A line a size and ladder."""
    lines = []
    for one in results:
        each = ", ".join(f"{name} {'fails' if s is None else f'{s:.3f} s'}" for name, s in one["seconds"].items())
        told = f"{one['choice']} ({one['ratio']:.2f} x)" if one["ratio"] else f"{one['choice']}"
        lines.append(f"{one['rows']:12,} rows  {'right' if one['right'] else 'WRONG'}  auto: {told:20}  {each}")
    right = sum(one["right"] for one in results)
    return "\n".join([*lines, f"{right} of {len(results)} right"])


if __name__ == "__main__":
    main()
