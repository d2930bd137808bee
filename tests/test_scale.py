"""Planning stays right over many shards: an index of 20,000, as `prepare` would have written it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import ailab_dataproc as adp
from ailab_dataproc import storage
from ailab_dataproc.errors import DamagedData
from ailab_dataproc.manifest import INDEX, MANIFEST, open_prepared

SHARDS = 20_000
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    """The benchmark, which makes such an index."""
    sys.path.insert(0, str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("bench_plan", BENCHMARKS / "plan.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(BENCHMARKS))
    return module


@pytest.fixture(scope="module")
def place(bench, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("scale"))
    bench.make_version(folder, SHARDS)
    return folder


@pytest.fixture(scope="module")
def index(place, bench):
    return open_prepared(storage.folder(place), bench.NAME).index()


def planned(bench, place, **asked):
    return adp.plan(bench.NAME, **{"backend": "dask", "allow_pii": True, "data_dir": place} | asked)


def test_a_filter_leaves_exactly_the_shards_whose_bounds_allow_it(bench, place, index):
    high = pc.struct_field(index["columns"], ["price_0", "max"]).to_numpy()
    words = pc.struct_field(index["columns"], ["word_1", "min"]).to_pylist()
    wanted = (high > 190) & (np.array(words) <= "123")
    plan = planned(bench, place, columns=["number_0"], filters=[("price_0", ">", 190), ("word_1", "<=", "123")])
    assert [part.path for part in plan.selection.parts] == [
        path for path, keep in zip(index["path"].to_pylist(), wanted.tolist(), strict=True) if keep
    ]
    assert 0 < plan.need.shards == SHARDS + 1 - plan.selected.pruned
    assert plan.need.rows == plan.need.shards * bench.ROWS
    sizes = pc.struct_field(index["columns"], ["number_0", "bytes"]).to_numpy()
    assert plan.need.bytes == sizes[wanted].sum()


def test_a_slice_takes_the_shards_between_its_rows(bench, place):
    parts = planned(bench, place, split="train[150_000:1_999_900_000]+test[:10]").selection.parts
    assert len(parts) == SHARDS - 2 + 1
    assert [parts[0].path, parts[0].skip, parts[0].take] == ["parquet/train-00001-of-20000.parquet", 50_000, 50_000]
    assert [parts[-2].path, parts[-2].take] == ["parquet/train-19998-of-20000.parquet", 100_000]
    assert [parts[-1].path, parts[-1].take] == ["parquet/test-00000-of-00001.parquet", 10]


def test_parts_are_a_sequence(bench, place):
    parts = planned(bench, place, split="train[50:500_000]", filters=[("number_0", ">", 0)]).selection.parts
    every = list(parts)
    assert len(parts) == len(every) == 5
    assert [parts[0], parts[np.int64(2)], parts[-1]] == [every[0], every[2], every[-1]]
    assert list(parts[1:4:2]) == every[1:4:2]
    assert (every[0].skip, every[0].filter) == (50, every[4].filter)
    with pytest.raises(IndexError):
        parts[5]


def test_a_split_without_rows_takes_no_shard(bench, place):
    assert planned(bench, place, split="train[5:5]", filters=[("number_0", ">", 0)]).need.shards == 0


def test_each_format_has_its_own_rows_of_the_index(bench, place, index):
    prepared = open_prepared(storage.folder(place), bench.NAME)
    other = prepared.index("tfrecord", ["path", "columns.price_0.max"])
    assert {one.split("/")[0] for one in other["path"].to_pylist()} == {"tfrecord"}
    assert other.schema.field("columns").type.num_fields == 1
    assert len(prepared.index("csv")) == 0
    assert index["shard"].to_pylist() == [0, *range(SHARDS)]


def test_an_index_with_a_shard_less_is_refused(bench, tmp_path):
    bench.make_version(str(tmp_path), 5)
    folder = storage.folder(str(tmp_path)) / bench.NAME / "1.0.0"
    table = pq.read_table(folder.path(INDEX))
    with folder.create(INDEX) as file:
        pq.write_table(table.slice(0, 4), file)
    manifest = open_prepared(storage.folder(str(tmp_path)), bench.NAME).manifest
    other = manifest.model_copy(update={"index_checksum": storage.checksum(folder, INDEX)})
    folder.write(MANIFEST, other.model_dump_json().encode())
    with pytest.raises(DamagedData, match="the index has 3 shards of 'train', the manifest says 5"):
        planned(bench, str(tmp_path))


def test_a_frame_of_dask_has_a_partition_for_each_shard_that_is_left(bench, place):
    asked = {"columns": ["price_0"], "filters": [("price_0", ">", 150)], "data_dir": place, "backend": "dask"}
    frame = adp.load(bench.NAME, **asked)
    assert frame.npartitions == adp.plan(bench.NAME, **asked).need.shards > 1000
