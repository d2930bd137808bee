"""Iterate over the ad log in batches of 4,096 rows: rows/s, time to the first batch, a shuffled epoch, peak memory.

    python benchmarks/batches.py [--scale small|medium|large] [--rounds 3] [--output benchmarks/results/batches.jsonl]
    python benchmarks/batches.py --show    # the tables of the README, from the results

Each adds up a column, whose sum is checked. What needs a Python call a row gets fewer rows: rows/s do not depend on it.
"memory" is the peak of an epoch over a half and the whole of the rows above what the process had, in `grown`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from clock import Clock, WrongAnswer
from harness import Point, Suite, main
from results import Result
from shown import grid, seconds

import ailab_dataproc as adp
from ailab_dataproc.report import count_bytes, resident_memory

LOG = "products/ad_log/impressions"
SIZE = 4096
NUMBERS = ["user", "item", "position", "price", "bid", "clicked"]
CASES: dict[str, list[str] | None] = {
    "numbers": NUMBERS,
    "nulls and times": [*NUMBERS, "timestamp", "dwell_seconds"],
    "all columns": None,
    "numbers, shuffled": NUMBERS,
}
FEW = 20_000  # rows for those with a Python call a row, and of the TFRecord version
SOME = 250_000  # rows for Hugging Face, and for all columns
Batches = Iterator[Any]


def _ours(format_: str) -> Callable[[str, str, int], Batches]:
    def made(work: str, case: str, rows: int) -> Batches:
        shuffle = "shuffled" in case
        given = {"batch_size": SIZE, "format": format_, "nulls": "mask", "shuffle": shuffle, "data_dir": work}
        return iter(adp.batches(LOG, split=f"train[:{rows}]", columns=CASES[case], **given))

    return made


def _shards(work: str, rows: int) -> list[str]:
    """The files that hold so many rows, or a few more."""
    import pyarrow.parquet as pq

    files = sorted(str(one) for one in Path(work, LOG, "1.0.0", "parquet").glob("train-*.parquet"))
    return files[: -(-rows // pq.read_metadata(files[0]).num_rows)]


def _pyarrow(work: str, case: str, rows: int) -> Batches:
    import pyarrow.parquet as pq

    for file in _shards(work, rows):
        for batch in pq.ParquetFile(file, memory_map=True).iter_batches(SIZE, columns=CASES[case]):
            yield {name: batch[name].to_numpy(zero_copy_only=False) for name in batch.schema.names}


def _polars(work: str, case: str, rows: int) -> Batches:
    import polars as pl

    for file in _shards(work, rows):
        for batch in pl.read_parquet(file, columns=CASES[case]).iter_slices(SIZE):
            yield {name: batch[name].to_numpy() for name in batch.columns}


def _hugging_face(*, streaming: bool) -> Callable[[str, str, int], Batches]:
    def made(work: str, case: str, rows: int) -> Batches:
        import datasets

        files, cache = _shards(work, rows), f"{work}/hf"
        found = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache, streaming=streaming)
        if CASES[case]:
            found = found.select_columns(CASES[case])
        if "shuffled" in case:
            found = found.shuffle(seed=0)
        return iter(found.with_format("numpy").iter(batch_size=SIZE))

    return made


def _tfds(*, batched: bool) -> Callable[[str, str, int], Batches]:
    def made(work: str, case: str, rows: int) -> Batches:
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(f"{work}/tfrecord/{LOG}/1.0.0")
        columns = CASES[case]
        decoders = tfds.decode.PartialDecoding(dict.fromkeys(columns, True)) if columns else None
        given = {"split": "train", "decoders": decoders, "shuffle_files": False}
        return iter(tfds.as_numpy(builder.as_dataset(**given, batch_size=SIZE if batched else None)))

    return made


def _loader_of_rows(work: str, case: str, rows: int) -> Batches:
    """The usual way with torch: a dataset with ``__getitem__``, which the loader asks row by row."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    arrays = adp.load(LOG, split=f"train[:{rows}]", columns=CASES[case], backend="numpy", data_dir=work)
    dataset = TensorDataset(*(torch.from_numpy(np.array(one)) for one in arrays.values()))
    loader = DataLoader(dataset, batch_size=SIZE, shuffle="shuffled" in case)
    return (dict(zip(arrays, batch, strict=True)) for batch in loader)


def _loader_of_batches(work: str, case: str, rows: int) -> Batches:
    from torch.utils.data import DataLoader

    shuffle = "shuffled" in case
    given = {"batch_size": SIZE, "format": "torch", "nulls": "mask", "shuffle": shuffle, "data_dir": work}
    found = adp.batches(LOG, split=f"train[:{rows}]", columns=CASES[case], **given)
    return iter(DataLoader(found, batch_size=None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How it is iterated, on which cases, and at most how many rows."""

    batches: Callable[[str, str, int], Batches]
    cases: tuple[str, ...]
    most: int = 1 << 40
    needs: tuple[str, ...] = ()
    extra: str = "bench"


ALL, PLAIN, SHUFFLED = tuple(CASES), ("numbers", "nulls and times", "all columns"), ("numbers", "numbers, shuffled")
HF: dict[str, Any] = {"most": SOME, "needs": ("datasets",)}
TORCH: dict[str, Any] = {"needs": ("torch",), "extra": "torch"}
TFDS: dict[str, Any] = {"most": FEW, "needs": ("tensorflow", "tensorflow_datasets"), "extra": "tensorflow"}
WAYS: dict[str, Way] = {
    "ours, numpy": Way(batches=_ours("numpy"), cases=ALL),
    "ours, arrow": Way(batches=_ours("arrow"), cases=ALL),
    "ours, torch": Way(batches=_ours("torch"), cases=SHUFFLED, **TORCH),
    "ours, torch DataLoader": Way(batches=_loader_of_batches, cases=SHUFFLED, **TORCH),
    "ours, tf": Way(batches=_ours("tf"), cases=("numbers",), needs=("tensorflow",), extra="tensorflow"),
    "pyarrow iter_batches": Way(batches=_pyarrow, cases=PLAIN),
    "polars iter_slices": Way(batches=_polars, cases=PLAIN, needs=("polars",)),
    "HF datasets": Way(batches=_hugging_face(streaming=False), cases=ALL, **HF),
    "HF datasets, streaming": Way(batches=_hugging_face(streaming=True), cases=PLAIN, **HF),
    "torch DataLoader of rows": Way(batches=_loader_of_rows, cases=SHUFFLED, most=FEW, **TORCH),
    "tfds.as_numpy": Way(batches=_tfds(batched=False), cases=PLAIN, **TFDS),
    "tfds.as_numpy, batched": Way(batches=_tfds(batched=True), cases=("numbers",), **TFDS),
}
MEMORY = {"memory, all columns": "ours, arrow", "memory, numbers, shuffled": "ours, numpy"}
QUIET = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
QUIET |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
_FIRST = "first batch"


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """Every way on its cases, then the memory of ours over two sizes."""
    for case in CASES:
        for name, way in WAYS.items():
            take = min(asked.rows, way.most, SOME if case == "all columns" else asked.rows)
            if case in way.cases:
                yield Point(case=case, way=name, needs=way.needs, extra=way.extra, given={"take": take})
    for case, name in MEMORY.items():
        for rows in (max(asked.rows // 2, 1), asked.rows):
            yield Point(case=case, way=name, rows=rows, given={"take": rows})


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """The ad log, and a small one with TFRecord."""
    source = {"train": f"synthetic:rows={asked.rows},seed=0", "test": "synthetic:rows=1,seed=1"}
    adp.prepare(LOG, data_dir=str(folder), sources=source, formats=("parquet",))
    few = source | {"train": f"synthetic:rows={min(asked.rows, FEW)},seed=0"}
    adp.prepare(LOG, data_dir=str(folder / "tfrecord"), sources=few, formats=("parquet", "tfrecord"))


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """An epoch, after the first batch of one that loads what is imported."""
    os.environ |= QUIET
    batches, work, take = WAYS[point.way].batches, str(folder), point.given["take"]
    case = point.case.removeprefix("memory, ")
    for _ in islice(batches(work, case, min(take, FEW)), 1):
        pass
    first, rows, total = 0.0, 0, 0
    with Clock() as clock:
        before, started = resident_memory(), time.perf_counter()
        for batch in batches(work, case, take):
            items = np.asarray(batch["item"])
            rows, total = rows + items.size, total + int(items.sum())
            first = first or time.perf_counter() - started
    place = f"{work}/tfrecord" if point.way.startswith("tfds") else work
    told = {"split": f"train[:{rows}]", "data_dir": place}
    wanted = int(adp.load(LOG, columns=["item"], backend="numpy", **told)["item"].sum())
    if rows < take or total != wanted:
        raise WrongAnswer(f"{rows:,} rows with the sum {total:,}, wanted {take:,} or more and {wanted:,}")
    size = adp.plan(LOG, columns=CASES[case], backend="arrow", **told).need.bytes
    return clock.line(rows=rows, bytes=size, first=first, grown=clock.peak_memory - before)


def show(results: list[Result]) -> str:
    """Rows/s and the seconds to the first batch, then the memory."""
    speeds = {(one.way, one.case): one for one in results if one.case in CASES}
    memory = {(f"{one.case}: {one.way}", f"{one.rows:,} rows"): one for one in results if one.case in MEMORY}

    def cell(way: str, case: str) -> str:
        if case == _FIRST:
            one = speeds.get((way, "numbers"))
            first = one.number("first") if one else None
            return seconds(first) if first else ""
        one = speeds.get((way, case))
        return "" if one is None else _speed(one)

    def grown(case: str, rows: str) -> str:
        number = memory[case, rows].number("grown") if (case, rows) in memory else None
        return "" if number is None else count_bytes(int(number))

    cases = [case for case in CASES if any(case == of for _, of in speeds)]
    tables = [grid("rows/s", dict.fromkeys(way for way, _ in speeds), [*cases, _FIRST], cell)] if speeds else []
    if memory:
        tables.append(
            grid("peak", dict.fromkeys(case for case, _ in memory), dict.fromkeys(n for _, n in memory), grown)
        )
    return "\n\n".join(tables)


def _speed(one: Result) -> str:
    return f"{one.rows / one.typical / 1000:,.0f} k" if one.rows and one.typical else "refused"


SUITE = Suite(
    name="batches",
    file=__file__,
    about=__doc__,
    rows={"small": 200_000, "medium": 8_000_000, "large": 80_000_000},
    points=points,
    measure=measure,
    prepare=prepare,
    show=show,
    rounds=3,
    disk=100,  # Parquet, and HF's cache of some shards
    memory=50,  # torch's and TensorFlow's own take more than the rows
)

if __name__ == "__main__":
    main(SUITE)
