"""Plan a load of a dataset of 1,000,000 shards: seconds and peak memory of a fresh process, with and without a filter.

    python benchmarks/plan.py [--scale small|medium|large] [--rounds 3] [--output benchmarks/results/plan.jsonl]
    python benchmarks/plan.py --show    # the table of the README, from the results

The dataset has two formats and 15 columns, and shards of 100,000 rows: a scale's rows by that are its shards. Only its
manifest and its index are made, by the functions that `prepare` writes them with: a plan reads nothing else. The peak
is that of the whole process, imports included; the seconds are those of `plan` after the imports. How many shards
a plan keeps is checked.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from clock import WrongAnswer, clocked
from harness import Point, Suite, main
from results import Result
from shown import grid, seconds

import ailab_dataproc as adp
from ailab_dataproc import schema as contract
from ailab_dataproc import storage
from ailab_dataproc.columns import column, describe_columns
from ailab_dataproc.manifest import INDEX, MANIFEST, Manifest
from ailab_dataproc.preparation.publishing import write_table
from ailab_dataproc.preparation.shards import ENDINGS, index_schema
from ailab_dataproc.preparation.statistics import bounded
from ailab_dataproc.report import count_bytes

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
_PEAK = "peak memory"


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """All cases; nobody else plans."""
    shards = _shards(asked.rows)
    for case in CASES:
        yield Point(case=case, way="ailab_dataproc", needs=("dask",), extra="dask", given={"shards": shards})


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """Manifest and index."""
    make_version(str(folder), _shards(asked.rows))


def _shards(rows: int) -> int:
    return max(rows // ROWS, 1)


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
        "crc32c": random.integers(0, 1 << 32, shards) if kind == "parquet" else [None] * shards,
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


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """Plan once in this process."""
    shards = point.given["shards"]
    asked = {"split": "train", "backend": "dask", "allow_pii": True, "data_dir": str(folder)} | CASES[point.case]
    wanted = -(-shards // 100) if "filters" in asked or asked["split"] != "train" else shards
    if "filters" in asked:
        hours = pa.array([(shards - wanted) * 60], pa.timestamp("s", "UTC"))
        asked["filters"] = [("hour", ">=", hours[0].as_py())]
    import dask.dataframe  # noqa: F401

    import ailab_dataproc.loading  # noqa: F401 - imports are not what is measured

    def check(made: Any) -> None:
        if made.need.shards != wanted:
            raise WrongAnswer(f"{made.need.shards} shards, wanted {wanted}")

    found = clocked(lambda: adp.plan(NAME, **asked), check=check, rows=shards * ROWS)
    return found | {"extra": found["extra"] | {"kept": wanted}}


def show(results: list[Result]) -> str:
    """Seconds and peak memory by case."""
    by_case = {one.case: one for one in results}

    def cell(case: str, what: str) -> str:
        one = by_case[case]
        if one.typical is None or one.memory is None:
            return one.refused or ""
        kept = f"{int(one.number('kept') or 0):,} of {int(one.number('shards') or 0):,}"
        return {"shards": kept, "time": seconds(one.typical), _PEAK: count_bytes(int(one.memory))}[what]

    return grid("a plan", by_case, ("shards", "time", _PEAK), cell)


SUITE = Suite(
    name="plan",
    file=__file__,
    about=__doc__,
    rows={"small": 20_000 * ROWS, "medium": 1_000_000 * ROWS, "large": 4_000_000 * ROWS},
    points=points,
    measure=measure,
    prepare=prepare,
    show=show,
    rounds=3,
    disk=1000 / ROWS,  # for each shard
    memory=8000 / ROWS,  # while the index is made
)

if __name__ == "__main__":
    main(SUITE)
