"""The planner decides from what is wanted and what is there, and its explanation is the decision."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

import ailab_dataproc as adp
from ailab_dataproc.backends import BACKENDS, backend
from ailab_dataproc.choosing import check_ladder, choose
from ailab_dataproc.dataset import column
from ailab_dataproc.errors import BackendRefused, InvalidRequest
from ailab_dataproc.sizing import Machine, Need

GB = 10**9
NEED = Need(
    rows=1000,
    bytes=GB,
    largest=GB // 10,
    shards=10,
    schema=pa.schema([column("x", pa.int64())]),
    columns={"x": GB},
)
BIG = Machine(memory=16 * GB, cpus=4)
SMALL = Machine(memory=2 * GB, cpus=4)
ALL = {name: backend(name) for name in BACKENDS}
LADDER = ("pandas", "dask")


def chosen(need=NEED, machine=BIG, asked="auto"):
    return choose(need, machine, ALL, asked=asked, ladder=LADDER).backend


def test_auto_takes_pandas_where_it_fits():
    assert chosen() == "pandas"


def test_auto_takes_dask_where_pandas_does_not_fit():
    assert chosen(machine=SMALL) == "dask"


def test_an_asked_backend_that_refuses_is_never_swapped():
    with pytest.raises(BackendRefused, match=r"backend 'pandas': needs 1\.\d GB .*half of the free memory is 1\.0 GB"):
        chosen(machine=SMALL, asked="pandas")


def test_auto_tells_all_refusals_where_none_fits():
    with pytest.raises(BackendRefused, match=r"none fits\. pandas: needs .*; dask: its largest shard needs"):
        chosen(replace(NEED, largest=GB), SMALL)


def test_the_same_need_and_machine_give_the_same_choice():
    assert choose(NEED, SMALL, ALL, asked="auto", ladder=LADDER) == choose(
        NEED, SMALL, ALL, asked="auto", ladder=LADDER
    )


def test_a_family_narrows_the_ladder():
    assert check_ladder(LADDER, "lazy", ALL) == ("dask",)
    with pytest.raises(InvalidRequest, match="wanted 'eager'"):
        check_ladder(LADDER, "quick", ALL)


def test_the_plan_says_why_in_text_table_and_dict(make, data_dir):
    make()
    plan = adp.plan("test/clicks", data_dir=data_dir, columns=["user"], backend="auto")
    assert "1 of" in str(plan)
    assert "-> pandas" in str(plan)
    assert "<td>pandas</td>" in plan._repr_html_()
    assert plan.to_dict()["backend"] == plan.backend == "pandas"
