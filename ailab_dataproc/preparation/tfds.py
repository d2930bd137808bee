"""TFDS's own metadata: with it plain `tfds.load` reads what `tfrecord.Encoder` wrote. No TensorFlow, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from ailab_dataproc.columns import labels, meaning, shape, unit
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.preparation import example


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """What TFDS wants to know of one split."""

    shard_rows: tuple[int, ...]  # rows of each shard, in order
    bytes: int  # of all shards together


def features(schema: pa.Schema) -> Any:
    """The ``tfds.features.FeaturesDict`` that decodes what `tfrecord.Encoder` writes for a schema.

    Raises:
        InvalidDefinition: a column that a tf.train.Example can't hold.
    """
    import tensorflow_datasets as tfds

    example.fields(schema, where="features")
    return tfds.features.FeaturesDict({column.name: _feature(tfds.features, column) for column in schema})


def write_metadata(
    folder: str, dataset: Dataset, *, splits: Mapping[str, SplitFiles], file_template: str, metadata: Mapping[str, Any]
) -> None:
    """Write dataset_info.json, features.json, metadata.json and, where there is a license, LICENSE.

    The files depend on the arguments only: no path, time or host is in them.

    Args:
        folder: a local folder that exists.
        dataset: the definition; TFDS knows it by the last part of its name.
        splits: the shards of each split.
        file_template: TFDS's ``filepathTemplate``, such as ``tfrecord/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}``.
        metadata: what ``info.metadata`` gives; JSON values.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import naming
    from tensorflow_datasets.core import splits as tfds_splits

    name = dataset.name.rsplit("/", 1)[-1]
    identity = tfds.core.DatasetIdentity(
        name=name,
        version=tfds.core.Version(dataset.version),
        data_dir=folder,
        module_name="",
        release_notes=dict(sorted(dataset.release_notes.items())),
    )
    info = tfds.core.DatasetInfo(
        builder=identity,
        description=dataset.description,
        features=features(dataset.schema),
        citation=dataset.citation,
        license=dataset.license or None,
        homepage=dataset.homepage or None,
        metadata=tfds.core.MetadataDict(metadata),
        disable_shuffling=True,  # the order of the rows is the prepared one
    )
    info.set_file_format("tfrecord")
    info.set_splits(
        tfds_splits.SplitDict(
            [
                tfds_splits.SplitInfo(
                    name=split,
                    shard_lengths=list(files.shard_rows),
                    num_bytes=files.bytes,
                    filename_template=naming.ShardedFileTemplate(
                        template=file_template,
                        data_dir=folder,
                        dataset_name=name,
                        split=split,
                        filetype_suffix="tfrecord",
                    ),
                )
                for split, files in splits.items()
            ]
        )
    )
    info.write_to_directory(folder)


def _feature(lib: Any, column: pa.Field) -> Any:
    kind, doc = column.type, _doc(column)
    if labels(column) and types.is_integer(kind) and not column.nullable:
        return lib.ClassLabel(names=list(labels(column)), doc=doc)
    if example.stored_as(kind) is not None:
        return _scalar(lib, kind, doc, column.nullable)
    if types.is_struct(kind):
        return lib.FeaturesDict({child.name: _feature(lib, child) for child in kind}, doc=doc)
    if example.is_list(kind):
        if types.is_float64(kind.value_type):
            return lib.Tensor(shape=(None,), dtype=np.float64, encoding="bytes", doc=doc)
        return lib.Sequence(_items(lib, kind.value_type, labels(column)), doc=doc)
    sizes: list[int] = []
    while types.is_fixed_size_list(kind):
        sizes.append(kind.list_size)
        kind = kind.value_type
    declared = shape(column) if len(sizes) == 1 else None
    encoding = "bytes" if types.is_float64(kind) else "none"
    return lib.Tensor(shape=declared or tuple(sizes), dtype=_dtype(kind), encoding=encoding, doc=doc)


def _items(lib: Any, kind: pa.DataType, names: Sequence[str]) -> Any:
    if example.is_list(kind):
        return lib.Sequence(_items(lib, kind.value_type, names))
    if names and types.is_integer(kind):
        return lib.ClassLabel(names=list(names))
    return _scalar(lib, kind, None, nullable=False)


def _scalar(lib: Any, kind: pa.DataType, doc: str | None, nullable: bool) -> Any:
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_float64(kind):
        # `optional` fails with `encoding` in 4.9.10, so a nullable number is an array of none or one.
        return lib.Tensor(shape=(None,) if nullable else (), dtype=np.float64, encoding="bytes", doc=doc)
    if example.is_text(kind) and not nullable:  # Text forgets `optional` in features.json
        return lib.Text(doc=doc)
    return lib.Scalar(_dtype(kind), doc=doc, optional=nullable)


def _dtype(kind: pa.DataType) -> Any:
    """The NumPy dtype that TFDS gives back."""
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_integer(kind) or types.is_floating(kind):
        return np.dtype(kind.to_pandas_dtype()).type
    if types.is_boolean(kind):
        return np.bool_
    return np.int64 if types.is_temporal(kind) else np.object_


def _doc(column: pa.Field) -> str | None:
    said, measure = meaning(column), unit(column)
    return f"{said} [{measure}]".strip() if measure else said or None
