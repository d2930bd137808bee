"""GPUs beside the CPUs of the same machine: reading, frames in memory, TPC-H, spilling; GB/s against its limits.

    python benchmarks/gpu.py [--scale small|medium|large] [--gpus N] [--output benchmarks/results/gpu.jsonl]
    python benchmarks/gpu.py --cpu-only            # the ways on the CPUs alone, where there is no GPU
    bash benchmarks/gpu_node.sh pack|run FOLDER    # for a node without Beam, DuckDB or network

GB/s are Arrow bytes by seconds. Cases "read", "to tensors", "spilling" and TPC-H begin with the files, which are in the
memory of the system but for "from the disk"; the others begin with frames in memory. All do the same with few rows
first. `cudf` is as it is by itself; "memory pool" is with RMM's pool of half of the GPU; `dask_cudf` over 1, 2, 4, …
GPUs is the cluster of configs/clusters/gpu.yaml. `device_memory` is the peak of what was allocated on the GPUs
meanwhile. "spilling" keeps all rows, in a pool of a third of their size. The ways on GPUs have not been run: no GPU was
at hand.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpu_limits as limits
import tpch_data
import tpch_queries
from clock import Clock, WrongAnswer
from gpu_cases import CASES, FILES, SPILLING, TENSORS
from gpu_job import Job, query, shards, spill
from gpu_shown import show
from harness import Point, Suite, main

from ailab_dataproc.sizing import Machine

LINES = 6_000_000  # of TPC-H lineitem at scale 1
_ANSWERS = "answers.json"
_BLOCK = 1 << 30  # bytes that are copied to find a limit; fewer where there are few rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How frames are made and held."""

    name: str
    backend: str
    gpu: bool = True
    pool: bool = False  # RMM's, of half of the GPU
    ours: bool = True  # else the library's own read_parquet


CPU = tuple(Way(name=name, backend=name, gpu=False) for name in ("pandas", "polars", "dask"))
GPU = (
    Way(name="cudf", backend="cudf"),
    Way(name="cudf, memory pool", backend="cudf", pool=True),
    Way(name="dask_cudf, no cluster", backend="dask_cudf"),
)
CLUSTER = Way(name="dask_cudf", backend="dask_cudf")
PEERS = tuple(Way(name=f"{name}.read_parquet", backend=name, ours=False) for name in ("cudf", "dask_cudf"))


def options(parser: argparse.ArgumentParser) -> None:
    """What is measured on."""
    parser.add_argument("--cpu-only", action="store_true", help="leave the ways on GPUs out")
    parser.add_argument("--gpus", type=int, help="at most; default: all that are visible")


def lacks(asked: argparse.Namespace) -> str:
    """What is missing here, or nothing."""
    if asked.cpu_only:
        return ""
    machine = Machine.here()
    absent = [name for name in ("cudf", "dask_cudf", "dask_cuda") if importlib.util.find_spec(name) is None]
    found = [] if machine.gpus else [f"no GPU visible ({machine.no_gpu})"]
    if "cudf" in absent:
        found.append(f"not installed: {', '.join(absent)} (pip install 'ailab_dataproc[pandas,dask,gpu]')")
    return f"{'; '.join(found)}. The ways on the CPUs alone: --cpu-only." if found else ""


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """The limits, then every way of every case."""
    gpus = 0 if asked.cpu_only else len(Machine.here().gpus[: asked.gpus])
    return over(gpus, min(_BLOCK, max(1 << 24, 256 * asked.rows)))


def over(gpus: int, block: int) -> Iterator[Point]:
    """What is measured with some GPUs.

    Args:
        gpus: how many.
        block: bytes that are copied to find a limit.
    """
    for way in (*limits.ON_CPU, *(limits.ON_GPU if gpus else ())):
        yield Point(
            case=limits.CASE,
            way=way,
            needs=("cupy",) if way in limits.ON_GPU else (),
            extra="gpu",
            given={"block": block, "device": "gpu" if way in limits.ON_GPU else "cpu", "floor": True},
        )
    for case in CASES:
        for way in (*CPU, *(GPU if gpus else ())):
            yield _point(case, way)
        yield from _clusters(case, gpus)
        if gpus and CASES[case].kind == FILES and case != TENSORS:
            yield from (_point(case, way) for way in PEERS)
    for name in tpch_queries.QUERIES:
        for way in (*CPU, *(GPU if gpus else ())):
            if way.backend != "polars":  # its frames need queries of their own
                yield _point(f"TPC-H {name}", way)
        yield from _clusters(f"TPC-H {name}", gpus)
    yield from _spilling(gpus)


def _clusters(case: str, gpus: int) -> Iterator[Point]:
    """Over 1, 2, 4, … GPUs."""
    if case != TENSORS:  # they are wanted in one process
        for workers in sorted({*(2**power for power in range(gpus.bit_length())), gpus} - {0}):
            yield _point(case, CLUSTER, workers)


def _spilling(gpus: int) -> Iterator[Point]:
    yield from (_point(SPILLING, way) for way in CPU)
    if not gpus:
        return
    for way, workers in ((GPU[0], None), (CLUSTER, 1)):
        for third, name in ((False, "all on the GPU"), (True, "a pool of a third")):
            yield _point(SPILLING, way, workers, name=f"{way.name}, {name}", third=third)


def _point(case: str, way: Way, workers: int | None = None, *, name: str = "", third: bool = False) -> Point:
    modules = {"dask_cudf": ("dask_cudf", "dask_cuda") if workers else ("dask_cudf",)}.get(way.backend, (way.backend,))
    tensors = case == TENSORS
    given = {
        "backend": way.backend,
        "device": "gpu" if way.gpu else "cpu",
        "pool": way.pool,
        "third": third,
        "ours": way.ours,
        "kind": CASES[case].kind if case in CASES else case.split(maxsplit=1)[0],
        "limit": _limit(case, way.gpu),
    }
    return Point(
        case=case,
        way=name or way.name,
        workers=workers,
        needs=(*modules, "torch") if tensors else modules,
        extra=("dask,gpu" if way.gpu else way.backend) + (",torch" if tensors else ""),
        given=given,
    )


def _limit(case: str, gpu: bool) -> str | None:
    """What a way of a case can't outrun."""
    if case not in CASES:
        return None
    if CASES[case].cold:
        return limits.DISK
    on_gpu = limits.PINNED if CASES[case].kind == FILES else limits.DEVICE
    return on_gpu if gpu else limits.HOST


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """The ad log and TPC-H, prepared, and what the cases must give, by DuckDB; a node with a GPU needs no more."""
    import duckdb
    from gpu_cases import LIMITS, LOG, SPILLED

    import ailab_dataproc as adp

    given = {"train": f"synthetic:rows={asked.rows},seed=0", "test": "synthetic:rows=1,seed=1"}
    adp.prepare("products/ad_log/impressions", data_dir=str(folder), sources=given, formats=("parquet",))
    raw = folder / "tpch-raw"
    tpch_data.generate(raw, asked.rows / LINES)
    tpch_data.prepare(raw, str(folder))
    answers: dict[str, Any] = dict(tpch_data.answers(raw, tpch_queries.SQL))
    with duckdb.connect() as sql:
        for table, files in ((LOG, shards(folder)), *((one, tpch_data.files(raw, one)) for one in tpch_data.TABLES)):
            sql.execute(f"create view {table} as from read_parquet({[str(file) for file in files]!r})")
        found = sql.execute(LIMITS).fetchone()
        told = dict(zip(("few", "half"), found or (), strict=True))
        for name, text in {SPILLING: SPILLED, **{name: case.sql for name, case in CASES.items()}}.items():
            rows = sql.execute(text.format(**told)).fetchall()
            answers[name] = [[tpch_queries.plain(value) for value in row] for row in rows]
    shutil.rmtree(raw)
    (folder / _ANSWERS).write_text(json.dumps({"limits": told, "answers": answers}))


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """One way of one case in this process."""
    if point.case == limits.CASE:
        return limits.measure(point.way, point.given["block"], shards(folder))
    told = json.loads((folder / _ANSWERS).read_text())
    name = point.case.removeprefix("TPC-H ")
    job = Job(point=point, folder=folder, limits=told["limits"])
    run = {SPILLING: spill}.get(name, query if name in tpch_queries.QUERIES else Job.run)
    clock = Clock()
    found, size, extra = run(job, clock)
    if wrong := tpch_queries.differs(found, [tuple(row) for row in told["answers"][name]]):
        raise WrongAnswer(wrong)
    return clock.line(rows=size[0], bytes=size[1], **extra)


SUITE = Suite(
    name="gpu",
    file=__file__,
    about=__doc__,
    rows={"small": 500_000, "medium": 10_000_000, "large": 60_000_000},
    points=points,
    measure=measure,
    prepare=prepare,
    options=options,
    lacks=lacks,
    show=show,
    rounds=3,
    disk=300,
    memory=700,
)

if __name__ == "__main__":
    main(SUITE)
