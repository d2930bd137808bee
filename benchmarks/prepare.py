"""Prepare the ad log with ailab_dataproc, plain pyarrow, Polars and TFDS's own Beam preparation, side by side.

    python benchmarks/prepare.py [--scale small|medium|large] [--rounds 3] [--output benchmarks/results/prepare.jsonl]
    python benchmarks/prepare.py --show    # the tables of the README, from the results

Sources: the built-in generator itself, or files of its rows, CSV (without lists) and Parquet. "dicts" gets them one by
one from a `read` that yields dicts, and a tenth of them; TFDS gets a sample: it is slow, and keeps all in memory.
"memory" prepares a half and five times the rows, to show how the peak grows. A fresh process first does the same with a
few rows (TFDS: imports only), so that imports are not counted; the start of Beam's workers is. Rows, and the sum of a
column of the Parquet files, are checked. The small scale takes Parquet sources only, and leaves "memory" out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from clock import Clock, WrongAnswer
from harness import Point, Suite, main
from prepare_ways import CHECK, FILES, KINDS, LOG, SCHEMA, TFDS, WAYS, Job, found
from results import Result
from shown import grid

import ailab_dataproc as adp
from ailab_dataproc.report import count_bytes

SOURCES = 8
SAMPLE, WARM = 20_000, 1000  # rows
MEMORY = {"memory, in order": "source", "memory, shuffled": "shuffled"}
BOTH_THREADS = "ours, both formats, threads"
_TOLD = "told.json"
_PEAK = "peak memory"


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """Every way for each kind of sources, by one worker and by all cores; then the memory over two sizes."""
    cores, small = len(os.sched_getaffinity(0)), asked.scale == "small"
    for kind, case in KINDS.items() if not small else [("parquet", KINDS["parquet"])]:
        for name, way in WAYS.items():
            counts = sorted({1, cores} if way.one else {cores}) if way.workers else [None]
            for workers in counts if kind in way.kinds else ():
                needs = {"needs": way.needs, "extra": way.extra}
                yield Point(case=case, way=name, workers=workers, given={"kind": kind}, **needs)
    for case, order in () if small else MEMORY.items():
        for rows in (max(asked.rows // 2, 1), asked.rows * 5):
            given = {"kind": "log", "order": order}
            yield Point(case=case, way=BOTH_THREADS, workers=cores, rows=rows, once=True, given=given)


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """The log as files: Parquet as it is, CSV without its lists; and what must come out."""
    made = str(folder / "made")
    source = {"train": f"synthetic:rows={asked.rows},seed=0", "test": "synthetic:rows=1,seed=1"}
    adp.prepare(LOG, data_dir=made, sources=source, formats=("parquet",))
    rows, step = asked.rows, -(-asked.rows // SOURCES)
    parts = {f"{number:02d}": (number * step, (number + 1) * step) for number in range(SOURCES)}
    parts |= {"tenth": (0, max(rows // 10, 1)), "sample": (0, min(SAMPLE, rows)), "warm": (0, min(WARM, rows))}
    told: dict[str, Any] = {"bytes": {}}
    for name, (start, stop) in parts.items():
        if start < rows:
            split = f"train[{start}:{min(stop, rows)}]"
            table = adp.load(LOG, split=split, backend="arrow", data_dir=made)
            told[name] = {"rows": len(table), "sum": sum(table[CHECK].to_numpy().tolist())}
            for kind in FILES:
                _write_source(table, folder / kind, f"{name}.{kind}")
    whole = [one for name, one in told.items() if name.isdecimal()]
    told["all"] = {key: sum(one[key] for one in whole) for key in ("rows", "sum")}
    for kind in KINDS:
        columns = _columns(table.schema) if kind == "csv" else None
        told["bytes"][kind] = adp.plan(LOG, split="train", columns=columns, data_dir=made).need.bytes
    (folder / _TOLD).write_text(json.dumps(told))
    shutil.rmtree(made)


def _columns(schema: pa.Schema) -> list[str]:
    """What CSV can hold."""
    return [one.name for one in schema if not pa.types.is_list(one.type)]


def _write_source(table: pa.Table, folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    if name.endswith(".csv"):
        table = table.select(_columns(table.schema))
        pa_csv.write_csv(table, folder / name)
    else:
        pq.write_table(table, folder / name, row_group_size=131_072)
    (folder / SCHEMA).write_bytes(table.schema.serialize().to_pybytes())


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """Prepare once into a folder of its own."""
    told, kind, way = json.loads((folder / _TOLD).read_text()), point.given["kind"], WAYS[point.way]
    wanted = told[way.part] if point.rows is None else {"rows": point.rows}
    with tempfile.TemporaryDirectory(dir=folder) as work:
        common = {"kind": kind, "folder": folder / kind, "workers": point.workers}
        common["order"] = point.given.get("order", "source")
        if way.warmed:
            way.begin(Job(part="warm", rows=told["warm"]["rows"], target=Path(work, "warm"), **common))()
        begin = way.begin(Job(part=way.part, rows=wanted["rows"], target=Path(work, "real"), **common))
        with Clock() as clock:
            rows = begin()
        made = {"rows": rows}
        if "sum" in wanted and point.way != TFDS:
            made = dict(zip(("rows", "sum"), found(Path(work, "real")), strict=True))
    if made["rows"] != wanted["rows"] or made.get("sum", wanted.get("sum")) != wanted.get("sum"):
        raise WrongAnswer(f"{made}, wanted {wanted}")
    return clock.line(rows=rows, bytes=told["bytes"][kind] * rows // told["all"]["rows"])


def show(results: list[Result]) -> str:
    """Rows/s by way and source with the largest peak of each way, and the peaks over the rows."""
    speeds = {(one.label, one.case): one for one in results if one.case not in MEMORY}
    peaks = {(one.case, f"{one.rows:,} rows"): one for one in results if one.case in MEMORY}

    def cell(label: str, case: str) -> str:
        if case == _PEAK:
            memory = [one.memory for (of, _), one in speeds.items() if of == label and one.memory]
            return count_bytes(int(max(memory))) if memory else ""
        return _speed(speeds.get((label, case)))

    def peak(case: str, rows: str) -> str:
        one = peaks.get((case, rows))
        return count_bytes(int(one.memory)) if one and one.memory else ""

    tables = []
    if speeds:
        tables.append(grid("rows/s", _firsts(speeds), [*_seconds(speeds), _PEAK], cell))
    if peaks:
        tables.append(grid(_PEAK, _firsts(peaks), _seconds(peaks), peak))
    return "\n\n".join(tables)


def _firsts(keys: Iterable[tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(first for first, _ in keys))


def _seconds(keys: Iterable[tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(second for _, second in keys))


def _speed(one: Result | None) -> str:
    if one is None:
        return ""
    return f"{one.rows / one.typical / 1000:,.0f} k" if one.rows and one.typical else "refused"


SUITE = Suite(
    name="prepare",
    file=__file__,
    about=__doc__,
    rows={"small": 200_000, "medium": 4_000_000, "large": 40_000_000},
    points=points,
    measure=measure,
    prepare=prepare,
    show=show,
    rounds=3,
    disk=2600,  # both formats of five times the rows, and the runs that are shuffled
    memory=200,
)

if __name__ == "__main__":
    main(SUITE)
