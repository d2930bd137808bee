"""What the gpu suite does with frames: each case with its columns, its work, and what DuckDB says it must give.

The code of pandas' frames is Dask's, cuDF's and dask_cudf's too; that of Polars stands beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tpch_queries import done

LOG = "log"  # the table of the ad log; the others are TPC-H's
NUMBERS = ("price", "bid", "item")
TENSORS = "to tensors"
SPILLING = "spilling"
FILES, MEMORY = "from files", "in memory"  # where the rows are when the clock starts
Frames = Mapping[str, Any]  # by table


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that is measured, whatever holds the frames."""

    kind: str
    columns: Mapping[str, tuple[str, ...] | None]  # by table; None: all
    work: Callable[[Frames, Mapping[str, float]], Any]  # on frames, with the limits of filters
    answer: Callable[[Any], list[tuple[Any, ...]]]  # of what `work` returned; not timed
    sql: str  # the same, by DuckDB
    keep: float | None = None  # the part of the rows that `load` filters out by their bid
    cold: bool = False  # the files are put out of the system's memory before


def is_polars(frame: Any) -> bool:
    """Whether the other frames' code doesn't serve."""
    return hasattr(frame, "group_by")


def hold(frame: Any) -> Any:
    """All rows in memory; of a lazy frame, in that of its workers."""
    if not hasattr(frame, "dask"):
        return frame
    frame = frame.persist()
    distributed = sys.modules.get("distributed")
    if distributed is not None and distributed.futures_of(frame):  # on the workers of a cluster
        distributed.wait(frame)
    return frame


def _same(frames: Frames, limits: Mapping[str, float]) -> Any:
    (frame,) = frames.values()
    return frame


def _number(value: Any) -> float:
    return float(done(value))


def _held(frame: Any) -> list[tuple[Any, ...]]:
    return [(float(len(frame)), _number(frame["bid"].sum()))]


def _all_held(frame: Any) -> list[tuple[Any, ...]]:
    referrer = frame["referrer"]
    nulls = referrer.is_null() if is_polars(frame) else referrer.isna()
    return [(*_held(frame)[0], _number(nulls.sum()))]


def _filter(frames: Frames, limits: Mapping[str, float]) -> Any:
    frame = frames[LOG]
    chosen = frame["bid"] > limits["half"]
    return hold(frame.filter(chosen) if is_polars(frame) else frame[chosen])


def _countries(frames: Frames, limits: Mapping[str, float]) -> Any:
    frame = frames[LOG]
    if is_polars(frame):
        return frame.group_by("country").sum().sort("country")
    return done(frame.groupby("country")[["bid"]].sum()).sort_index().reset_index()


def _rows(frame: Any) -> list[tuple[Any, ...]]:
    frame = frame.to_pandas() if hasattr(frame, "to_pandas") else frame
    return [(str(row[0]), *map(float, row[1:])) for row in frame.itertuples(index=False)]


def _items(frames: Frames, limits: Mapping[str, float]) -> Any:
    frame = frames[LOG]
    if is_polars(frame):
        return frame.group_by("item").sum()
    return done(frame.groupby("item")[["bid"]].sum())


def _groups(frame: Any) -> list[tuple[Any, ...]]:
    return [(float(len(frame)), float(frame["bid"].sum()), float(frame["bid"].max()))]


def _join(frames: Frames, limits: Mapping[str, float]) -> Any:
    lines, orders = frames["lineitem"], frames["orders"]
    if is_polars(lines):
        return lines.join(orders, left_on="l_orderkey", right_on="o_orderkey")
    return hold(lines.merge(orders, left_on="l_orderkey", right_on="o_orderkey"))


def _joined(frame: Any) -> list[tuple[Any, ...]]:
    return [(float(len(frame)), *(_number(frame[name].sum()) for name in ("l_extendedprice", "o_totalprice")))]


def _strings(frames: Frames, limits: Mapping[str, float]) -> Any:
    """A search, lengths, and a search in what was made upper case."""
    frame = frames[LOG]
    query, referrer = frame["query"].str, frame["referrer"].str
    if is_polars(frame):
        upper = referrer.to_uppercase().str.contains("SITE9", literal=True)
        return query.contains("coat", literal=True).sum(), referrer.len_chars().sum(), upper.sum()
    upper = referrer.upper().str.contains("SITE9", regex=False)
    found = (query.contains("coat", regex=False).sum(), referrer.len().sum(), upper.sum())
    if hasattr(frame, "dask"):
        import dask

        return dask.compute(*found)
    return found


def _sort(frames: Frames, limits: Mapping[str, float]) -> Any:
    frame = frames[LOG]
    return frame.sort("bid") if is_polars(frame) else hold(frame.sort_values("bid"))


def _sorted(frame: Any) -> list[tuple[Any, ...]]:
    bids = done(frame["bid"])
    right = bids.is_sorted() if is_polars(frame) else bids.is_monotonic_increasing
    return [(*_held(frame)[0], float(bool(right)))]


def _tensors(frames: Frames, limits: Mapping[str, float]) -> Any:
    """A tensor for each column: on the GPU where there is one."""
    import numpy as np
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    frame = done(frames[LOG])
    on_gpu = type(frame).__module__.startswith("cudf")
    columns = [
        frame[name].values if on_gpu else np.require(frame[name].to_numpy(), requirements="W") for name in NUMBERS
    ]
    tensors = dict(zip(NUMBERS, (torch.as_tensor(column, device=device) for column in columns), strict=True))
    if device == "cuda":
        torch.cuda.synchronize()
    return tensors


def _summed(tensors: Any) -> list[tuple[Any, ...]]:
    return [(float(len(tensors["bid"])), float(tensors["bid"].sum()))]


_READ = "select count(*), sum(bid) from log"
CASES: dict[str, Case] = {
    "read, all columns": Case(
        kind=FILES,
        columns={LOG: None},
        work=_same,
        answer=_all_held,
        sql="select count(*), sum(bid), count(*) filter (referrer is null) from log",
    ),
    "read, 3 columns": Case(kind=FILES, columns={LOG: NUMBERS}, work=_same, answer=_held, sql=_READ),
    "read, 3 columns, from the disk": Case(
        kind=FILES, columns={LOG: NUMBERS}, work=_same, answer=_held, sql=_READ, cold=True
    ),
    "read, 1 % of the rows": Case(
        kind=FILES, columns={LOG: NUMBERS}, work=_same, answer=_held, sql=f"{_READ} where bid > {{few}}", keep=0.01
    ),
    TENSORS: Case(kind=FILES, columns={LOG: NUMBERS}, work=_tensors, answer=_summed, sql=_READ),
    "filter, half of the rows": Case(
        kind=MEMORY,
        columns={LOG: ("user", *NUMBERS)},
        work=_filter,
        answer=_held,
        sql=f"{_READ} where bid > {{half}}",
    ),
    "group-by, 8 countries": Case(
        kind=MEMORY,
        columns={LOG: ("country", "bid")},
        work=_countries,
        answer=_rows,
        sql="select country, sum(bid) from log group by all order by all",
    ),
    "group-by, 20,000 items": Case(
        kind=MEMORY,
        columns={LOG: ("item", "bid")},
        work=_items,
        answer=_groups,
        sql="select count(*), sum(bid), max(bid) from (select item, sum(bid) as bid from log group by all)",
    ),
    "join": Case(
        kind=MEMORY,
        columns={"lineitem": ("l_orderkey", "l_extendedprice"), "orders": ("o_orderkey", "o_totalprice")},
        work=_join,
        answer=_joined,
        sql="select count(*), sum(l_extendedprice), sum(o_totalprice) from lineitem, orders "
        "where l_orderkey = o_orderkey",
    ),
    "strings": Case(
        kind=MEMORY,
        columns={LOG: ("query", "referrer")},
        work=_strings,
        answer=lambda found: [tuple(map(float, found))],
        sql="select count(*) filter (contains(query, 'coat')), sum(length(referrer)), "
        "count(*) filter (contains(upper(referrer), 'SITE9')) from log",
    ),
    "sort": Case(
        kind=MEMORY,
        columns={LOG: ("bid", "user", "price")},
        work=_sort,
        answer=_sorted,
        sql="select count(*), sum(bid), 1.0 from log",
    ),
}
SPILLED = "select count(*), sum(bid) from log"
LIMITS = "select quantile_disc(bid, 0.99), quantile_disc(bid, 0.5) from log"
