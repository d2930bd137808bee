"""Whole shards are read by Polars itself: with the values of Arrow's reader, and never from other bytes."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ailab_dataproc.backends.polars import Polars, by_polars, to_polars
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
        ({"filters": [("number", ">", 10)]}, False),
        ({"sample": 10}, False),
    ],
)
def test_polars_reads_whole_shards_only(numbers, selecting, whole):
    assert by_polars(plan(NAME, data_dir=str(numbers), **POLARS | selecting).selection) == whole


def test_no_byte_of_a_page_or_a_header_may_be_another(numbers):
    shard = sorted(numbers.rglob("train-*.parquet"))[3]
    content = shard.read_bytes()
    for place in range(4, len(content) - 8, len(content) // 12):
        shard.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        with pytest.raises(DamagedData, match=shard.name):
            load(NAME, data_dir=str(numbers), **POLARS)
