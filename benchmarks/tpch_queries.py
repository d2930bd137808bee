"""Queries 1, 3, 6 and 9 of TPC-H: the framework selects, the backend's own frames compute; and the same as SQL.

The frames may be pandas', Dask's, cuDF's or dask_cudf's: the code is the same. Rows and columns that a query doesn't
need are left out by `load`, which prunes shards and row groups. Parameters are the specification's validation values
(TPC-H 3.0.1, section 2.4).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

Load = Callable[..., Any]  # (table, columns, filters=None) -> a frame

_FIRST = datetime.date(1995, 3, 15)


def q1(load: Load) -> Any:
    """Pricing summary: eight aggregates of nearly all of lineitem by two flags."""
    keys = ["l_returnflag", "l_linestatus"]
    columns = [*keys, "l_quantity", "l_extendedprice", "l_discount", "l_tax"]
    lines = load("lineitem", columns, [("l_shipdate", "<=", datetime.date(1998, 9, 2))])
    lines["disc_price"] = lines.l_extendedprice * (1 - lines.l_discount)
    lines["charge"] = lines.disc_price * (1 + lines.l_tax)
    groups = lines.groupby(keys)
    sums = groups[["l_quantity", "l_extendedprice", "disc_price", "charge", "l_discount"]].sum()
    rows = groups.size()
    sums, rows = done(sums), done(rows)
    for name, of in (("avg_qty", "l_quantity"), ("avg_price", "l_extendedprice"), ("avg_disc", "l_discount")):
        sums[name] = sums[of] / rows
    sums["count_order"] = rows
    return sums.drop(columns="l_discount").reset_index().sort_values(keys)


def q3(load: Load) -> Any:
    """Shipping priority: three tables, the ten largest orders of a segment that had not been shipped."""
    customers = load("customer", ["c_custkey"], [("c_mktsegment", "==", "BUILDING")])
    columns = ["o_orderkey", "o_custkey", "o_orderdate", "o_shippriority"]
    orders = load("orders", columns, [("o_orderdate", "<", _FIRST)])
    lines = load("lineitem", ["l_orderkey", "l_extendedprice", "l_discount"], [("l_shipdate", ">", _FIRST)])
    lines["revenue"] = lines.l_extendedprice * (1 - lines.l_discount)
    orders = orders.merge(customers, left_on="o_custkey", right_on="c_custkey")
    joined = orders.merge(lines, left_on="o_orderkey", right_on="l_orderkey")
    keys = ["l_orderkey", "o_orderdate", "o_shippriority"]
    # Each order's lines stand together, so the groups are small: their sums are brought here as one frame.
    found = done(joined.groupby(keys)[["revenue"]].sum()).reset_index()
    return found.sort_values(["revenue", "o_orderdate"], ascending=[False, True]).head(10)


def q6(load: Load) -> Any:
    """Forecasting revenue change: one sum over about 2 % of lineitem."""
    wanted = [
        ("l_shipdate", ">=", datetime.date(1994, 1, 1)),
        ("l_shipdate", "<", datetime.date(1995, 1, 1)),
        ("l_discount", ">=", 0.05),
        ("l_discount", "<=", 0.07),
        ("l_quantity", "<", 24),
    ]
    lines = load("lineitem", ["l_extendedprice", "l_discount"], wanted)
    return done((lines.l_extendedprice * lines.l_discount).sum())


def q9(load: Load) -> Any:
    """Product type profit: six tables, a search in text, profit by nation and year."""
    parts = load("part", ["p_partkey", "p_name"])
    parts = parts[parts.p_name.str.contains("green", regex=False)][["p_partkey"]]
    suppliers = load("supplier", ["s_suppkey", "s_nationkey"])
    nations = load("nation", ["n_nationkey", "n_name"])
    costs = load("partsupp", ["ps_partkey", "ps_suppkey", "ps_supplycost"])
    orders = load("orders", ["o_orderkey", "o_orderdate"])
    columns = ["l_partkey", "l_suppkey", "l_orderkey", "l_quantity", "l_extendedprice", "l_discount"]
    lines = load("lineitem", columns).merge(parts, left_on="l_partkey", right_on="p_partkey")
    costs = costs.merge(parts, left_on="ps_partkey", right_on="p_partkey")[[*costs.columns]]
    lines = lines.merge(costs, left_on=["l_partkey", "l_suppkey"], right_on=["ps_partkey", "ps_suppkey"])
    suppliers = suppliers.merge(nations, left_on="s_nationkey", right_on="n_nationkey")
    lines = lines.merge(suppliers, left_on="l_suppkey", right_on="s_suppkey")
    lines = lines.merge(orders, left_on="l_orderkey", right_on="o_orderkey")
    lines["amount"] = lines.l_extendedprice * (1 - lines.l_discount) - lines.ps_supplycost * lines.l_quantity
    lines["o_year"] = lines.o_orderdate.dt.year
    found = done(lines.groupby(["n_name", "o_year"])[["amount"]].sum()).reset_index()
    return found.sort_values(["n_name", "o_year"], ascending=[True, False])


QUERIES: dict[str, Callable[[Load], Any]] = {"q1": q1, "q3": q3, "q6": q6, "q9": q9}

# By DuckDB over the files that tpchgen-cli wrote, with decimals; columns in the order of the frames above.
SQL = {
    "q1": """
        select l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice),
               sum(l_extendedprice * (1 - l_discount)), sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)),
               avg(l_quantity), avg(l_extendedprice), avg(l_discount), count(*)
        from lineitem where l_shipdate <= date '1998-09-02' group by all order by all""",
    "q3": """
        select l_orderkey, o_orderdate, o_shippriority, sum(l_extendedprice * (1 - l_discount)) as revenue
        from customer, orders, lineitem
        where c_mktsegment = 'BUILDING' and c_custkey = o_custkey and l_orderkey = o_orderkey
              and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15'
        group by all order by revenue desc, o_orderdate limit 10""",
    "q6": """
        select sum(l_extendedprice * l_discount) from lineitem
        where l_shipdate >= date '1994-01-01' and l_shipdate < date '1995-01-01'
              and l_discount between 0.05 and 0.07 and l_quantity < 24""",
    "q9": """
        select n_name, year(o_orderdate) as o_year,
               sum(l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity)
        from part, supplier, lineitem, partsupp, orders, nation
        where s_suppkey = l_suppkey and ps_suppkey = l_suppkey and ps_partkey = l_partkey and p_partkey = l_partkey
              and o_orderkey = l_orderkey and s_nationkey = n_nationkey and p_name like '%green%'
        group by all order by n_name, o_year desc""",
}


def done(frame: Any) -> Any:
    """A lazy frame computed; others as they are."""
    return frame.compute() if hasattr(frame, "dask") else frame


def rows(found: Any) -> list[tuple[Any, ...]]:
    """An answer as rows of plain values, whatever holds it."""
    if not hasattr(found, "columns"):
        return [(float(found),)]
    frame = found.to_pandas() if hasattr(found, "to_pandas") else found
    return [tuple(plain(value) for value in row) for row in frame.itertuples(index=False)]


def differs(found: Sequence[tuple[Any, ...]], wanted: Sequence[tuple[Any, ...]]) -> str:
    """Where two answers differ by more than the rounding of sums of float64; nothing where they agree."""
    if len(found) != len(wanted):
        return f"{len(found)} rows, wanted {len(wanted)}"
    for number, (mine, theirs) in enumerate(zip(found, wanted, strict=True)):
        for one, other in zip(mine, map(plain, theirs), strict=True):
            same = abs(one - other) <= 1e-9 * abs(other) if isinstance(other, float) else one == other
            if not same:
                return f"row {number}: {one!r}, wanted {other!r}"
    return ""


def plain(value: Any) -> Any:
    """Numbers as float, dates as text: engines differ in their types."""
    if isinstance(value, str):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()[:10]
    return float(value)
