"""limit= and sample=: the same rows on every backend and machine, every row with the same chance."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ailab_dataproc as adp
from ailab_dataproc import sampling
from ailab_dataproc.backends import backend
from ailab_dataproc.columns import column
from ailab_dataproc.errors import DamagedData, InvalidRequest
from ailab_dataproc.testing import assert_same, prepare_tables

SCHEMA = pa.schema([column("x", pa.int64()), column("word", pa.string(), nullable=True)])
BACKENDS = ["arrow", "numpy", "pandas", "dask"]
ODD = [("word", "==", "1")]
counts = st.lists(st.integers(0, 50), max_size=20).map(lambda many: np.array(many, dtype=np.int64))


def rows_of(numbers):
    return pa.table([list(numbers), [str(i % 2) if i % 5 else None for i in numbers]], schema=SCHEMA)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """200 rows in shards of 0 to 50, and 30 in another split."""
    folder = str(tmp_path_factory.mktemp("sampling"))
    ends = [0, 50, 50, 51, 90, 140, 150, 200]
    shards = [rows_of(range(start, stop)) for start, stop in itertools.pairwise(ends)]
    prepare_tables(folder, {"train": shards, "test": [rows_of(range(1000, 1030))]})
    return folder


def loaded(place, kind="arrow", **given):
    given = {"split": "train", "nulls": "mask"} | given
    frame = adp.load("testing/tables", backend=kind, data_dir=place, **given)
    return backend(kind).to_arrow(frame, SCHEMA)


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("split", ["train", "train[10:170]", "test+train[60%:]"])
@pytest.mark.parametrize("filters", [None, ODD, pc.field("x") > 95])
@pytest.mark.parametrize("limit", [0, 1, 37, 10**6])
def test_a_limit_gives_the_first_rows(place, kind, split, filters, limit):
    wanted = loaded(place, split=split, filters=filters).slice(0, limit)
    assert_same(loaded(place, kind, split=split, filters=filters, limit=limit), wanted)


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("filters", [None, ODD])
@pytest.mark.parametrize("sample", [1, 25, 0.1, 1.0, 10**6])
def test_a_sample_gives_the_same_rows_on_every_backend_in_their_order(place, kind, filters, sample):
    all_rows = loaded(place, split="train[5:]", filters=filters)
    found = loaded(place, split="train[5:]", filters=filters, sample=sample, seed=3)
    count = min(sample, len(all_rows)) if isinstance(sample, int) else round(sample * len(all_rows))
    assert len(found) == count
    assert_same(found, all_rows.filter(pc.is_in(all_rows["x"], found["x"].combine_chunks())))
    assert_same(loaded(place, kind, split="train[5:]", filters=filters, sample=sample, seed=3), found)


def test_a_sample_is_the_same_for_ever(place):
    found = loaded(place, sample=8, seed=7)["x"].to_pylist()
    assert found == [15, 16, 77, 92, 131, 142, 165, 192]
    assert found != loaded(place, sample=8, seed=8)["x"].to_pylist()


def test_batches_take_a_sample_too(place):
    given = {"split": "train", "data_dir": place, "format": "arrow", "batch_size": 7, "sample": 30}
    assert_same(pa.concat_tables(adp.batches("testing/tables", **given)), loaded(place, sample=30))
    mixed = pa.concat_tables(adp.batches("testing/tables", shuffle=True, **given))
    assert sorted(mixed["x"].to_pylist()) == loaded(place, sample=30)["x"].to_pylist()


def test_every_row_has_the_same_chance(place):
    drawn = np.zeros(200)
    for seed in range(2000):
        drawn[loaded_numbers(seed)] += 1
    assert abs(drawn - 200).max() < 5 * np.sqrt(200 * 0.9)


def loaded_numbers(seed):
    """Numbers of a tenth of the rows, as a load takes them, without reading them."""
    ends = np.cumsum(SIZES)
    taken = sampling.share(SIZES, 20, seed)
    found = [
        sampling.places(int(size), int(some), seed, (i,)) + end - size
        for i, (size, some, end) in enumerate(zip(SIZES, taken, ends, strict=True))
    ]
    return np.concatenate(found)


SIZES = np.array([50, 0, 1, 39, 50, 10, 1, 49])


@given(counts=counts, seed=st.integers(0, 2**63), data=st.data())
@settings(deadline=None)
def test_each_shard_gives_its_share(counts, seed, data):
    total = int(counts.sum())
    rows = data.draw(st.integers(0, total))
    taken = sampling.share(counts, rows, seed)
    assert taken.sum() == rows
    assert (abs(taken - counts * rows / max(total, 1)) < 1).all()
    assert (taken <= counts).all()


def test_shares_are_right_beyond_64_bits():
    sizes = np.full(1000, 10**9)
    taken = sampling.share(sizes, 10**11 + 1, 0)
    assert taken.sum() == 10**11 + 1
    assert set(taken.tolist()) == {10**8, 10**8 + 1}


@given(count=st.integers(0, 200), rows=st.integers(0, 250), seed=st.integers(0, 9))
def test_rows_of_a_shard_are_taken_once_and_in_order(count, rows, seed):
    found = sampling.places(count, rows, seed, (1, 2)).tolist()
    assert len(found) == min(rows, count)
    assert found == sorted(set(found))
    assert all(0 <= one < count for one in found)


def test_a_plan_tells_of_a_sample_and_counts_its_rows_and_bytes(place):
    given = {"split": "train", "columns": ["x"], "backend": "arrow", "data_dir": place}
    plan = adp.plan("testing/tables", sample=0.1, seed=4, **given)
    assert "testing/tables:1.0.0 train, sample 10 %, seed 4   20 rows · 160 B as Arrow" in str(plan)
    assert (plan.need.rows, plan.need.bytes, plan.need.filtered) == (20, 160, False)
    assert plan.to_dict()["draw"] == "sample 10 %, seed 4"
    assert sum(one["pick"] for one in plan.to_dict()["shards"]) == 20
    plan = adp.plan("testing/tables", limit=1_000, filters=[("x", ">=", 150)], **given)
    assert "train, limit 1,000   50 rows · 400 B as Arrow · 1 of 2 columns · 1 of 8 shards, 5 pruned" in str(plan)


def test_a_limit_reads_no_shard_behind_it(place, tmp_path):
    folder = tmp_path / "data"
    prepare_tables(folder, {"train": [rows_of(range(i * 10, i * 10 + 10)) for i in range(40)]})
    for shard in sorted(folder.rglob("train-*.parquet"))[20:]:
        shard.unlink()
    found = adp.load("testing/tables", limit=25, data_dir=str(folder), backend="arrow")
    assert found["x"].to_pylist() == list(range(25))
    kept = adp.load("testing/tables", limit=9, filters=ODD, columns=["x"], data_dir=str(folder), backend="arrow")
    assert len(kept) == 9


def test_the_rest_of_the_columns_is_read_only_where_a_filter_keeps_rows(tmp_path):
    prepare_tables(tmp_path, {"train": [rows_of(range(100))]})
    shard = next(tmp_path.rglob("train-*.parquet"))
    chunk = pq.read_metadata(shard).row_group(0).column(1)
    content = bytearray(shard.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    shard.write_bytes(content)
    given = {"data_dir": str(tmp_path), "backend": "arrow"}
    assert len(adp.load("testing/tables", filters=(pc.field("x") + 0) > 100, **given)) == 0
    with pytest.raises(DamagedData):
        adp.load("testing/tables", filters=[("x", ">", 98)], **given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"sample": 0}, r"sample=0: wanted a number of rows such as 1000, or a part of them such as 0\.01\."),
        ({"sample": 0.0}, r"sample=0\.0: wanted"),
        ({"sample": 1.5}, r"sample=1\.5: wanted"),
        ({"sample": -3}, "sample=-3: wanted"),
        ({"sample": float("nan")}, "sample=nan: wanted"),
        ({"sample": True}, "sample=True: wanted"),
        ({"sample": "1%"}, "sample='1%': wanted"),
        ({"limit": -1}, r"limit=-1: wanted a number of rows, such as 1000\."),
        ({"limit": 2.5}, r"limit=2\.5: wanted"),
        ({"limit": True}, "limit=True: wanted"),
        ({"limit": 1, "sample": 2}, r"limit=1 and sample=2: wanted one of them"),
        ({"sample": 2, "seed": -1}, "seed=-1: wanted a whole number from 0 on"),
        ({"sample": 2, "seed": "a"}, "seed='a': wanted"),
    ],
    ids=str,
)
def test_a_draw_that_cannot_be_meant_is_refused_in_one_sentence(place, given, told):
    with pytest.raises(InvalidRequest, match=told) as caught:
        adp.load("testing/tables", data_dir=place, **given)
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_numbers(place):
    assert len(loaded(place, limit=np.int32(3))) == 3
    assert len(loaded(place, sample=np.float32(0.5))) == 100
