"""Load TPC-H lineitem and the ad log as every kind of object: each backend beside its peers on the same Parquet shards.

    python benchmarks/load.py [--scale 2] [--rows 4000000] [--rounds 3] [--output benchmarks/results/load.jsonl]
    python benchmarks/load.py --show    # the tables of the README, from the results

Every measurement is a fresh process that has done the same with 1,000 rows, so that imports aren't counted; the page
cache is warm. The ways take turns, in another order each round, so that a noisy machine disturbs all alike. What came
back is compared with what was written: rows, a sum, and the bounds of a time. "CPU" is the time of all threads. The
peak is that of the memory which the process holds itself, beside what it held before; mapped files aren't counted.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import fresh
from load_data import CASES, DATA, job, make
from load_ways import ONCE, OURS, WAYS, chosen, found
from machine import write_results

_POLL = 0.002  # seconds between two looks at the memory


def main() -> None:
    """Measure all ways in turns, and print a table."""
    options = fresh.parser("load", __doc__, nargs=5, metavar=("DATA", "CASE", "OBJECT", "WAY", "FOLDER"))
    options.add_argument("--scale", type=float, default=2, help="of TPC-H: 6 M rows of lineitem each")
    options.add_argument("--rows", type=int, default=4_000_000, help="of the ad log")
    options.add_argument("--objects", nargs="+", choices=list(WAYS), help="only these")
    options.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="only these")
    options.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA), help="only these")
    options.add_argument("--folder", type=Path, help="where the data is made, or lies from an earlier run")
    options.add_argument("--show", action="store_true", help="print the tables of results that are there")
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(measure(*asked.one)))
        return
    if not asked.show:
        with tempfile.TemporaryDirectory(prefix="bench-load-") as temporary:
            write_results(_run(asked, asked.folder or Path(temporary)), asked.output)
    print(tables([json.loads(line) for line in asked.output.read_text().splitlines()]))


def _run(asked: Any, work: Path) -> list[dict[str, Any]]:
    if not (work / "full").exists():
        print({"bytes of Parquet": make(work, asked.scale, asked.rows)}, file=sys.stderr)
    cases = [(data, *one) for data in asked.data for one in chosen(asked.objects, asked.cases)]
    runs: dict[tuple[str, ...], list[dict[str, Any]]] = {one: [] for one in cases}
    for number in range(asked.rounds):
        turn = [one for one in cases if not number or one[-1] not in ONCE]
        # In another order each time: what a process pays for fresh memory depends on what the one before gave back.
        for one in random.Random(number).sample(turn, len(turn)):
            last = fresh.measured(__file__, *one, work)
            runs[one].append(last)
            print(f"round {number + 1} {last['seconds']:7.2f} s {' | '.join(one)}", file=sys.stderr)
    results = [_summary(one, of) for one, of in runs.items()]
    for one in results:
        same = [two["seconds"] for two in results if all(one[key] == two[key] for key in ("data", "case", "object"))]
        one["ratio"] = one["seconds"] / min(same)
    return results


def _summary(one: tuple[str, ...], runs: list[dict[str, Any]]) -> dict[str, Any]:
    data, case, kind, way = one
    middle = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "cpu_seconds", "peak_memory")}
    return {
        "suite": "load",
        "data": data,
        "case": case,
        "object": kind,
        "way": way,
        "rows": runs[0]["rows"],
        "bytes": runs[0]["bytes"],
        **middle,
        "all": [run["seconds"] for run in runs],
    }


def measure(data: str, case: str, kind: str, way: str, work: str) -> dict[str, Any]:
    """Load once in this process."""
    tiny, _ = job(Path(work), data, case, tiny=True)
    full, told = job(Path(work), data, case)
    WAYS[kind][way](tiny)()
    load = WAYS[kind][way](full)
    with _Memory() as memory:
        started, worked = time.perf_counter(), time.process_time()
        result = load()
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - worked
    for key, value in found(kind, result, full).items():
        if not math.isclose(value, told[key], rel_tol=1e-6):
            raise SystemExit(f"{data}, {case}, {kind}, {way}: {key} is {value}, wanted {told[key]}")
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_memory": memory.peak,
        "rows": told["rows"],
        "bytes": told["bytes"],
    }


class _Memory:
    """The most memory of its own that the process held meanwhile, beside what it had, in bytes."""

    def __enter__(self) -> _Memory:
        self._before = self.peak = _anonymous()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.peak = max(self.peak, _anonymous()) - self._before

    def _look(self) -> None:
        while not self._done.wait(_POLL):
            self.peak = max(self.peak, _anonymous())


def _anonymous() -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024


def tables(results: list[dict[str, Any]]) -> str:
    """A Markdown table for each object: seconds of each way and case, and how many times the fastest; peak memory."""
    return "\n\n".join(_table(kind, results) for kind in WAYS if any(one["object"] == kind for one in results))


def _table(kind: str, results: list[dict[str, Any]]) -> str:
    mine = [one for one in results if one["object"] == kind]
    cases = list(dict.fromkeys((one["data"], one["case"]) for one in mine))
    lines = [f"| {kind} | {' | '.join(f'{data}, {case}' for data, case in cases)} |", "| --- " * (len(cases) + 1) + "|"]
    for way in dict.fromkeys(one["way"] for one in mine):
        of = {(one["data"], one["case"]): one for one in mine if one["way"] == way}
        shown = f"`{way}`" if way == OURS else way
        lines.append(f"| {shown} | {' | '.join(cell(of[case]) if case in of else '' for case in cases)} |")
    return "\n".join(lines)


def cell(one: dict[str, Any]) -> str:
    """A result in a table: seconds, times the fastest, and peak memory over the bytes as Arrow."""
    peak = f", {one['peak_memory'] / one['bytes']:.1f} x" if one["bytes"] > 1e8 else ""
    return f"{one['seconds']:.2f} s ({one['ratio']:.2f}){peak}"


if __name__ == "__main__":
    main()
