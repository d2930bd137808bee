"""Prepared datasets in TFDS's own words: by name in tfds.load, as frames, as arrays."""

from __future__ import annotations

import pyarrow as pa
import pytest

import ailab_dataproc as adp
from ailab_dataproc import Dataset, column
from ailab_dataproc.errors import InvalidRequest, UnknownName

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("tensorflow")

SCHEMA = pa.schema([column("a", pa.int64(), "a number"), column("kind", pa.int64(), labels=["cat", "dog"])])


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Some prepared datasets."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "rows.jsonl").write_text("".join(f'{{"a": {i}, "kind": {i % 2}}}\n' for i in range(4)))

    def make(name, version="1.0.0", **options):
        splits = {"train": str(folder / "rows.jsonl")}
        adp.prepare(Dataset(name=name, version=version, schema=SCHEMA, splits=splits), data_dir=str(folder), **options)

    make("products/ad/clicks")
    make("products/ad/clicks", "1.10.0")
    make("image_classification/mnist")
    make("solo")
    make("products/only_parquet", formats=("parquet",))
    return str(folder)


@pytest.fixture
def registered(data_dir, monkeypatch):
    """TFDS knows them, until the test is over."""
    monkeypatch.setenv("AILAB_DATA_DIR", data_dir)
    yield adp.register_with_tfds()
    tfds.core.registered.reset_dataset_builder_providers()


def numbers(name, **options):
    return [int(row["a"]) for row in tfds.as_numpy(tfds.load(name, split="train", **options))]


def test_the_names_are_told(registered):
    assert registered == ["image_classification/mnist", "products/ad.clicks", "products/only_parquet", "solo"]


def test_registering_again_changes_nothing(registered):
    assert adp.register_with_tfds() == registered
    assert numbers("solo") == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "name", ["solo", "products/ad.clicks", "products/ad.clicks:1.0.0", "image_classification/mnist"]
)
def test_a_registered_dataset_is_loaded_by_name(registered, name):
    assert numbers(name) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("asked", "found"), [("", "1.10.0"), (":1.*.*", "1.10.0"), (":1.0.*", "1.0.0"), (":1.10.0", "1.10.0")]
)
def test_the_newest_version_that_fits_is_taken(registered, asked, found):
    assert str(tfds.builder(f"products/ad.clicks{asked}").version) == found


def test_labels_frames_and_slices_are_those_of_tfds(registered):
    data, info = tfds.load("solo", split="train[1:3]", with_info=True)
    assert info.features["kind"].names == ["cat", "dog"]
    assert tfds.as_dataframe(data, info)["a"].tolist() == [1, 2]


def test_a_name_of_one_of_tfds_own_builders_stays_theirs(registered):
    assert str(tfds.builder("mnist").version) == "3.0.1"


def test_a_dataset_that_is_called_as_one_of_tfds_own_is_read_by_its_version(data_dir):
    assert numbers("mnist:1.*.*", data_dir=f"{data_dir}/image_classification") == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("products/ad.click", UnknownName, "no dataset 'products/ad.click'. Did you mean 'products/ad.clicks'"),
        ("products/ad.clicks:3.*.*", UnknownName, r"no version matches '3\.\*\.\*'\. There is: 1\.10\.0, 1\.0\.0"),
        ("products/only_parquet", InvalidRequest, "was prepared as parquet, TFDS reads tfrecord"),
        ("solo/rate=3", InvalidRequest, "got rate, which a prepared dataset doesn't take"),
    ],
)
def test_what_is_not_there_is_told_in_a_sentence(registered, name, error, told):
    with pytest.raises(error, match=told):
        tfds.load(name, split="train")


def test_a_data_source_is_refused_since_tfrecord_has_no_random_access(registered):
    with pytest.raises(InvalidRequest, match="which has no random access"):
        tfds.data_source("solo", split="train")


def test_what_tfds_has_of_ours_comes_back_over_the_bridge(registered, tmp_path):
    adp.prepare(adp.from_tfds("products/ad.clicks:1.0.0", name="test/again"), data_dir=str(tmp_path))
    table = adp.load("test/again", split="train", backend="arrow", data_dir=str(tmp_path))
    assert table["a"].to_pylist() == [0, 1, 2, 3]
