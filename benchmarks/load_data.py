"""What the load benchmark reads: TPC-H lineitem and the ad log, prepared by ailab_dataproc, once large, once tiny."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tpch_data

import ailab_dataproc as adp

LOG = "products/ad_log/impressions"
LINEITEM = "bench/lineitem"
_TINY = 1000  # rows of what is loaded before the clock starts
_CASES = "cases.json"


@dataclass(frozen=True, slots=True)
class Data:
    """A dataset's columns, by what the cases do with them."""

    name: str
    three: tuple[str, ...]
    arrays: tuple[str, ...]  # numbers and times
    sorted: str  # a column whose smallest 1 % stand together
    unsorted: str  # a column whose smallest 1 % are everywhere
    check: tuple[str, str]  # a number and a time of `three`, which are compared with what was written


DATA = {
    "lineitem": Data(
        name=LINEITEM,
        three=("l_orderkey", "l_extendedprice", "l_shipdate"),
        arrays=(
            *("l_orderkey", "l_partkey", "l_suppkey", "l_linenumber", "l_quantity", "l_extendedprice"),
            *("l_discount", "l_tax", "l_shipdate", "l_commitdate", "l_receiptdate"),
        ),
        sorted="l_orderkey",
        unsorted="l_partkey",
        check=("l_extendedprice", "l_shipdate"),
    ),
    "log": Data(
        name=LOG,
        three=("timestamp", "item", "bid"),
        arrays=("timestamp", "user", "item", "position", "price", "bid", "dwell_seconds"),
        sorted="timestamp",
        unsorted="bid",
        check=("bid", "timestamp"),
    ),
}
CASES = ("whole", "3 columns", "1 %, sorted", "1 %, unsorted", "arrays")


@dataclass(frozen=True, slots=True)
class Job:
    """What one measurement loads."""

    name: str
    data_dir: str
    columns: tuple[str, ...] | None  # None: all
    filter: tuple[str, str, Any] | None
    check: tuple[str, str]

    @property
    def files(self) -> list[str]:
        """The prepared shards, in order."""
        found = (Path(self.data_dir) / self.name / "1.0.0/parquet").glob("train-*.parquet")
        return sorted(str(file) for file in found)


def make(work: Path, scale: float, rows: int) -> dict[str, int]:
    """Prepare both datasets, and write down what 1 % is and what must come out.

    Args:
        work: a folder.
        scale: of TPC-H; 1 is 6 M rows of lineitem.
        rows: of the ad log.

    Returns:
        Bytes of Parquet of each.
    """
    tpch_data.generate(work / "tpch", scale, ["lineitem"])
    sources = tpch_data.files(work / "tpch", "lineitem")
    tiny = work / "tiny.parquet"
    pq.write_table(pq.ParquetFile(sources[0]).read_row_group(0).slice(0, _TINY), tiny)
    for place, files, count in (("full", sources, rows), ("tiny", [str(tiny)], _TINY)):
        options: dict[str, Any] = {"data_dir": str(work / place), "formats": ("parquet",)}
        adp.prepare(tpch_data.dataset("lineitem", files, LINEITEM), **options)
        adp.prepare(
            LOG, sources={"train": f"synthetic:rows={count},seed=0", "test": "synthetic:rows=1,seed=1"}, **options
        )
    told = {f"{data} {case}": _expected(work, data, case) for data in DATA for case in CASES}
    (work / _CASES).write_text(json.dumps(told))
    return {name: sum(Path(file).stat().st_size for file in _files(work, one)) for name, one in DATA.items()}


def job(work: Path, data: str, case: str, *, tiny: bool = False) -> tuple[Job, dict[str, Any]]:
    """What a measurement loads, and what must come out."""
    told = json.loads((work / _CASES).read_text())[f"{data} {case}"]
    limit = told["limit"]
    if isinstance(limit, str):
        limit = datetime.fromisoformat(limit)
    one = DATA[data]
    columns, filtered = _case(one, case)
    place = str(work / ("tiny" if tiny else "full"))
    return Job(one.name, place, columns, (filtered, "<", limit) if filtered else None, one.check), told


def summary(number: Any, times: tuple[Any, Any]) -> dict[str, Any]:
    """What is compared: a sum, and the first and last time as microseconds since 1970, whatever holds them."""
    return {"sum": float(number), "low": _micros(times[0]), "high": _micros(times[1])}


def _micros(value: Any) -> int:
    value = value.as_py() if hasattr(value, "as_py") else value
    if not isinstance(value, np.datetime64):
        aware = getattr(value, "tzinfo", None)
        value = np.datetime64(value.astimezone(UTC).replace(tzinfo=None) if aware else value)
    return int(value.astype("datetime64[us]").astype(np.int64))


def _expected(work: Path, data: str, case: str) -> dict[str, Any]:
    """What a case comes to, by plain pyarrow; it also says where the smallest 1 % end."""
    one, limit = DATA[data], None
    columns, filtered = _case(one, case)
    table = pq.read_table(_files(work, one), columns=list(columns) if columns else None)
    if filtered:
        limit = _smallest(table[filtered])
        table = table.filter(pc.less(table[filtered], limit))
        limit = limit.as_py().isoformat() if pa.types.is_timestamp(limit.type) else limit.as_py()
    number, time = (table[name] for name in one.check)
    bounds = pc.min_max(time)
    told = summary(pc.sum(number).as_py(), (bounds["min"], bounds["max"]))
    return {"rows": len(table), "bytes": table.nbytes, "limit": limit, **told}


def _smallest(column: pa.ChunkedArray) -> pa.Scalar:
    """Where the smallest 1 % of a column end."""
    numbers = column.cast(pa.int64()) if pa.types.is_temporal(column.type) else column
    return pc.quantile(numbers, 0.01, interpolation="lower").cast(column.type)[0]


def _case(one: Data, case: str) -> tuple[tuple[str, ...] | None, str | None]:
    """The columns of a case (None: all), and the one that it filters by."""
    columns = {"3 columns": one.three, "arrays": one.arrays}.get(case)
    return columns, {"1 %, sorted": one.sorted, "1 %, unsorted": one.unsorted}.get(case)


def _files(work: Path, one: Data) -> list[str]:
    return Job(one.name, str(work / "full"), None, None, one.check).files
