"""Arrow columns as tf.Transform takes and gives them: which types, and both ways without a loop over rows.

tf.Transform knows int64, float32 and bytes. A scalar is a dense tensor (n,), a fixed-size list (n, *shape), a nullable
scalar a SparseTensor with at most one value a row, a list a RaggedTensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.columns import column, is_pii, shape
from ailab_dataproc.errors import InvalidData, InvalidRequest

_SIGNED = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}


def value_type(field: pa.Field) -> pa.DataType | None:
    """int64, float32 or large_binary: what a column's values become; None where they can't."""
    kind = field.type
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        kind = kind.value_type
    kind = kind.value_type if t.is_dictionary(kind) else kind
    if t.is_integer(kind) or t.is_boolean(kind) or t.is_temporal(kind):
        return pa.int64()
    if t.is_floating(kind):
        return pa.float32()
    text = t.is_string(kind) or t.is_large_string(kind) or t.is_binary(kind) or t.is_large_binary(kind)
    return pa.large_binary() if text else None


def feature_spec(schema: pa.Schema) -> dict[str, Any]:
    """TensorFlow's feature for each column; all of them have a `value_type`."""
    return {one.name: _feature(one) for one in schema}


def input_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of what `to_lists` gives."""
    return pa.schema([(one.name, pa.large_list(value_type(one))) for one in schema])


def to_lists(batch: pa.RecordBatch, schema: pa.Schema, where: str) -> pa.RecordBatch:
    """A batch as tf.Transform reads it: each column a list a row, a null being an empty one.

    Raises:
        InvalidData: a value that int64 or float32 can't hold, or a null inside a list.
    """
    columns = [_lists(batch.column(number), field, where) for number, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(columns, schema=input_schema(schema))


def output_schema(spec: Mapping[str, Any], made_by: str, personal: set[str]) -> pa.Schema:
    """The columns that a transformed feature spec becomes, in the order of their names.

    Args:
        spec: TensorFlow's feature for each output.
        made_by: the function, for the meaning of the columns.
        personal: the outputs that may hold personal data.

    Raises:
        InvalidRequest: an output that no column can hold.
    """
    columns = []
    for name, feature in sorted(spec.items()):
        kind, sizes = _output_type(name, feature, made_by)
        columns.append(column(name, kind, f"from {made_by}", pii=name in personal or None, shape=sizes or None))
    return pa.schema(columns)


def to_batch(tensors: Mapping[str, Any], schema: pa.Schema, where: str) -> pa.RecordBatch:
    """What the graph gives for a batch, as the declared columns.

    Raises:
        InvalidData: text that isn't UTF-8.
    """
    arrays = []
    for field in schema:
        try:
            arrays.append(_array(tensors[field.name], field.type))
        except pa.ArrowInvalid as error:
            told = "message not shown: PII" if is_pii(field) else error
            raise InvalidData(
                f"{where}: output {field.name!r} doesn't fit {field.type} ({told}). Where it is no UTF-8 text, encode "
                "it with tf.io.encode_base64."
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema.remove_metadata())


def _feature(field: pa.Field) -> Any:
    import tensorflow as tf

    kinds = {pa.int64(): tf.int64, pa.float32(): tf.float32, pa.large_binary(): tf.string}
    dtype = kinds[value_type(field)]
    if t.is_fixed_size_list(field.type) and not field.nullable:
        return tf.io.FixedLenFeature(list(shape(field) or ()), dtype)
    if t.is_nested(field.type):
        return tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int64)
    return tf.io.VarLenFeature(dtype) if field.nullable else tf.io.FixedLenFeature([], dtype)


def _lists(array: pa.Array, field: pa.Field, where: str) -> pa.Array:
    if t.is_dictionary(array.type):
        array = array.dictionary_decode()
    valid = array.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
    lengths, values = valid, array
    if t.is_nested(array.type):
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        values = array.flatten()
        if values.null_count:
            raise InvalidData(
                f"{where}: column {field.name!r} holds a null inside a list, which no tensor can. Fill it, or leave "
                "the column out with columns=[…]."
            )
    elif array.null_count:
        values = array.drop_null()
    ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    return pa.LargeListArray.from_arrays(pa.array(ends), _values(values, field, where))


def _values(array: pa.Array, field: pa.Field, where: str) -> pa.Array:
    wanted = value_type(field)
    if t.is_dictionary(array.type):
        array = array.dictionary_decode()
    if t.is_temporal(array.type):
        array = array.view(_SIGNED[array.type.bit_width])
    elif t.is_boolean(array.type):
        array = array.cast(pa.int8())
    try:
        found = array.cast(wanted)
    except pa.ArrowInvalid as error:  # a uint64 beyond int64
        raise _too_large(field, where) from error
    if t.is_float64(array.type) and pc.any(pc.and_not(pc.is_inf(found), pc.is_inf(array))).as_py():
        raise _too_large(field, where)
    return found


def _too_large(field: pa.Field, where: str) -> InvalidData:
    return InvalidData(
        f"{where}: column {field.name!r} ({field.type}) holds a value that {value_type(field)} can't, and tf.Transform "
        "knows no wider type. Leave the column out with columns=[…]."
    )


def _output_type(name: str, feature: Any, made_by: str) -> tuple[pa.DataType, tuple[int, ...]]:
    """The Arrow type of an output, and its shape where that is fixed."""
    import tensorflow as tf

    kind = {tf.int64: pa.int64(), tf.float32: pa.float32(), tf.string: pa.string()}[feature.dtype]
    if isinstance(feature, tf.io.FixedLenFeature):
        sizes = tuple(feature.shape)
        count = int(np.prod(sizes, dtype=np.int64))
        if count:
            return (pa.list_(kind, count), sizes) if sizes else (kind, ())
        raise InvalidRequest(f"{made_by}: output {name!r} has the shape {sizes}, which holds nothing. Leave it out.")
    if isinstance(feature, tf.io.VarLenFeature):
        return pa.list_(kind), ()
    inner = getattr(feature, "partitions", None)
    if inner is None or any(isinstance(one, tf.io.RaggedFeature.UniformRowLength) for one in inner):
        raise InvalidRequest(
            f"{made_by}: output {name!r} is a {type(feature).__name__} with inner dimensions, which no column holds. "
            "Make it dense, or flatten it."
        )
    for _ in range(len(inner) + 1):
        kind = pa.list_(kind)
    return kind, ()


def _array(tensor: Any, kind: pa.DataType) -> pa.Array:
    import tensorflow as tf

    if isinstance(tensor, tf.SparseTensor):
        rows = int(tensor.dense_shape[0])
        counts = np.bincount(tensor.indices.numpy()[:, 0], minlength=rows)
        return _listed(np.concatenate([[0], np.cumsum(counts)]), _flat(tensor.values, kind.value_type))
    if isinstance(tensor, tf.RaggedTensor):
        return _listed(tensor.row_splits.numpy(), _array(tensor.values, kind.value_type))
    if t.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(_flat(tensor, kind.value_type), kind.list_size)
    return _flat(tensor, kind)


def _listed(ends: np.ndarray, values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)


def _flat(tensor: Any, kind: pa.DataType) -> pa.Array:
    values = tensor.numpy().reshape(-1)
    return pa.array(values, pa.binary()).cast(kind) if values.dtype == object else pa.array(values, kind)
