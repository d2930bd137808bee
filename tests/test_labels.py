"""Labels: what the integers of a column stand for, from the definition to TFDS's ClassLabel."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ailab_dataproc.columns import column, describe_columns, labels
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.errors import InvalidDefinition
from ailab_dataproc.preparation.fingerprint import schema_part
from ailab_dataproc.preparing import prepare

ANIMALS = ("cat", "dög", "emu")


@pytest.mark.parametrize("type_", [pa.int64(), pa.uint8(), pa.list_(pa.list_(pa.int32())), pa.list_(pa.int8(), 3)])
def test_a_column_of_integers_keeps_its_labels(type_):
    assert labels(column("animal", type_, labels=ANIMALS)) == ANIMALS


def test_a_column_without_labels_has_none():
    assert labels(column("animal", pa.int64())) == ()
    assert describe_columns(pa.schema([column("animal", pa.int64())]))[0]["labels"] is None


def test_labels_are_described():
    assert describe_columns(pa.schema([column("animal", pa.int64(), labels=ANIMALS)]))[0]["labels"] == list(ANIMALS)


@pytest.mark.parametrize(
    ("type_", "given", "told"),
    [
        (pa.int64(), "cat", "are no list of names"),
        (pa.int64(), ["cat", 1], "are no list of names"),
        (pa.int64(), ["cat", " "], "are no list of names of one line"),
        (pa.int64(), ["cat", "dog", "cat"], "two numbers have the label 'cat'"),
        (pa.string(), ["cat"], "has labels and is string, wanted integers"),
    ],
)
def test_labels_that_cannot_be_right_are_refused(type_, given, told):
    with pytest.raises(InvalidDefinition, match=told):
        column("animal", type_, labels=given)


def test_other_labels_are_another_schema_and_none_are_the_old_one():
    plain, named = (pa.schema([column("animal", pa.int64(), labels=given)]) for given in ((), ANIMALS))
    assert schema_part(plain) != schema_part(named)
    assert schema_part(plain) == schema_part(pa.schema([column("animal", pa.int64(), "a meaning")]))


def test_tfds_knows_the_labels_as_class_labels(data_dir, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    (tmp_path / "zoo.jsonl").write_text('{"animal": 1, "others": [2, 0], "inner": {"animal": 2}}\n')
    schema = pa.schema(
        [
            column("animal", pa.int8(), "the animal", labels=ANIMALS),
            column("others", pa.list_(pa.int64()), "who else is there", labels=ANIMALS),
            column("inner", pa.struct([column("animal", pa.int64(), nullable=False, labels=ANIMALS)])),
        ]
    )
    source = str(tmp_path / "zoo.jsonl")
    prepare(Dataset(name="test/zoo", version="1.0.0", schema=schema, splits={"train": source}), data_dir=data_dir)
    builder = tfds.builder_from_directory(f"{data_dir}/test/zoo/1.0.0")
    features = builder.info.features
    assert features["animal"].names == list(ANIMALS)
    assert features["others"].feature.names == list(ANIMALS)
    assert features["inner"]["animal"].names == list(ANIMALS)
    rows = list(tfds.as_numpy(builder.as_dataset(split="train")))
    assert (rows[0]["animal"], rows[0]["others"].tolist(), rows[0]["inner"]["animal"]) == (1, [2, 0], 2)
