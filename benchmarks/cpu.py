"""One machine: preparing and processing over 1 to all cores, by threads and by processes; speed-up and efficiency.

    python benchmarks/cpu.py [--scale small|medium|large] [--rows N] [--cores N] [--output benchmarks/results/cpu.jsonl]

A fresh process is bound to so many cores before anything is imported, so that every library sees just those. "prepare,
columnar" reads Parquet files of the ad log and writes Parquet shards; "prepare, Python rows" makes a quarter as
many rows with a `read` in plain Python, which holds the interpreter's lock. "group-by" loads seven
columns and sums five by one; "TPC-H q1" and "q9" are queries of benchmarks/tpch_queries.py, checked against DuckDB. The
small scale leaves out q9 and the processes of Dask.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tpch_data
import tpch_queries
from clock import Clock, WrongAnswer
from harness import Point, Suite, main

LOG = "products/ad_log/impressions"
COPY = "bench/log"
KEY = "country"
NUMBERS = ["price", "bid", "dwell_seconds", "user", "item"]
FILES = 16  # that are read; as many tasks
HEAVY = 4  # rows of plain Python are so many times fewer
LINES = 6_000_000  # of TPC-H lineitem at scale 1
GROUPING = ("pandas", "polars", "dask", "dask, processes")
QUERIES = ("q1", "q9")
_ANSWERS = "answers.json"


def options(parser: argparse.ArgumentParser) -> None:
    """How many cores."""
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="at most")


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """All ways over 1, 2, 4, … cores."""
    small = asked.scale == "small"
    steps = sorted({*(2**power for power in range(asked.cores.bit_length())), asked.cores})
    for cores in (one for one in steps if one <= asked.cores):
        for runner in ("threads", "processes"):
            yield Point(case="prepare, columnar", way=runner, workers=cores)
            yield Point(case="prepare, Python rows", way=runner, workers=cores)
        for way in GROUPING[:-1] if small else GROUPING:
            yield Point(case="group-by", way=way, workers=cores, needs=(way.split(",")[0],))
        for query in QUERIES[:1] if small else QUERIES:
            for way in ("pandas", "dask"):
                yield Point(case=f"TPC-H {query}", way=way, workers=cores, needs=("duckdb", way))


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """The ad log as plain Parquet files and prepared, TPC-H prepared, and what the queries must give."""
    import pyarrow.parquet as pq

    import ailab_dataproc as adp

    given = {"train": f"synthetic:rows={asked.rows},seed=0", "test": "synthetic:rows=1,seed=1"}
    adp.prepare(LOG, data_dir=str(folder), sources=given, formats=("parquet",))
    table = adp.load(LOG, split="train", backend="arrow", data_dir=str(folder))
    (folder / "files").mkdir()
    for number, cut in enumerate(adp.even_splits(LOG, FILES, split="train", data_dir=str(folder))):
        pq.write_table(
            adp.load(LOG, split=cut, backend="arrow", data_dir=str(folder)), folder / f"files/{number:02}.parquet"
        )
    sums = table.group_by(KEY).aggregate([(name, "sum") for name in NUMBERS]).sort_by(KEY).to_pylist()
    tpch_data.generate(folder / "tpch", asked.rows / LINES)
    tpch_data.prepare(folder / "tpch", str(folder))
    answers: dict[str, Any] = {
        "rows": asked.rows,
        "group-by": [[one[f"{name}_sum"] for name in NUMBERS] for one in sums],
    }
    answers |= tpch_data.answers(folder / "tpch", {query: tpch_queries.SQL[query] for query in QUERIES})
    (folder / _ANSWERS).write_text(json.dumps(answers))


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """Bind this process to its cores, then do one of the cases."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: point.workers])
    answers = json.loads((folder / _ANSWERS).read_text())
    if point.case.startswith("prepare"):
        return _preparing(point, folder, answers["rows"])
    if point.case == "group-by":
        return _grouping(point.way, point.workers or 1, folder, answers)
    return _query(point.way, point.case.removeprefix("TPC-H "), folder, answers)


def _preparing(point: Point, folder: Path, rows: int) -> dict[str, Any]:
    import ailab_dataproc as adp

    heavy = point.case == "prepare, Python rows"
    made = (_heavy_log if heavy else _copied_log)(folder, rows)
    work = tempfile.mkdtemp(dir=folder)
    try:
        adp.prepare(_heavy_log(folder, 0), data_dir=f"{work}/warm", runner="inline", formats=("parquet",))
        with Clock() as clock:
            report = adp.prepare(made, data_dir=work, runner=point.way, workers=point.workers, formats=("parquet",))
        found = sum(report.rows.values())
        size = adp.plan(made.name, split="train", data_dir=work).need.bytes
    finally:
        shutil.rmtree(work)
    wanted = FILES * max(rows // HEAVY // FILES, 1) if heavy else rows
    if found != wanted:
        raise WrongAnswer(f"{found} rows, wanted {wanted}")
    return clock.line(rows=found, bytes=size)


def _copied_log(folder: Path, rows: int) -> Any:
    import pyarrow.parquet as pq

    import ailab_dataproc as adp

    files = sorted(str(file) for file in (folder / "files").glob("*.parquet"))
    return adp.Dataset(name=COPY, version="1.0.0", schema=pq.read_schema(files[0]), splits={"train": files})


def _heavy_log(folder: Path, rows: int) -> Any:
    import pyarrow as pa

    import ailab_dataproc as adp

    each = max(rows // HEAVY // FILES, 1)

    def sources(split: str, text: str) -> list[Any]:
        return [adp.Source(f"{number}", split, identity=f"{text} {each}") for number in range(FILES)]

    def read(source: Any) -> Iterator[dict[str, Any]]:
        for number in range(each):
            digits = [int(digit) for digit in f"{number * 7919:012d}"]
            yield {"word": "-".join(map(str, sorted(digits))), "sum": sum(digits)}

    schema = pa.schema([adp.column("word", pa.string(), "sorted digits"), adp.column("sum", pa.int64(), "of digits")])
    return adp.Dataset(
        name="bench/heavy", version="1.0.0", schema=schema, splits={"train": "all"}, sources=sources, read=read
    )


def _grouping(way: str, cores: int, folder: Path, answers: dict[str, Any]) -> dict[str, Any]:
    import ailab_dataproc as adp

    backend, processes = way.split(",", maxsplit=1)[0], way.endswith("processes")
    given: dict[str, Any] = {"columns": [KEY, *NUMBERS], "backend": backend, "data_dir": str(folder)}
    client = _local_cluster(cores) if processes else None
    try:
        sums(adp.load(LOG, split="train[:1000]", **given))
        need = adp.plan(LOG, split="train", **given).need
        with Clock() as clock:
            found = sums(adp.load(LOG, split="train", **given))
    finally:
        if client:
            client.close()
    check_sums(found, answers["group-by"])
    return clock.line(rows=need.rows, bytes=need.bytes)


def _local_cluster(workers: int) -> Any:
    from distributed import Client

    return Client(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None)


def sums(frame: Any) -> Any:
    """The sums of all numbers by one column, in its order: a frame of pandas, a row a group."""
    if hasattr(frame, "group_by"):
        import polars as pl
        import polars.selectors as cs

        numbers = cs.by_name(NUMBERS)  # Polars adds in the column's own type, and int32 overflows
        wide = (numbers & cs.integer()).cast(pl.Int64).sum(), (numbers & cs.float()).cast(pl.Float64).sum()
        return frame.group_by(KEY).agg(*wide).sort(KEY).to_pandas().set_index(KEY)
    found = frame.groupby(KEY)[NUMBERS].sum()
    return (found.compute() if hasattr(found, "dask") else found).sort_index()


def check_sums(found: Any, wanted: list[list[Any]]) -> None:
    """Compare with what Arrow made of the same rows; float32 sums differ by the order of adding."""
    values = [tuple(map(float, row)) for row in found[NUMBERS].itertuples(index=False)]
    for mine, theirs in zip(values, wanted, strict=True):
        if any(abs(one - other) > 1e-4 * abs(other) for one, other in zip(mine, theirs, strict=True)):
            raise WrongAnswer(f"{mine}, wanted {theirs}")


def _query(way: str, query: str, folder: Path, answers: dict[str, Any]) -> dict[str, Any]:
    sizes: list[tuple[int, int]] = []
    load = tpch_data.loader(way, "train", str(folder), sizes)
    tpch_queries.QUERIES[query](tpch_data.loader(way, "train[:20]", str(folder)))
    with Clock() as clock:
        found = tpch_queries.QUERIES[query](load)
    if told := tpch_queries.differs(tpch_queries.rows(found), answers[query]):
        raise WrongAnswer(told)
    return clock.line(rows=sum(rows for rows, _ in sizes), bytes=sum(size for _, size in sizes))


SUITE = Suite(
    name="cpu",
    file=__file__,
    about=__doc__,
    rows={"small": 200_000, "medium": 4_000_000, "large": 40_000_000},
    points=points,
    measure=measure,
    prepare=prepare,
    options=options,
    rounds=3,
    disk=800,
    memory=500,
)

if __name__ == "__main__":
    main(SUITE)
