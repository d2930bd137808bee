"""prepare(limit=N): the first rows of each split through the real pipeline, never taken for the version."""

from __future__ import annotations

import pyarrow as pa
import pytest
from conftest import CLICKS, clicks

from ailab_dataproc import load, prepare
from ailab_dataproc.columns import column
from ailab_dataproc.describing import list_datasets
from ailab_dataproc.errors import InvalidData, InvalidRequest, SourceFailed
from ailab_dataproc.settings import Settings
from ailab_dataproc.splitting import by_hash

PARQUET = {"runner": "inline", "formats": ("parquet",)}


@pytest.fixture
def attempt(define, data_dir):
    """Define a dataset, try its first rows, and return the report."""

    def tried(files=None, *, limit=5, **given):
        return prepare(define(files, **given), data_dir=data_dir, limit=limit, **PARQUET)

    return tried


def test_a_trial_holds_the_first_rows_of_each_split(attempt, define, data_dir, tmp_path):
    splits = {"train": str(tmp_path / "sources/*.csv"), "test": str(tmp_path / "sources/b.csv")}
    report = attempt({"a.csv": clicks(3), "b.csv": clicks(9, start=50)}, splits=splits)
    assert report.rows == {"train": 5, "test": 5}
    users = load("test/clicks", split="train", columns=["user"], data_dir=f"{data_dir}/.trial", backend="arrow")
    assert users["user"].to_pylist() == [0, 1, 2, 50, 51]


def test_a_trial_is_no_version(attempt, data_dir):
    assert attempt().location == f"{data_dir}/.trial/test/clicks/1.0.0"
    assert "test/clicks" not in [row["name"] for row in list_datasets(Settings(data_dir=data_dir))]


def test_sources_are_read_no_further_than_the_limit(attempt):
    assert attempt({"a.csv": clicks(9), "b.csv": "user,price,word\nbad,bad,bad\n"}).rows == {"train": 5}


def test_the_next_trial_takes_the_place_of_the_last(attempt, data_dir):
    attempt(version="1.1.0")
    attempt(version="1.0.0", limit=3)
    assert len(load("test/clicks", data_dir=f"{data_dir}/.trial", backend="arrow")) == 3


def test_rows_that_dont_fit_are_told_as_by_a_preparation(attempt):
    with pytest.raises(InvalidData, match=r"row 2 of a\.csv has user='x', want int64"):
        attempt({"a.csv": "user,price,word\n1,2,x\nx,2,x\n"})


def test_an_exception_of_read_names_its_source(attempt):
    def read(source):
        if source.name == "b.csv":
            raise KeyError("mine")
        yield {"user": 1, "price": 2.0, "word": "x"}

    with pytest.raises(SourceFailed, match=r"b\.csv: read\(\) raised KeyError"):
        attempt({"a.csv": "1", "b.csv": "2"}, read=read)


def test_a_pool_of_sources_is_tried_by_its_first_rows(attempt, tmp_path):
    schema = pa.schema([column("user", pa.int64()), *list(CLICKS)[1:]])
    splits = by_hash("user", {"train": 0.5, "test": 0.5}, sources=str(tmp_path / "sources/a.csv"))
    assert sum(attempt({"a.csv": clicks(90)}, schema=schema, splits=splits, limit=40).rows.values()) == 40


def test_keys_are_compared_in_a_trial(attempt):
    with pytest.raises(InvalidData, match="repeat a key"):
        attempt({"a.csv": clicks(2) + clicks(2).split("\n", 1)[1]}, key="user")


@pytest.mark.parametrize("limit", [0, -1, True, 2.5, "9"])
def test_a_limit_that_is_no_number_of_rows_is_refused(attempt, limit):
    with pytest.raises(InvalidRequest, match="wanted a number of rows"):
        attempt(limit=limit)
