"""TFDS's own builders go over the bridge; only what the network would bring is made here."""

from __future__ import annotations

import pytest
from tfds_raw import write_all

import ailab_dataproc as adp
from ailab_dataproc.columns import labels, meaning, shape

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("tensorflow")

from bridged import compare  # noqa: E402 - needs both

from ailab_dataproc.bridge.builders import find_builder  # noqa: E402

BUILDERS = {
    "iris": "a vector and a label",
    "titanic": "text, numbers and labels",
    "cifar10": "images, whose labels are known after the download only",
    "squad/v1.1": "a sequence of dicts",
    "voc/2007": "JPEG images, boxes, lists of labels, names with a /",
    "ted_hrlr_translate/pt_to_en": "a translation at the top",
    "moving_mnist": "videos",
    "penguins/raw": "columns with blanks and brackets",
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    write_all(folder)
    return folder


@pytest.fixture
def network(raw, monkeypatch):
    """What TFDS downloads, by the last part of the URL; an archive is there unpacked. Counts the calls."""
    calls = []

    def fetch(_, urls):
        calls.append(urls)
        if isinstance(urls, dict):
            return {key: fetch(_, url) for key, url in urls.items()}
        return tfds.core.Path(raw / urls.rsplit("/", 1)[-1])

    monkeypatch.setattr(tfds.download.DownloadManager, "download", fetch)
    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", fetch)
    return calls


@pytest.mark.parametrize("name", BUILDERS)
def test_rows_of_a_builder_of_tfds_are_those_that_tfds_reads(name, network, tmp_path):
    data_dir = str(tmp_path / "data")
    dataset = adp.from_tfds(name, name="test/bridged")
    assert not network  # nothing is fetched to define it
    adp.prepare(dataset, data_dir=data_dir)
    made = find_builder(name, f"{data_dir}/.downloads/tfds", "test").builder
    compare(dataset, made, data_dir, formats=("parquet", "tfrecord"))


def test_tfds_prepares_once_whatever_is_prepared_of_it(network, tmp_path):
    data_dir = str(tmp_path / "data")
    for name in ("test/first", "test/second"):
        assert adp.prepare(adp.from_tfds("iris", name=name), data_dir=data_dir).rows == {"train": 30}
    assert len(network) == 1


def test_labels_that_are_known_after_the_download_are_kept(network, tmp_path):
    dataset = adp.from_tfds("cifar10", name="test/cifar")
    assert labels(dataset.schema.field("label")) == ()
    adp.prepare(dataset, data_dir=str(tmp_path))
    table = adp.load("test/cifar", split="train", backend="arrow", data_dir=str(tmp_path))
    assert labels(table.schema.field("label"))[3] == "cat"
    assert shape(table.schema.field("image")) == (32, 32, 3)


def test_images_come_to_batches_as_the_pixels_that_tfds_shows(network, tmp_path):
    adp.prepare(adp.from_tfds("cifar10", name="test/cifar"), data_dir=str(tmp_path))
    batch = next(iter(adp.batches("test/cifar", split="test", batch_size=4, columns=["image"], data_dir=str(tmp_path))))
    assert batch["image"].shape == (4, 32, 32, 3)


def test_what_the_builder_says_of_itself_is_kept(network):
    dataset = adp.from_tfds("penguins/raw", name="products/penguins", owner="zoo", meanings={"Species": "which one"})
    assert (dataset.version, dataset.owner) == ("1.0.0", "zoo")
    assert dataset.release_notes == {"1.0.0": "Initial release."}
    assert "penguin" in dataset.description.lower()
    assert dataset.homepage.startswith("https://")
    assert "Delta 15 N (o_oo)" in dataset.schema.names
    assert meaning(dataset.schema.field("Species")) == "which one"


def test_members_of_a_dict_keep_their_labels(network):
    objects = adp.from_tfds("voc/2007", name="test/voc").schema.field("objects").type
    assert labels(objects.field("label"))[:2] == ("aeroplane", "bicycle")
    assert meaning(objects.field("bbox")) == "box, REL_YXYX"
