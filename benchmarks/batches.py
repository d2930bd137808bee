"""Iterate over the ad log in batches of 4,096 rows: rows/s, time to the first batch, a shuffled epoch, peak memory.

    python benchmarks/batches.py [--rows 8000000] [--rounds 3] [--output benchmarks/results/batches.jsonl]

Every measurement is a fresh process; imports are not what is measured, and each adds up a column, whose sum is checked.
What needs a Python call a row gets fewer rows: rows/s do not depend on it.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import fresh
import numpy as np
from machine import write_results

import ailab_dataproc as adp
from ailab_dataproc.report import peak_memory

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


ALL, PLAIN, SHUFFLED = tuple(CASES), ("numbers", "nulls and times", "all columns"), ("numbers", "numbers, shuffled")
# How it is iterated, on which cases, and at most how many rows.
ENGINES: dict[str, tuple[Callable[[str, str, int], Batches], tuple[str, ...], int]] = {
    "ours, numpy": (_ours("numpy"), ALL, 1 << 40),
    "ours, arrow": (_ours("arrow"), ALL, 1 << 40),
    "ours, torch": (_ours("torch"), SHUFFLED, 1 << 40),
    "ours, torch DataLoader": (_loader_of_batches, SHUFFLED, 1 << 40),
    "ours, tf": (_ours("tf"), ("numbers",), 1 << 40),
    "pyarrow iter_batches": (_pyarrow, PLAIN, 1 << 40),
    "polars iter_slices": (_polars, PLAIN, 1 << 40),
    "HF datasets": (_hugging_face(streaming=False), ALL, SOME),
    "HF datasets, streaming": (_hugging_face(streaming=True), PLAIN, SOME),
    "torch DataLoader of rows": (_loader_of_rows, SHUFFLED, FEW),
    "tfds.as_numpy": (_tfds(batched=False), PLAIN, FEW),
    "tfds.as_numpy, batched": (_tfds(batched=True), ("numbers",), FEW),
}
OURS = [name for name in ENGINES if name.startswith("ours")]
MEMORY = {"a half": 0.5, "the whole": 1.0}  # of the rows


def main() -> None:
    """Measure all ways in turns, and print a table."""
    options = fresh.parser("batches", __doc__, nargs=4, metavar=("ENGINE", "CASE", "ROWS", "FOLDER"))
    options.add_argument("--rows", type=int, default=8_000_000)
    asked = options.parse_args()
    if asked.one:
        engine, case, rows, work = asked.one
        measure = _memory if engine == "memory" else _speed
        print(json.dumps(measure(engine, case, int(rows), work)))
        return
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory(prefix="bench-batches-") as work:
        _prepare(work, asked.rows)
        results = _rounds(work, asked.rows, asked.rounds) + _memories(work, asked.rows)
    write_results(results, asked.output)
    _print(results)


def _prepare(work: str, rows: int) -> None:
    adp.prepare(LOG, data_dir=work, sources={"train": f"synthetic:rows={rows},seed=0"}, formats=("parquet",))
    few = {"train": f"synthetic:rows={min(rows, FEW)},seed=0"}
    adp.prepare(LOG, data_dir=f"{work}/tfrecord", sources=few, formats=("parquet", "tfrecord"))


def _rounds(work: str, rows: int, rounds: int) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for case in CASES:
            for engine, (_, cases, most) in ENGINES.items():
                if case in cases:
                    few = SOME if case == "all columns" else rows
                    run = fresh.measured(__file__, engine, case, min(rows, most, few), work)
                    found.setdefault((case, engine), []).append(run)
    return [_summary(case, engine, runs) for (case, engine), runs in found.items()]


def _summary(case: str, engine: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    return {"suite": "batches", "case": case, "engine": engine, **middle}


def _memories(work: str, rows: int) -> list[dict[str, Any]]:
    found = []
    for case in ("all columns", "numbers, shuffled"):
        for part, share in MEMORY.items():
            run = fresh.measured(__file__, "memory", case, int(rows * share), work)
            found.append({"suite": "batches", "case": case, "engine": "ours, numpy", "part": part, **run})
    return found


def _speed(engine: str, case: str, rows: int, work: str) -> dict[str, Any]:
    """Rows/s of an epoch, and seconds to its first batch, after one that loads what is imported."""
    batches = ENGINES[engine][0]
    for _ in islice(batches(work, case, FEW), 1):
        pass
    place = f"{work}/tfrecord" if engine.startswith("tfds") else work
    started = time.perf_counter()
    first, count, total = 0.0, 0, 0
    for batch in batches(work, case, rows):
        items = np.asarray(batch["item"])
        count, total = count + items.size, total + int(items.sum())
        first = first or time.perf_counter() - started
    seconds = time.perf_counter() - started
    wanted = adp.load(LOG, split=f"train[:{count}]", columns=["item"], backend="numpy", data_dir=place)["item"]
    if count < rows or total != int(wanted.sum()):
        raise SystemExit(f"{engine}, {case}: {count:,} rows with the sum {total:,}, wanted {int(wanted.sum()):,}")
    return {"rows": count, "seconds": seconds, "rows_per_second": count / seconds, "first": first}


def _memory(_: str, case: str, rows: int, work: str) -> dict[str, Any]:
    """What an epoch adds to the memory of a process that has iterated over a little."""
    format_ = "arrow" if case == "all columns" else "numpy"
    for _ in _ours(format_)(work, case, 1000):
        pass
    before = peak_memory()
    count = sum(len(batch["item"]) for batch in _ours(format_)(work, case, rows))
    return {"rows": count, "peak": peak_memory() - before}


def _print(results: list[dict[str, Any]]) -> None:
    print(f"{'case':18} {'engine':26} {'rows/s':>12} {'first batch ms':>15} {'ours is':>9}")
    speeds = [one for one in results if "seconds" in one]
    best = {one["case"]: one["rows_per_second"] for one in speeds if one["engine"] == "ours, numpy"}
    for one in speeds:
        times = best[one["case"]] / one["rows_per_second"]
        numbers = f"{one['rows_per_second']:12,.0f} {one['first'] * 1e3:15.1f} {times:7.1f} x"
        print(f"{one['case']:18} {one['engine']:26} {numbers}")
    for one in results:
        if "peak" in one:
            print(f"{one['case']:18} memory of {one['part']:10} {one['rows']:12,} rows {one['peak'] / 1e6:8.0f} MB")


if __name__ == "__main__":
    main()
