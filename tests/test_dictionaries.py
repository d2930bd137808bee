"""Text that repeats may be read as codes into a dictionary, and comes out as it was written."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ailab_dataproc.backends import backend, dictionaries
from ailab_dataproc.columns import column
from ailab_dataproc.loading import load
from ailab_dataproc.testing import assert_same

ROWS = 120_000
WORDS = ["", "a", "ü", None, "a longer text"]
SCHEMA = pa.schema(
    [
        column("word", pa.string(), "one of few", nullable=True),
        column("bytes", pa.binary(), "one of few"),
        column("own", pa.string(), "another one in each row"),
        column("half", pa.string(), "first one of few, then another one in each row"),
    ]
)


def rows() -> pa.Table:
    half = ["few"] * (ROWS // 2) + [f"many {i}" for i in range(ROWS // 2)]
    columns = {
        "word": [WORDS[i % 5] for i in range(ROWS)],
        "bytes": [bytes([i % 3]) for i in range(ROWS)],
        "own": [f"text {i}" for i in range(ROWS)],
        "half": half,
    }
    return pa.table(columns, schema=SCHEMA)


@pytest.fixture
def place(make, data_dir):
    make({"a.bin": "x"}, schema=SCHEMA, read=lambda source: [rows()])
    return data_dir


@pytest.mark.parametrize("name", SCHEMA.names)
def test_text_comes_out_as_it_was_written(place, name):
    found = load("test/clicks", data_dir=place, backend="arrow", columns=[name])
    assert found[name].to_pylist() == rows()[name].to_pylist()


@pytest.mark.parametrize("name", ["numpy", "pandas", "polars", "dask"])
@pytest.mark.parametrize("selecting", [{}, {"filters": [("own", "!=", "text 5")]}, {"sample": 1000}], ids=str)
def test_every_backend_has_the_texts_that_arrow_has(place, name, selecting):
    wanted = load("test/clicks", data_dir=place, backend="arrow", **selecting)
    nulls = {"nulls": "mask"} if name == "numpy" else {}
    found = backend(name).to_arrow(load("test/clicks", data_dir=place, backend=name, **selecting, **nulls), SCHEMA)
    assert_same(found, wanted.cast(SCHEMA))


def test_a_slice_within_a_shard_comes_out_as_it_was_written(place):
    found = load("test/clicks", data_dir=place, backend="arrow", split="train[70001:70010]", columns=["word"])
    assert found["word"].to_pylist() == rows()["word"].to_pylist()[70001:70010]


def test_only_columns_with_a_small_dictionary_are_read_by_it(place, tmp_path):
    pq.write_table(rows(), tmp_path / "a.parquet", use_dictionary=["word", "bytes", "half"])
    footer = pq.read_metadata(tmp_path / "a.parquet")
    assert sorted(dictionaries.small(footer, list(SCHEMA), [0])) == ["bytes", "word"]
