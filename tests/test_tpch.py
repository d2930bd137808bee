"""Queries of TPC-H over prepared tables, on frames of several backends, against DuckDB's answers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import ailab_dataproc as adp
from ailab_dataproc.sizing import Machine

duckdb = pytest.importorskip("duckdb")
BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import tpch_data  # noqa: E402 - benchmarks are scripts, not a package
import tpch_queries  # noqa: E402

sys.path.remove(str(BENCHMARKS))
GPU = [pytest.mark.gpu, pytest.mark.skipif(not Machine.here().gpus, reason="no GPU visible")]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A folder with the raw tables of 60,000 lines and the prepared ones."""
    folder = tmp_path_factory.mktemp("tpch")
    tpch_data.generate(folder, 0.01, parts=3)
    tpch_data.prepare(folder, str(folder / "prepared"))
    return folder


@pytest.fixture(scope="module")
def answers(tables):
    with duckdb.connect() as sql:
        for table in tpch_data.TABLES:
            sql.execute(f"create view {table} as from read_parquet({tpch_data.files(tables, table)!r})")
        return {name: sql.execute(query).fetchall() for name, query in tpch_queries.SQL.items()}


@pytest.mark.parametrize(
    "backend",
    ["pandas", "dask", *(pytest.param(name, marks=GPU) for name in ("cudf", "dask_cudf"))],
)
@pytest.mark.parametrize("query", tpch_queries.QUERIES)
def test_a_query_gives_what_duckdb_gives(query, backend, tables, answers):
    def load(table, columns, filters=None):
        given = {"columns": columns, "filters": filters, "split": "train", "data_dir": str(tables / "prepared")}
        return adp.load(tpch_data.name(table), backend=backend, **given)

    found = tpch_queries.rows(tpch_queries.QUERIES[query](load))
    assert tpch_queries.differs(found, answers[query]) == ""


def test_an_answer_that_is_off_by_a_millionth_is_told():
    assert tpch_queries.differs([("A", 1.000001)], [("A", 1.0)]) == "row 0: 1.000001, wanted 1.0"
