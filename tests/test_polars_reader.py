"""Whole shards are read by Polars itself: with the values of Arrow's reader, and never from other bytes."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from dataclasses import replace
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ailab_dataproc.backends import few
from ailab_dataproc.backends.polars import Polars
from ailab_dataproc.backends.polars_reader import read_whole, to_polars
from ailab_dataproc.backends.shards import read_table
from ailab_dataproc.columns import column
from ailab_dataproc.errors import DamagedData
from ailab_dataproc.loading import load, plan
from ailab_dataproc.testing import edge_cases, prepare_tables
from ailab_dataproc.testing.tables import assert_same

NAME = "testing/tables"
NUMBERS = pa.schema([column("number", pa.int64(), "made up"), column("text", pa.string(), "made up")])
POLARS = {"backend": "polars", "split": "train"}


@pytest.fixture
def numbers(tmp_path):
    tables = [
        pa.table([range(first, first + 1000), [f"text {i % 7}" for i in range(1000)]], schema=NUMBERS)
        for first in range(0, 12_000, 1000)
    ]
    prepare_tables(tmp_path, {"train": tables})
    return tmp_path


@pytest.mark.parametrize("name", edge_cases().schema.names)
def test_a_column_alone_in_its_shards_keeps_type_values_and_order(tmp_path, name):
    table = edge_cases().select([name])
    prepare_tables(tmp_path, {"train": [table, table.slice(0, 0), table.slice(2)]})
    found = load(NAME, data_dir=str(tmp_path), **POLARS)
    assert found.schema == to_polars(table, table.schema).schema
    assert_same(Polars().to_arrow(found, table.schema), pa.concat_tables([table, table.slice(2)]))


def test_rows_stand_in_the_order_of_many_shards(numbers):
    assert load(NAME, data_dir=str(numbers), **POLARS)["number"].to_list() == list(range(12_000))


@pytest.mark.parametrize(
    ("selecting", "whole"),
    [
        ({}, True),
        ({"columns": ["text", "number"]}, True),
        ({"split": "train[:50%]"}, True),
        ({"split": "train[10:]"}, False),
        ({"filters": [("number", ">", 10)]}, True),
        ({"filters": [[("number", "in", [10, 20])], [("text", "is", None)]]}, True),
        ({"filters": pc.field("number") > 10}, False),
        ({"filters": [("number", "in", [10, None])]}, False),
        ({"sample": 10}, False),
        ({"limit": 10, "filters": [("number", ">", 10)]}, False),
    ],
)
def test_polars_reads_whole_shards_only_and_filters_that_it_understands(numbers, selecting, whole):
    selection = plan(NAME, data_dir=str(numbers), **POLARS | selecting).selection
    assert (read_whole(selection) is not None) == whole


TIMES = [datetime(2021, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, 0, 0, 0, 1, tzinfo=UTC), None]
VALUES = {
    "int8": pa.array([-128, 0, 127, None], pa.int8()),
    "uint64": pa.array([0, 2**63, 2**64 - 1, None], pa.uint64()),
    "float32": pa.array([0.1, -0.0, 0.0, math.nan, math.inf, None], pa.float32()),
    "float64": pa.array([3.0, math.nan, -math.inf, -math.nan, None], pa.float64()),
    "bool": pa.array([True, False, None]),
    "text": pa.array(["", "a", "ab", "ä", "\U0001f600", "\ufb01", None]),
    "day": pa.array([date(1969, 12, 31), date(2021, 1, 1), None]),
    "time": pa.array(TIMES, pa.timestamp("us", "UTC")),
    "nanoseconds": pa.array([1_609_459_200_000_000_001, 1_609_459_200_000_000_002, None], pa.timestamp("ns")),
    "milliseconds": pa.array(TIMES[::2], pa.timestamp("ms", "Europe/Berlin")),
}


@pytest.mark.parametrize("kind", VALUES)
def test_polars_keeps_the_rows_that_arrow_keeps(tmp_path, kind):
    values = VALUES[kind]
    schema = pa.schema([column("value", values.type, "made up", nullable=True), column("row", pa.int64(), "made up")])
    alone = [pa.concat_arrays([one] * 3) for one in (values.slice(i, 1) for i in range(len(values)))]
    tables = [pa.table([one, pa.array(range(len(one)))], schema=schema) for one in (values, *alone)]
    prepare_tables(tmp_path, {"train": tables})
    known = values.drop_null()
    asked = [[("value", op, None)] for op in ("is", "is not")]
    asked += [[("value", op, one)] for op in ("==", "!=", "<", "<=", ">", ">=") for one in known]
    asked += [[("value", op, known[:count])] for op in ("in", "not in") for count in (0, 1, len(known))]
    asked += [[[("value", "<", known[0])], [("value", ">=", known[-1]), ("row", ">", 0)]]]
    for filters in asked:
        found, wanted = (
            load(NAME, split="train", data_dir=str(tmp_path), filters=filters, backend=one)
            for one in ("polars", "arrow")
        )
        assert_same(Polars().to_arrow(found, schema), wanted)
    selections = [plan(NAME, data_dir=str(tmp_path), **POLARS, filters=one).selection for one in asked]
    assert sum(read_whole(one) is not None for one in selections) >= (
        10 if kind.startswith("float") else len(asked) / 2
    )


@pytest.mark.parametrize("filters", [None, [("number", "<", 3_500)]])
def test_no_byte_of_a_page_or_a_header_may_be_another(numbers, filters):
    shard = sorted(numbers.rglob("train-*.parquet"))[3]
    content = shard.read_bytes()
    for place in range(4, len(content) - 8, len(content) // 12):
        shard.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        with pytest.raises(DamagedData, match=shard.name):
            load(NAME, data_dir=str(numbers), filters=filters, **POLARS)


def test_shards_whose_crc32c_is_not_known_are_read_by_arrow(numbers):
    selection = plan(NAME, data_dir=str(numbers), **POLARS).selection
    unknown = replace(selection, parts=[replace(one, crc32c=None) for one in selection.parts])
    assert read_whole(unknown) is None
    assert Polars().read(unknown).equals(read_whole(selection))


@pytest.mark.parametrize(("filters", "by_polars"), [([("text", "==", "text 3")], True), ([("text", "!=", "a")], False)])
def test_a_table_of_few_of_the_rows_comes_from_polars_and_is_the_same(numbers, filters, by_polars, monkeypatch):
    monkeypatch.setattr(few, "processors", lambda: 2)
    selection = plan(NAME, data_dir=str(numbers), split="train", backend="arrow", filters=filters).selection
    assert (few.keeps_few(selection) and read_whole(selection) is not None) == by_polars
    assert few.read(selection).equals(read_table(selection), check_metadata=True)


def test_a_forked_process_where_threads_of_polars_are_gone_takes_arrows_reader(numbers, monkeypatch):
    monkeypatch.setattr(few, "processors", lambda: 2)
    given = {"split": "train", "data_dir": str(numbers), "filters": [("text", "==", "text 3")]}
    rows = len(load(NAME, backend="pandas", **given))  # starts Polars' threads
    child = os.fork()
    if not child:
        signal.alarm(120)  # it would wait for ever
        code = 1
        with contextlib.suppress(BaseException):  # the child has nobody to raise to
            code = int(len(load(NAME, backend="pandas", **given)) != rows)
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
