"""Dask workers: the same work over 1 to N of them, strong and weak scaling, and what a task costs; Beam beside.

    python benchmarks/workers.py [--scale small|medium|large] [--rows N] [--most N] [--output …/workers.jsonl]
    python benchmarks/workers.py --address tcp://host:8786 --folder /shared/bench    # a cluster that runs already

Workers are processes of one thread on this machine, started before the clock. "strong" has the same rows whatever the
number of workers, "weak" as many rows for each. "tasks" are functions that do nothing, submitted in one go: the seconds
of one are what the scheduler and the workers add to a task. "prepare" is that of the framework, by its Dask engine and
by Beam's runners; all must write the same shards. At an address the cluster is measured as it is, with all its workers.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cpu
from clock import Clock, WrongAnswer
from harness import Point, Suite, main

import ailab_dataproc as adp

TASKS = {"small": 400, "medium": 2000, "large": 10_000}
ENGINES = {"Dask workers": "dask", "Beam, threads": "threads", "processes": "processes"}


def options(parser: argparse.ArgumentParser) -> None:
    """How many workers, or which."""
    parser.add_argument("--most", type=int, default=max(2, len(os.sched_getaffinity(0))), help="workers at most")
    parser.add_argument("--address", help="of a scheduler; --folder must be one that its workers see")


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """All cases over 1, 2, 4, … workers."""
    counts = sorted({*(2**power for power in range(asked.most.bit_length())), asked.most})
    if asked.address:
        with adp.connect(asked.address) as client:
            counts = [len(client.scheduler_info(n_workers=-1)["workers"])]
    given = {"rows": asked.rows, "most": max(counts), "address": asked.address, "tasks": TASKS[asked.scale]}
    for count in (one for one in counts if one <= max(counts) and (asked.address or one <= asked.most)):
        for case in ("tasks", "group-by, strong", "group-by, weak"):
            yield Point(case=case, way="Dask workers", workers=count, given=given)
        for way in ENGINES:
            if way == "Dask workers" or not asked.address:
                yield Point(case="prepare, strong", way=way, workers=count, given=given)


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """The ad log, prepared; weak scaling reads a part of it."""
    source = {"train": f"synthetic:rows={asked.rows},seed=0", "test": "synthetic:rows=1,seed=1"}
    adp.prepare(cpu.LOG, data_dir=str(folder), sources=source, formats=("parquet",))


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """Connect to so many workers, then do one of the cases."""
    if point.case == "prepare, strong":
        return _prepare(point, folder)
    with _workers(point) as client:
        if point.case == "tasks":
            return _tasks(client, point.given["tasks"])
        return _group(point, folder)


@contextlib.contextmanager
def _workers(point: Point) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with contextlib.ExitStack() as stack:
        where: Any = point.given["address"] or stack.enter_context(
            LocalCluster(n_workers=point.workers, threads_per_worker=1, processes=True, dashboard_address=None)
        )
        client = stack.enter_context(adp.connect(where) if isinstance(where, str) else Client(where))
        client.wait_for_workers(point.workers or 1, timeout=120)
        client.run(_warm)
        yield client


def _warm() -> None:
    """Imports, in each worker."""
    import dask.dataframe

    import ailab_dataproc.preparation.pipeline  # noqa: F401

    dask.dataframe.from_dict({"a": [1, 1]}, npartitions=1).groupby("a").sum().compute(scheduler="sync")


def _tasks(client: Any, count: int) -> dict[str, Any]:
    client.gather(client.map(_nothing, range(100), pure=False))
    began = time.perf_counter()
    client.submit(_nothing, 0, pure=False).result()
    alone = time.perf_counter() - began
    with Clock() as clock:
        found = client.gather(client.map(_nothing, range(count), pure=False))
    if found != list(range(count)):
        raise WrongAnswer(f"{len(found)} answers, wanted {count}")
    return clock.line(rows=count, seconds_a_task=clock.seconds / count, seconds_alone=alone)


def _nothing(number: int) -> int:
    return number


def _group(point: Point, folder: Path) -> dict[str, Any]:
    rows, most = point.given["rows"], point.given["most"]
    part = rows if point.case.endswith("strong") else rows * (point.workers or 1) // most
    given: dict[str, Any] = {"columns": [cpu.KEY, *cpu.NUMBERS], "backend": "dask", "data_dir": str(folder)}
    cpu.sums(adp.load(cpu.LOG, split="train[:1000]", **given))
    split = f"train[:{part}]"
    need = adp.plan(cpu.LOG, split=split, **given).need
    with Clock() as clock:
        found = cpu.sums(adp.load(cpu.LOG, split=split, **given))
    table = adp.load(cpu.LOG, split=split, **(given | {"backend": "arrow"}))
    wanted = table.group_by(cpu.KEY).aggregate([(name, "sum") for name in cpu.NUMBERS]).sort_by(cpu.KEY).to_pylist()
    cpu.check_sums(found, [[one[f"{name}_sum"] for name in cpu.NUMBERS] for one in wanted])
    return clock.line(rows=need.rows, bytes=need.bytes)


def _prepare(point: Point, folder: Path) -> dict[str, Any]:
    """Generate and write the ad log; a cluster is up before the clock, Beam's runners start with it."""
    engine, work = ENGINES[point.way], tempfile.mkdtemp(dir=folder)
    source = {"train": f"synthetic:rows={point.given['rows']},seed=0", "test": "synthetic:rows=1,seed=1"}
    options: dict[str, Any] = {"runner": engine, "workers": point.workers}
    try:
        with _workers(point) if engine == "dask" else contextlib.nullcontext() as client:
            if client:
                options = {"runner": engine, "cluster": point.given["address"] or client.scheduler.address}
            with Clock() as clock:
                report = adp.prepare(cpu.LOG, data_dir=work, sources=source, formats=("parquet",), **options)
        bytes_ = adp.plan(cpu.LOG, split="train", data_dir=work).need.bytes
        told = _digest(Path(work))
    finally:
        shutil.rmtree(work)
    if told != _digest(folder):
        raise WrongAnswer("shards that differ from those of one thread")
    return clock.line(rows=report.rows["train"], bytes=bytes_)


def _digest(folder: Path) -> str:
    """Of all shards of a preparation."""
    files = sorted((folder / cpu.LOG / "1.0.0/parquet").glob("train-*.parquet"))
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


SUITE = Suite(
    name="workers",
    file=__file__,
    about=__doc__,
    rows={"small": 200_000, "medium": 4_000_000, "large": 40_000_000},
    points=points,
    measure=measure,
    prepare=prepare,
    options=options,
    rounds=3,
    disk=200,
    memory=300,
)

if __name__ == "__main__":
    main(SUITE)
