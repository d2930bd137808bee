"""Rows as TFDS reads them, in the words of Arrow: what tests of the bridge compare with."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds
from PIL import Image

from ailab_dataproc.loading import load
from ailab_dataproc.preparing import prepare


def compare(dataset, builder, data_dir, formats=("parquet",)):
    """Prepare a dataset and compare all of its splits with what TFDS reads."""
    report = prepare(dataset, data_dir=data_dir, formats=formats)
    assert set(report.rows) == {_split(one) for one in builder.info.splits}
    for split in builder.info.splits:
        table = load(dataset.name, split=_split(split), backend="arrow", data_dir=data_dir)
        theirs = tfds_rows(builder, split)
        assert len(theirs) == len(table) == report.rows[_split(split)]
        for name, feature in builder.info.features.items():
            field = table.schema.field(_ours(name))
            ours = table[field.name].to_pylist()
            wrong = [i for i, row in enumerate(theirs) if not same(ours[i], row[name], feature, field)]
            assert not wrong, (name, ours[wrong[0]], theirs[wrong[0]][name])


def tfds_rows(builder, split):
    """All rows as TFDS itself reads them, in the order of the files."""
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    return list(tfds.as_numpy(builder.as_dataset(split=split, read_config=config, shuffle_files=False)))


def same(ours, theirs, feature, field):
    """Whether a value of Arrow says what TFDS's value says."""
    name = type(feature).__name__
    if name in ("FeaturesDict", "Translation"):
        return all(same(ours[_ours(k)], theirs[k], feature[k], field.type.field(_ours(k))) for k in feature)
    if name in ("Sequence", "TranslationVariableLanguages", "Dataset", "Video"):
        if type(feature.feature).__name__ == "FeaturesDict":
            inner = feature.feature
            theirs = _stacked(theirs, inner) if name == "Dataset" else theirs
            each = {key: tfds.features.Sequence(inner[key]) for key in inner}
            return all(same(ours[_ours(k)], theirs[k], each[k], field.type.field(_ours(k))) for k in inner)
        return _plain(ours, feature) == _listed(theirs)
    if ours is None:
        return field.nullable and _is_stand_in(theirs)
    if name in ("Image", "LabeledImage"):
        return _pixels(ours) == np.asarray(theirs).tolist()
    found = _listed(theirs)
    if pa.types.is_fixed_size_list(field.type):
        found = np.asarray(theirs).ravel().tolist()
    return _plain(ours, feature) == found or str(found) == str(ours) == "nan"


def _plain(ours, feature):
    while type(feature).__name__ in ("Sequence", "Video"):
        feature = feature.feature
    if isinstance(ours, list):
        return [_plain(one, feature) for one in ours]
    if type(feature).__name__ in ("Image", "LabeledImage"):
        return _pixels(ours)
    return ours.encode() if isinstance(ours, str) else ours


def _pixels(encoded):
    found = np.asarray(Image.open(io.BytesIO(encoded)))
    return found.reshape(*found.shape[:2], -1).tolist()


def _listed(value):
    if hasattr(value, "to_list"):  # a RaggedTensorValue
        return value.to_list()
    return value.tolist() if hasattr(value, "tolist") else value


def _stacked(rows, features):
    members = list(rows)
    return {key: np.array([one[key] for one in members]) if members else np.zeros(0) for key in features}


def _is_stand_in(value):
    """Whether a value is what TFDS shows for none."""
    if np.asarray(value).dtype == object or isinstance(value, bytes):
        return value == b""
    kind = np.asarray(value).dtype
    lowest = np.finfo(kind).min if kind.kind == "f" else np.iinfo(kind).min
    return bool((np.asarray(value) == lowest).all())


def _ours(name):
    return name.replace("/", "_").replace(".", "_")


def _split(name):
    return name.replace("-", "_")
