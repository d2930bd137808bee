"""The same five checks by the framework and by pandera; and what checks cost a preparation.

    python benchmarks/checks.py [--scale small|medium|large] [--rounds 5] [--output benchmarks/results/checks.jsonl]

"five checks" reads five columns of the ad log's Parquet shards and looks at each row: a range, allowed values, nulls,
a regular expression, a text's length. The framework goes batch by batch, with what a preparation does in
its workers; pandera gets the whole frame of pandas or Polars, or of pandas a frame a shard. "prepare" makes the ad log
from Parquet files with one worker: without checks, with the five, and with two more that must know all rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from clock import WrongAnswer, clocked
from harness import Point, Suite, main

import ailab_dataproc as adp
from ailab_dataproc import catalog, checks, storage
from ailab_dataproc import schema as contract
from ailab_dataproc.fitting import fitted
from ailab_dataproc.preparation.checking import CHECKED, CheckWriter, read_tallies
from ailab_dataproc.preparation.job import Job
from ailab_dataproc.preparation.runs import read_arrow
from ailab_dataproc.preparation.tasks import Layout, Task
from ailab_dataproc.settings import load_settings

LOG = "products/ad_log/impressions"
COUNTRIES = ["JP", "US", "TW", "KR", "DE", "FR", "BR", "IN"]
FIVE = (
    checks.between("price", 0, 1_000_000),
    checks.one_of("country", COUNTRIES),
    checks.not_null("bid"),
    checks.matches("campaign", "[a-z_]+"),
    checks.length("query", 0, 200),
)
ALL_ROWS = (checks.unique("user", "timestamp", "item", level="warn"), checks.references("item", "bench/items:1.0.0"))
PREPARE = {"no checks": (), "five checks": FIVE, "seven checks, two over all rows": (*FIVE, *ALL_ROWS)}
COLUMNS = sorted({name for one in FIVE for name in one.columns})
FILES = 8


def points(_asked: argparse.Namespace) -> Iterator[Point]:
    """Each way of the two cases."""
    for way in WAYS:
        needs = ("pandera", way.split(", ")[1]) if way.startswith("pandera") else ()
        yield Point(case="five checks", way=way, needs=needs)
    for way in PREPARE:
        yield Point(case="prepare", way=f"ailab_dataproc, {way}", workers=1, given={"checks": way})


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """The log as Parquet files, and the items that it refers to."""
    source = {"train": f"synthetic:rows={asked.rows},seed=0", "test": "synthetic:rows=1,seed=1"}
    adp.prepare(LOG, data_dir=str(folder / "made"), sources=source, formats=("parquet",))
    step = -(-asked.rows // FILES)
    (folder / "files").mkdir()
    for number in range(FILES):
        split = f"train[{number * step}:{min((number + 1) * step, asked.rows)}]"
        table = adp.load(LOG, split=split, backend="arrow", data_dir=str(folder / "made"))
        pq.write_table(table, folder / "files" / f"{number}.parquet", row_group_size=131_072)
    pq.write_table(pa.table({"item": pa.array(range(20_000), pa.int32())}), folder / "items.parquet")
    items = adp.Dataset(
        name="bench/items",
        version="1.0.0",
        schema=pa.schema([adp.column("item", pa.int32())]),
        splits={"train": str(folder / "items.parquet")},
    )
    adp.prepare(items, data_dir=str(folder / "items"), formats=("parquet",))


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """Look at the rows once, or prepare them."""
    files = sorted((folder / "files").glob("*.parquet"))
    rows = sum(pq.read_metadata(one).num_rows for one in files)
    if point.case == "five checks":
        way = WAYS[point.way]
        return clocked(
            lambda: way(files), warm_up=lambda: way([folder / "files" / "0.parquet"]), check=_none, rows=rows
        )
    with tempfile.TemporaryDirectory(dir=folder) as work:
        for name in ("warm", "real"):
            Path(work, name, "bench").mkdir(parents=True)
            Path(work, name, "bench", "items").symlink_to(folder / "items" / "bench" / "items")
        given = PREPARE[point.given["checks"]]
        return clocked(
            lambda: _prepare(given, files, Path(work, "real")),
            warm_up=lambda: _prepare(given, files[:1], Path(work, "warm")),
            check=lambda found: _equal(found, rows),
            rows=rows,
        )


def _prepare(given: tuple[checks.Check, ...], files: list[Path], data_dir: Path) -> int:
    defined = catalog.find(LOG, load_settings())
    splits = {"train": [str(one) for one in files]}
    dataset = dataclasses.replace(defined, read=None, sources=None, splits=splits, checks=given)
    report = adp.prepare(dataset, data_dir=str(data_dir), formats=("parquet",), workers=1)
    return sum(report.rows.values())


def _equal(found: int, wanted: int) -> None:
    if found != wanted:
        raise WrongAnswer(f"{found:,} rows, wanted {wanted:,}")


def _none(failed: int) -> None:
    if failed:
        raise WrongAnswer(f"{failed:,} rows fail, wanted none")


def _ours(files: list[Path]) -> int:
    import cloudpickle

    schema = pa.schema([pq.read_schema(files[0]).field(name) for name in COLUMNS])
    given = fitted(FIVE, schema, ("train",), "bench")
    with tempfile.TemporaryDirectory() as stage:
        job = Job(
            dataset="bench",
            stage=storage.folder(stage),
            arrow_schema=contract.encode(schema),
            module=None,
            read=None,
            formats=("parquet",),
            layout=Layout(),
            splits=("train",),
            checks=cloudpickle.dumps(given),
        )
        for number, file in enumerate(files):
            writer = CheckWriter(job, Task("train", number, ()))
            row = 0
            for batch in pq.ParquetFile(file).iter_batches(65_536, columns=COLUMNS):
                writer.add("train", batch.select(COLUMNS), 0, np.arange(row, row + batch.num_rows))
                row += batch.num_rows
            writer.close()
        receipts = [read_arrow(one.read_bytes()) for one in Path(stage, CHECKED).iterdir()]
    return sum(one["train"].failed for receipt in receipts for one in read_tallies(receipt))


def _schema(module: Any, texts: Any) -> Any:
    check, column = module.Check, module.Column
    columns = {
        "price": column(None, check.in_range(0, 1_000_000)),
        "country": column(texts, check.isin(COUNTRIES)),
        "bid": column(None, nullable=False),
        "campaign": column(texts, check.str_matches("^[a-z_]+$")),
        "query": column(texts, check.str_length(0, 200)),
    }
    return module.DataFrameSchema(columns)


def _pandas(files: list[Path]) -> int:
    import pandas as pd
    import pandera.pandas as pandera

    _schema(pandera, None).validate(pd.read_parquet([str(one) for one in files], columns=COLUMNS), lazy=True)
    return 0  # what fails is raised


def _by_shard(files: list[Path]) -> int:
    for file in files:
        _pandas([file])
    return 0


def _polars(files: list[Path]) -> int:
    import pandera.polars as pandera
    import polars as pl

    _schema(pandera, pl.String).validate(pl.read_parquet(files, columns=COLUMNS), lazy=True)
    return 0


WAYS: dict[str, Callable[[list[Path]], int]] = {
    "ailab_dataproc": _ours,
    "pandera, pandas": _pandas,
    "pandera, pandas, a frame a shard": _by_shard,
    "pandera, polars": _polars,
}
SUITE = Suite(
    name="checks",
    file=__file__,
    about=__doc__,
    rows={"small": 100_000, "medium": 4_000_000, "large": 40_000_000},
    points=points,
    measure=measure,
    prepare=prepare,
    disk=300,
    memory=600,
)

if __name__ == "__main__":
    main(SUITE)
