"""Lazy frames of groups of shards: what dask_cudf does with cudf partitions, done with pandas partitions."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

import ailab_dataproc as adp
from ailab_dataproc.backends import BACKENDS
from ailab_dataproc.backends.dask import Dask
from ailab_dataproc.backends.pandas import Pandas
from ailab_dataproc.backends.partitions import collected, grouped, partitioned
from ailab_dataproc.backends.shards import Selection
from ailab_dataproc.columns import column
from ailab_dataproc.testing import BackendTests, prepare_tables

ROWS = 25  # of the files of a partition: two shards of ten, or all of a small dataset


def read_group(parts, schema):
    return Pandas().read(Selection(parts, schema))


class Grouped(Dask):
    """Several shards in a partition, and Arrow made by the workers."""

    def read(self, selection):
        groups = list(grouped(selection.parts, 10**9, ROWS))
        return partitioned(groups, selection.schema, read_group, read_group((), selection.schema))

    def to_arrow(self, frame, schema):
        return collected(frame, schema, Pandas().to_arrow)


class TestGroupsOfShards(BackendTests):
    backend = "grouped"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def registered(cls):
        BACKENDS["grouped"] = f"{__name__}:Grouped"
        yield
        del BACKENDS["grouped"]

    def test_a_partition_holds_whole_neighbours(self, place):
        frame = self.load(place, "testing/many")
        assert frame.map_partitions(len).compute().tolist() == [20] * 6

    def test_a_projection_reads_its_column_only(self, place):
        frame = self.load(place, split="train")[["text"]]
        assert frame.compute().columns.tolist() == ["text"]

    def test_counting_rows_reads_no_value(self, place):
        assert len(self.load(place, "testing/many")) == 120


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("parts"))
    schema = pa.schema([column("x", pa.int64())])
    tables = [pa.table([range(rows)], schema=schema) for rows in (1, 2, 100, 3, 4, 5)]
    prepare_tables(folder, {"train": tables}, name="test/parts")
    return adp.plan("test/parts", data_dir=folder, backend="arrow").selection.parts


def rows_of(groups):
    return [[part.rows for part in group] for group in groups]


def test_neighbours_are_together_up_to_so_many_bytes_and_a_large_shard_is_alone(parts):
    assert rows_of(grouped(parts, 7 * 8, 10**9)) == [[1, 2], [100], [3, 4], [5]]


def test_neighbours_are_together_up_to_so_many_rows(parts):
    assert rows_of(grouped(parts, 10**9, 103)) == [[1, 2, 100], [3, 4, 5]]


def test_no_room_makes_a_group_of_each_shard(parts):
    assert rows_of(grouped(parts, 0, 10**9)) == [[1], [2], [100], [3], [4], [5]]


def test_no_shards_make_no_group_and_a_frame_of_no_rows():
    schema = pa.schema([column("x", pa.int64())])
    frame = partitioned(list(grouped((), 10**9, 10**9)), schema, read_group, read_group((), schema))
    assert frame.npartitions == 1
    pd.testing.assert_frame_equal(frame.compute(), read_group((), schema))
