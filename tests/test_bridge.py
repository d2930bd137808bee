"""The bridge from TFDS: any builder becomes a Dataset whose rows are those that TFDS reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ailab_dataproc as adp
from ailab_dataproc.preparing import prepare

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("tensorflow")

import tensorflow as tf  # noqa: E402
from bridged import compare, tfds_rows  # noqa: E402

from ailab_dataproc.bridge.builders import find_builder  # noqa: E402

SCRIPTS = Path(__file__).parent / "tfds_scripts"
KINDS = SCRIPTS / "kinds.py"


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory):
    """TFDS's own folder, in which builders are prepared once for all tests of this file."""
    return str(tmp_path_factory.mktemp("tfds"))


@pytest.fixture(scope="module")
def kinds(tfds_dir):
    """The builders of all kinds, by config, prepared by way of the bridge."""
    found = {}
    for config in ("all", "plain"):
        defined = adp.from_tfds(f"{KINDS}/{config}", name="test/kinds", data_dir=tfds_dir)
        defined.splits.find(Path(tfds_dir))
        found[config] = find_builder(f"{KINDS}/{config}", tfds_dir, "test/kinds").builder
    return found


def test_values_of_every_kind_of_feature_equal_those_that_tfds_reads(kinds, tfds_dir, data_dir):
    compare(adp.from_tfds(f"{KINDS}/all", name="test/kinds", data_dir=tfds_dir), kinds["all"], data_dir)


def test_the_folder_of_a_prepared_version_is_enough_and_goes_into_both_formats(kinds, data_dir):
    folder = str(kinds["plain"].data_dir)
    builder = tfds.builder_from_directory(folder)
    compare(adp.from_tfds(folder, name="test/kinds"), builder, data_dir, formats=("parquet", "tfrecord"))


def test_plain_tfds_reads_what_came_over_the_bridge(kinds, data_dir):
    """There and back: labels, text, numbers and lists are those of the first version."""
    folder = str(kinds["plain"].data_dir)
    prepare(adp.from_tfds(folder, name="test/kinds"), data_dir=data_dir)
    back = tfds.builder_from_directory(f"{data_dir}/test/kinds/1.2.0")
    assert back.info.features["label"].names == ["cat", "dog"]
    first, second = tfds_rows(kinds["plain"], "train"), tfds_rows(back, "train")
    for name in ("uint64", "label", "text", "words", "matrix", "exact", "ragged", "box", "photo"):
        ours = [np.asarray(one[name]).tolist() if name != "ragged" else one[name].to_list() for one in second]
        if name == "photo":
            ours = [np.asarray(tf.io.decode_image(one)).tolist() for one in ours]
        theirs = [np.asarray(one[name]).tolist() if name != "ragged" else one[name].to_list() for one in first]
        assert ours == theirs, name
