"""Plan a load of a dataset of 1,000,000 shards: seconds and peak memory of a fresh process, with and without a filter.

    python benchmarks/plan.py [--shards 1000000] [--rounds 3] [--output benchmarks/results/plan.jsonl]

The dataset has two formats and 15 columns. Only its manifest and its index are made, by the functions that `prepare`
writes them with: a plan reads nothing else. The peak is that of the whole process, imports included; the seconds are
those of `plan` after the imports, on the clock and (of all threads) on the processor. The cases take turns, so that a
noisy machine disturbs all alike.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import tempfile
import time
from typing import Any

import fresh
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from machine import write_results

import ailab_dataproc as adp
from ailab_dataproc import schema as contract
from ailab_dataproc import storage
from ailab_dataproc.dataset import column, describe_columns
from ailab_dataproc.manifest import INDEX, MANIFEST, Manifest
from ailab_dataproc.preparation.publishing import write_table
from ailab_dataproc.preparation.shards import ENDINGS, index_schema
from ailab_dataproc.preparation.statistics import bounded
from ailab_dataproc.report import peak_memory

NAME = "bench/many_shards"
ROWS = 100_000  # of a shard
SCHEMA = pa.schema(
    [
        column("hour", pa.timestamp("s", "UTC"), "grows from shard to shard"),
        column("user", pa.int64(), "personal, so without bounds", pii=True),
        *(column(f"number_{i}", pa.int64(), "any number") for i in range(6)),
        *(column(f"price_{i}", pa.float32(), "any number") for i in range(3)),
        *(column(f"word_{i}", pa.string(), "any text", nullable=True) for i in range(3)),
        column("items", pa.list_(pa.int32()), "a list, so without bounds"),
    ]
)
CASES: dict[str, dict[str, Any]] = {
    "2 columns, filter leaves 1 %": {"columns": ["number_0", "price_0"], "filters": True},
    "all columns, filter leaves 1 %": {"filters": True},
    "2 columns, 1 % by split": {"columns": ["number_0", "price_0"], "split": "train[:1%]"},
    "2 columns, all shards": {"columns": ["number_0", "price_0"]},
    "all columns, all shards": {},
}


def main() -> None:
    """Measure all cases in turns and print a table."""
    options = fresh.parser("plan", __doc__, nargs=3, metavar=("CASE", "SHARDS", "FOLDER"))
    options.add_argument("--shards", type=int, default=1_000_000)
    asked = options.parse_args()
    if asked.one:
        case, shards, work = asked.one
        print(json.dumps(measure(case, int(shards), work)))
        return
    with tempfile.TemporaryDirectory(prefix="bench-plan-") as work:
        make_version(work, asked.shards)
        results = _rounds(work, asked.shards, asked.rounds)
    write_results(results, asked.output)
    print(f"{'case':32} {'kept':>9} {'seconds':>8} {'of CPU':>8} {'peak MB':>8}")
    for one in results:
        times = f"{one['seconds']:8.2f} {one['cpu_seconds']:8.2f}"
        print(f"{one['case']:32} {one['kept']:9,} {times} {one['peak_memory'] / 1e6:8.0f}")


def make_version(data_dir: str, shards: int) -> None:
    """Write manifest and index of a version with so many shards in its split, and one more in its second."""
    folder = storage.folder(data_dir) / NAME / "1.0.0"
    splits = {"train": [ROWS] * shards, "test": [ROWS]}
    checksum = write_table(folder, INDEX, _index(splits))
    manifest = Manifest(
        name=NAME,
        version="1.0.0",
        fingerprint="none",
        parts={},
        arrow_schema=contract.encode(SCHEMA),
        columns=describe_columns(SCHEMA),
        splits=splits,
        formats=list(ENDINGS),
        bytes=dict.fromkeys(ENDINGS, 0),
        index_checksum=checksum,
    )
    folder.write(MANIFEST, manifest.model_dump_json(indent=2).encode())


def _index(splits: dict[str, list[int]]) -> pa.Table:
    """Rows in the order in which `prepare` writes them: by format, split and number."""
    schema = index_schema(SCHEMA)
    parts = [_part(kind, split, len(splits[split]), schema) for kind in sorted(ENDINGS) for split in sorted(splits)]
    return pa.concat_tables(parts).combine_chunks()


def _part(kind: str, split: str, shards: int, schema: pa.Schema) -> pa.Table:
    random = np.random.Generator(np.random.PCG64(0))
    base = f"{split}-" if kind == "parquet" else f"{NAME.rsplit('/', 1)[-1]}-{split}.tfrecord-"
    paths = [f"{kind}/{base}{i:05d}-of-{shards:05d}{'.parquet' * (kind == 'parquet')}" for i in range(shards)]
    columns = {
        "split": [split] * shards,
        "format": [kind] * shards,
        "shard": np.arange(shards, dtype=np.int32),
        "path": paths,
        "rows": np.full(shards, ROWS),
        "bytes": random.integers(5_000_000, 6_000_000, shards),
        "checksum": [f"sha256:{hashlib.sha256(path.encode()).hexdigest()}" for path in paths],
        "columns": _statistics(schema.field("columns").type, shards, random),
    }
    return pa.table(
        [pa.array(columns[one.name], one.type) if one.name != "columns" else columns[one.name] for one in schema],
        schema=schema,
    )


def _statistics(type_: pa.StructType, shards: int, random: np.random.Generator) -> pa.StructArray:
    arrays = []
    for one, declared in zip(type_, SCHEMA, strict=True):
        inner = {
            "bytes": pa.array(random.integers(400_000, 800_000, shards)),
            "nulls": pa.array(random.integers(0, 100, shards) * declared.nullable),
        }
        if bounded(declared):
            inner |= dict(zip(("min", "max"), _bounds(declared, shards, random), strict=True))
        arrays.append(pa.StructArray.from_arrays(list(inner.values()), fields=list(one.type)))
    return pa.StructArray.from_arrays(arrays, fields=list(type_))


def _bounds(declared: pa.Field, shards: int, random: np.random.Generator) -> tuple[pa.Array, pa.Array]:
    if pa.types.is_timestamp(declared.type):
        low = np.arange(shards) * 60
        return pa.array(low).cast(declared.type), pa.array(low + 59).cast(declared.type)
    low, high = random.random(shards), 1 + random.random(shards)
    if pa.types.is_string(declared.type):
        texts = [pc.cast(pa.array((one * 1e6).astype(np.int64)), pa.string()) for one in (low, high)]
        return texts[0], texts[1]
    scale = 2.0**40 if pa.types.is_integer(declared.type) else 100.0
    return (
        pa.array((low * scale).astype(declared.type.to_pandas_dtype())),
        pa.array((high * scale).astype(declared.type.to_pandas_dtype())),
    )


def _rounds(work: str, shards: int, rounds: int) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(rounds):
        for case in CASES:
            found.setdefault(case, []).append(fresh.measured(__file__, case, shards, work))
            print(f"round {number + 1} {case:32} {found[case][-1]['seconds']:.2f} s", file=sys.stderr)
    return [_summary(case, shards, runs) for case, runs in found.items()]


def _summary(case: str, shards: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "suite": "plan",
        "case": case,
        "shards": shards,
        "kept": runs[0]["kept"],
        "seconds": statistics.median(run["seconds"] for run in runs),
        "all": [run["seconds"] for run in runs],
        "cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs),
        "peak_memory": max(run["peak_memory"] for run in runs),
    }


def measure(case: str, shards: int, work: str) -> dict[str, Any]:
    """Plan once in this process."""
    asked = {"split": "train", "backend": "dask", "allow_pii": True, "data_dir": work} | CASES[case]
    if asked.get("filters"):
        hours = pa.array([shards * 60 * 99 // 100], pa.timestamp("s", "UTC"))
        asked["filters"] = [("hour", ">=", hours[0].as_py())]
    import dask.dataframe  # noqa: F401

    import ailab_dataproc.loading  # noqa: F401 - imports are not what is measured

    started, worked = time.perf_counter(), time.process_time()
    made = adp.plan(NAME, **asked)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - worked
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "kept": made.need.shards, "peak_memory": peak_memory()}


if __name__ == "__main__":
    main()
