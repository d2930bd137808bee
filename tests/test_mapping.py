"""map_partitions: what a function makes of a prepared version, columns, lineage, order, restart, bad input."""

from __future__ import annotations

import datetime
import functools
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lab import lab

import ailab_dataproc as adp
from ailab_dataproc import storage
from ailab_dataproc.columns import column, is_pii, meaning, unit
from ailab_dataproc.describing import describe
from ailab_dataproc.errors import (
    ClusterFailed,
    InvalidData,
    InvalidDefinition,
    InvalidRequest,
    SourceFailed,
    UnknownName,
    VersionConflict,
)
from ailab_dataproc.manifest import open_prepared
from ailab_dataproc.preparation import pipeline
from ailab_dataproc.preparation.options import Options
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.settings import Settings
from ailab_dataproc.verify import verify_version

ADS = pa.schema(
    [
        column("id", pa.int64(), "of the impression"),
        column("price", pa.float64(), "winning bid", unit="JPY"),
        column("device", pa.dictionary(pa.int8(), pa.string()), "what it was shown on"),
        column("word", pa.string(), "searched for", nullable=True),
        column("tags", pa.list_(pa.int32()), "of the page"),
        column("vector", pa.list_(pa.float32(), 4), "of the page", shape=(2, 2)),
        column("seen", pa.timestamp("us", "UTC"), "when"),
        column("user", pa.string(), "who", pii=True),
    ]
)
PLAIN = ["id", "price", "device", "word", "tags", "vector", "seen"]
ROWS = {"train": 60, "test": 20}


def ads(rows, first):
    start = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)
    return pa.table(
        {
            "id": range(first, first + rows),
            "price": [i / 4 for i in range(rows)],
            "device": [("phone", "tablet")[i % 2] for i in range(rows)],
            "word": [None if i % 4 == 1 else f"wörd {i % 7}" for i in range(rows)],
            "tags": [list(range(i % 3)) for i in range(rows)],
            "vector": np.arange(rows * 4, dtype=np.float32).reshape(rows, 4).tolist(),
            "seen": [start + datetime.timedelta(seconds=i) for i in range(rows)],
            "user": [f"user {i}" for i in range(rows)],
        },
        schema=ADS,
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A data directory with a prepared dataset: three files of train, one of test, a shard each."""
    place = tmp_path_factory.mktemp("mapping")
    for number in range(4):
        folder = place / ("train" if number < 3 else "test") / str(number)
        folder.mkdir(parents=True)
        pq.write_table(ads(20, number * 20), folder / "a.parquet")
    splits = {split: str(place / split / "*" / "a.parquet") for split in ROWS}
    dataset = adp.Dataset(name="test/ads", version="1.2.0", schema=ADS, splits=splits, owner="ads team", license="own")
    layout = Layout(shard_bytes=16)  # so that neighbours are no group
    options = Options(runner="inline", formats=("parquet",), layout=layout)
    pipeline.prepare_dataset(dataset, storage.folder(str(place / "data")), options)
    return str(place / "data")


@pytest.fixture
def again(source, tmp_path):
    """Map a function, under a name of the test's own."""

    def make(function, **given):
        options = {"name": f"test/{tmp_path.name.lower()}", "version": "1.0.0", "runner": "inline", "columns": PLAIN}
        return adp.map_partitions(function, "test/ads", data_dir=source, **{"formats": ("parquet",)} | options | given)

    return make


def same(frame):
    return frame


def priced(frame):
    return frame.assign(yen=frame["price"] * 100, loud=frame["word"].str.upper())


def loaded(report, split="all", **given):
    place = report.location.split("/test/")[0]
    return adp.load(report.dataset, split=split, backend="arrow", data_dir=place, **given)


def manifest(report):
    return open_prepared(storage.folder(report.location.split("/test/")[0]), report.dataset).manifest


def bytes_of(report):
    place = Path(report.location)
    return {one.name: one.read_bytes() for one in sorted((place / "parquet").iterdir())}


@pytest.mark.parametrize("format", ["pandas", "polars", "arrow"])
def test_a_function_that_changes_nothing_gives_the_same_rows_and_columns(again, source, format):
    report = again(same, format=format, columns=None, allow_pii=True)
    wanted = adp.load("test/ads", backend="arrow", data_dir=source, allow_pii=True)
    found = loaded(report, allow_pii=True)
    assert found.equals(wanted)
    assert found.schema.equals(wanted.schema, check_metadata=True)


def test_new_columns_have_the_values_that_pandas_gives(again, source):
    wanted = priced(adp.load("test/ads", backend="pandas", columns=PLAIN, data_dir=source))
    found = loaded(again(priced)).to_pandas(types_mapper=pd.ArrowDtype)
    pd.testing.assert_frame_equal(found, wanted)


def test_new_columns_have_the_values_that_polars_gives(again):
    def longer(frame):
        return frame.select("id", doubled=pl.col("price") * 2, first=pl.col("tags").list.first())

    found = loaded(again(longer, format="polars"), "test")
    assert found["doubled"].to_pylist() == [i / 2 for i in range(20)]
    assert found["first"].to_pylist() == [0 if i % 3 else None for i in range(20)]


def test_a_function_may_return_another_kind_of_frame_than_it_gets(again):
    found = loaded(again(lambda table: table.to_pandas()[["id", "price"]], format="arrow"))
    assert found["id"].to_pylist() == list(range(80))


def test_a_column_that_passes_keeps_what_is_declared_of_it(again):
    schema = loaded(again(priced)).schema
    assert (meaning(schema.field("price")), unit(schema.field("price"))) == ("winning bid", "JPY")
    assert not schema.field("price").nullable
    assert schema.field("vector").metadata[b"shape"] == b"2,2"


def test_a_new_column_may_hold_nulls_and_says_what_made_it(again):
    field = loaded(again(priced)).schema.field("loud")
    assert (field.type, field.nullable, meaning(field)) == (pa.string(), True, "from test_mapping.priced")


def test_a_schema_that_is_given_is_the_results(again):
    schema = pa.schema([column("id", pa.int32(), "smaller"), column("yen", pa.float64(), unit="JPY")])
    report = again(lambda frame: priced(frame)[["id", "yen"]], schema=schema)
    assert loaded(report).schema.equals(schema, check_metadata=True)


def test_splits_and_order_stay_and_a_shard_is_a_shard(again):
    report = again(lambda frame: frame[frame["price"] < 2])
    assert manifest(report).splits == {"train": [8, 8, 8], "test": [8]}
    assert loaded(report, "train")["id"].to_pylist() == [*range(8), *range(20, 28), *range(40, 48)]


def test_a_function_may_return_more_rows_than_it_got(again):
    report = again(lambda frame: pd.concat([frame, frame]))
    assert report.rows == {"train": 120, "test": 40}


def test_a_part_may_become_no_rows(again):
    report = again(lambda frame: frame[frame["id"] >= 40])
    assert manifest(report).splits == {"train": [0, 0, 20], "test": [20]}
    assert loaded(report)["id"].to_pylist() == list(range(40, 80))


def test_a_function_that_leaves_no_row_at_all_makes_empty_splits(again):
    report = again(lambda frame: frame[:0])
    assert report.rows == {"train": 0, "test": 0}
    assert loaded(report).schema.names == PLAIN


def test_columns_are_found_in_the_first_part_that_has_rows(again):
    def late(frame):
        kept = frame[frame["id"] >= 40][["id"]]
        return kept.assign(label="late" if len(kept) else None)

    assert loaded(again(late)).schema.field("label").type == pa.string()


def test_a_part_that_filters_leave_empty_does_not_reach_the_function(again):
    def strict(frame):
        assert len(frame)
        return frame

    report = again(strict, filters=[("id", ">=", 45)])
    assert loaded(report)["id"].to_pylist() == list(range(45, 80))


def test_a_slice_of_a_split_is_mapped(again):
    report = again(same, split="train[10:30]+test[:50%]")
    assert loaded(report)["id"].to_pylist() == [*range(10, 30), *range(60, 70)]


def test_the_bytes_are_the_same_on_any_number_of_workers(again):
    one = again(priced, name="test/bytes_inline", runner="inline")
    assert bytes_of(again(priced, name="test/bytes_threads", runner="threads", workers=3)) == bytes_of(one)


def test_it_runs_on_processes(again):
    assert bytes_of(again(priced, name="test/in_processes", runner="processes", workers=2)) == bytes_of(again(priced))


def test_it_runs_on_a_dask_cluster_with_the_code_of_the_project(again, tmp_path, monkeypatch):
    """Functions of modules that workers can't import, and that call others such."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "h6_helpers.py").write_text("def twice(values):\n    return values * 2\n")
    (project / "h6_steps.py").write_text(
        "import h6_helpers\n\ndef double(frame):\n    return frame.assign(double=h6_helpers.twice(frame['price']))\n"
    )
    monkeypatch.syspath_prepend(str(project))
    import h6_steps

    here = again(h6_steps.double, name="test/double_here")
    with lab(tmp_path, workers=2) as cluster:
        there = again(h6_steps.double, name="test/double_there", runner="dask", cluster=cluster.address)
    assert bytes_of(there) == bytes_of(here)
    assert manifest(there).provenance["runner"] == "dask"


def test_a_version_that_is_there_is_not_made_again(again):
    assert not again(priced).reused
    report = again(priced)
    assert (report.reused, report.step) == (True, "map_partitions")


def test_other_code_rows_or_columns_need_another_version(again):
    again(priced)
    with pytest.raises(VersionConflict, match="its code differs"):
        again(same)
    with pytest.raises(VersionConflict, match="its origin differs"):
        again(priced, split="train")
    with pytest.raises(VersionConflict, match="its options differs"):
        again(priced, format="polars")
    with pytest.raises(VersionConflict, match="its schema differs"):
        again(priced, schema=pa.schema([column("id", pa.int64())]))


def test_what_a_partial_binds_is_code(again):
    def above(frame, least):
        return frame[frame["price"] > least]

    again(functools.partial(above, least=1))
    assert again(functools.partial(above, least=1)).reused
    with pytest.raises(VersionConflict, match="code"):
        again(functools.partial(above, least=2))


def test_a_run_that_a_cluster_ended_is_gone_on_with(again, source):
    with pytest.raises(ClusterFailed):
        again(priced, name="test/gone_on", runner="dask", cluster="tcp://127.0.0.1:9")
    assert not again(priced, name="test/gone_on").reused
    assert [one.name for one in Path(source, "test/gone_on").iterdir()] == ["1.0.0"]


def test_describe_tells_what_it_was_made_from(again, source):
    report = again(priced, split="train", filters=[("price", ">", 1)])
    told = describe(report.dataset.split(":")[0], Settings(data_dir=source))
    assert told["made_from"] == "test/ads:1.2.0 train where price > 1.0 by test_mapping.priced"
    assert told["owner"] == "ads team"
    assert manifest(report).license == "own"
    assert manifest(report).lineage.step == "map_partitions"


def test_the_result_is_verified_as_any_other(again, source):
    report = again(priced)
    assert not list(verify_version(open_prepared(storage.folder(source), report.dataset)))


def test_tfds_reads_the_result(again, source):
    tfds = pytest.importorskip("tensorflow_datasets")
    report = again(same, name="test/for_tfds", formats=("parquet", "tfrecord"), columns=["id", "price"])
    rows = list(tfds.as_numpy(tfds.load("for_tfds:1.*.*", data_dir=f"{source}/test", split="test")))
    assert [row["id"] for row in rows] == loaded(report, "test")["id"].to_pylist()


def test_a_dataset_is_made_of_one_that_was_made(again, source):
    first = again(priced, name="test/first_step")
    report = adp.map_partitions(
        same, "test/first_step", name="test/second_step", version="1.0.0", data_dir=source, formats=("parquet",)
    )
    assert loaded(report).equals(loaded(first))


def test_personal_data_must_be_allowed(again):
    with pytest.raises(InvalidRequest, match="'user' holds personal data"):
        again(same, columns=["id", "user"])


def with_length(frame):
    return frame.assign(length=frame["user"].str.len(), rounded=frame["price"] // 1)


def test_what_is_made_of_personal_data_is_personal(again):
    schema = loaded(again(with_length, columns=None, allow_pii=True), allow_pii=True).schema
    assert [one.name for one in schema if is_pii(one)] == ["user", "length", "rounded"]


def test_who_makes_a_column_can_say_that_it_is_public(again):
    report = again(with_length, columns=None, allow_pii=True, public=("length",))
    assert [one.name for one in manifest(report).schema_ if is_pii(one)] == ["user", "rounded"]


def test_a_given_schema_does_not_make_personal_data_public(again):
    schema = pa.schema([column("id", pa.int64()), column("user", pa.string())])
    report = again(lambda frame: frame[["id", "user"]], schema=schema, columns=["id", "user"], allow_pii=True)
    assert [one.name for one in manifest(report).schema_ if is_pii(one)] == ["user"]


def broken(frame):
    if frame["id"].iloc[0] == 40:
        raise KeyError("secret user 7")
    return frame


def test_a_function_that_raises_is_told_with_the_part_and_its_line(again, source):
    with pytest.raises(SourceFailed, match=r"train-00002-of-00003.parquet: test_mapping.broken\(\) raised") as told:
        again(broken)
    assert "KeyError: 'secret user 7' (test_mapping.py, line" in str(told.value)
    assert "in broken" in "".join(told.value.__notes__)
    assert not list(Path(source, "test").glob("test_a_function_that_raises*/*"))


def test_nothing_personal_is_told_where_a_function_raises(again):
    def hashed(frame):
        return broken(frame)[["id"]]

    with pytest.raises(SourceFailed, match="message not shown: PII") as told:
        again(hashed, columns=["id", "user"], allow_pii=True, public=("id",))
    assert "secret" not in str(told.value) + "".join(told.value.__notes__)


def test_a_value_that_does_not_fit_is_told_with_part_row_and_column(again):
    def sparse(frame):
        return frame[["id"]].assign(number=[1 if i < 45 else 2.5 for i in frame["id"]])

    schema = pa.schema([column("id", pa.int64()), column("number", pa.int32())])
    with pytest.raises(InvalidData, match=r"row 6 of train-00002-of-00003.parquet has number=2.5, want int32") as told:
        again(sparse, schema=schema)
    assert "sparse()" in str(told.value)


def test_a_null_in_a_column_that_passes_is_refused_with_its_place(again):
    def holes(frame):
        return frame.assign(price=frame["price"].where(frame["id"] != 63))

    with pytest.raises(InvalidData, match=r"row 4 of test-00000-of-00001.parquet has no value for 'price'"):
        again(holes)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda frame: None, r"returned nothing \(None\), wanted a frame"),
        (lambda frame: frame["price"], "returned a Series.*to_frame"),
        (lambda frame: 3, "returned a int, wanted a frame"),
        (
            lambda frame: frame.groupby("device", observed=True).sum(numeric_only=True),
            "the index 'device'.*reset_index",
        ),
        (lambda frame: frame.describe()[["price"]], "an index that is no count of rows"),
        (lambda frame: pl.from_pandas(frame[["id"]]).lazy(), "returned a LazyFrame.*collect"),
        (lambda frame: frame.rename(columns={"id": 3}), "a column named 3, wanted text"),
        (lambda frame: frame.assign(x=[1, "a"] * (len(frame) // 2)), "a column that Arrow can't hold"),
    ],
    ids=["None", "series", "number", "index", "statistics", "lazy", "name", "mixed"],
)
def test_what_is_no_plain_frame_is_refused(again, function, told):
    with pytest.raises(InvalidData, match=told):
        again(function)


def test_a_part_with_other_columns_is_refused(again):
    def uneven(frame):
        return frame[["id", "price"]] if frame["id"].iloc[0] < 40 else frame[["id"]]

    with pytest.raises(InvalidData, match=r"train-00002-of-00003.parquet lacks the column 'price'"):
        again(uneven)


def test_a_column_without_a_value_in_the_first_part_needs_a_schema(again):
    with pytest.raises(InvalidRequest, match=r"'x' holds no value in the first part.*Give schema="):
        again(lambda frame: frame[["id"]].assign(x=None))


def test_a_type_that_no_backend_keeps_is_refused(again):
    with pytest.raises(InvalidDefinition, match="column 'x' has type time64"):
        again(lambda frame: frame[["id"]].assign(x=datetime.time(1)))


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"format": "pandsa"}, UnknownName, "no format 'pandsa'. Did you mean 'pandas'"),
        ({"columns": ["pric"]}, UnknownName, "no column 'pric'. Did you mean 'price'"),
        ({"split": "valid"}, UnknownName, "no split 'valid'"),
        ({"public": ("yne",)}, UnknownName, "no column 'yne'. Did you mean 'yen'"),
        ({"schema": {"id": "int64"}}, InvalidRequest, "schema is a dict, wanted pa.schema"),
        ({"name": "Test Ads"}, InvalidDefinition, "can't be a dataset's name"),
        ({"version": "1"}, InvalidDefinition, "isn't major.minor.patch"),
        ({"runner": "thread"}, UnknownName, "no runner 'thread'. Did you mean 'threads'"),
        ({"formats": ("tfrecord",)}, InvalidRequest, "lacks 'parquet'"),
        ({"filters": [("id", "<", 0)]}, InvalidRequest, "has no row that is asked for"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_what_can_not_be_asked_for_is_refused_in_one_sentence(again, given, error, told):
    with pytest.raises(error, match=told):
        again(priced, **given)


def test_a_function_that_is_called_by_mistake_is_refused(again):
    with pytest.raises(InvalidRequest, match="Pass it without calling it"):
        again(None)
