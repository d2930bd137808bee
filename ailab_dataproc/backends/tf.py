"""tf.data.Dataset: a dict of tensors a part of a shard, with the exact element_spec of the declared schema."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends import tensors
from ailab_dataproc.backends.ahead import ahead
from ailab_dataproc.backends.shards import Selection, read_part
from ailab_dataproc.backends.tensors import AHEAD, is_fixed, valid_name
from ailab_dataproc.columns import shape
from ailab_dataproc.sizing import Machine, Need

_LIBRARY = "TensorFlow"
_ALIGNED = 64  # bytes: where Arrow's memory begins, and TensorFlow's must


class Tf:
    """Backend "tf"."""

    returns = "tf.data.Dataset"
    family = "lazy"

    def peak(self, need: Need) -> int:
        """A few parts."""
        return tensors.peak(need)

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """Refuses where TensorFlow isn't installed, what no tensor holds, and shards beyond memory."""
        if importlib.util.find_spec("tensorflow") is None:
            return "tensorflow is not installed: pip install 'ailab_dataproc[tensorflow]'"
        for one in need.schema:
            if not _has_tensor(one.type):
                return f"column {one.name!r} is {one.type}, and no tensor holds that. Leave it out"
        return tensors.refuse(need, machine, _LIBRARY)

    def read(self, selection: Selection) -> Any:
        """A dataset of one element a part that has rows; ``.rebatch(n)`` cuts it into batches."""
        import tensorflow as tf

        def elements() -> Iterator[dict[str, Any]]:
            tables = ahead(lambda part: read_part(part, selection.schema), selection.parts, limit=AHEAD, threads=AHEAD)
            yield from (to_tf(table, selection.nulls) for table in tables if len(table))

        spec = {name: one for field in selection.schema for name, one in _specs(field).items()}
        return tf.data.Dataset.from_generator(elements, output_signature=spec).prefetch(1)

    def to_arrow(self, frame: Any, schema: pa.Schema) -> pa.Table:
        """All elements as one table of the declared schema."""
        tables = [pa.table([_back(element, one) for one in schema], schema=schema) for element in frame]
        return tensors.one_table(tables, schema)


def to_tf(table: pa.Table, nulls: str = "refuse") -> dict[str, Any]:
    """A table's columns as tensors by the contract in `schema.CONTRACTS`.

    Args:
        table: any number of rows.
        nulls: "mask" puts a tensor ``<name>__valid`` beside each nullable column; "refuse" raises for them.

    Raises:
        BackendRefused: a nullable column without ``nulls="mask"``, or a null inside a list.
    """
    wide = [one.name for one in table.schema if is_fixed(one.type)]
    arrays = tensors.with_valid(tensors.fixed(table.select(wide), nulls))
    found: dict[str, Any] = {}
    for one in table.schema:
        if one.name in arrays:
            names = (one.name, valid_name(one.name)) if one.nullable else (one.name,)
            found |= {name: as_tensor(arrays[name]) for name in names}
        else:
            found |= _column(tensors.joined(table[one.name]), one)
    return found


def as_tensor(values: np.ndarray) -> Any:
    """An array as a tensor, of the same memory where it may be written to and lies as TensorFlow wants it."""
    import tensorflow as tf

    if not values.size:
        return tf.constant(values)
    own = values if values.flags.writeable and values.flags.c_contiguous else None
    if own is None or own.ctypes.data % _ALIGNED:  # TensorFlow ends the process on memory that begins elsewhere
        own = np.frombuffer(pa.allocate_buffer(values.nbytes), values.dtype).reshape(values.shape)
        own[...] = values
    return tf.experimental.dlpack.from_dlpack(own.__dlpack__())


def ragged_images(images: np.ndarray) -> Any:
    """Images of different sizes as one ragged tensor of images, lines, pixels; a null is an image without lines."""
    import tensorflow as tf

    found = [np.zeros((0, 0, 0), np.uint8) if one is None else one for one in images]
    depth = max((one.shape[2] for one in found), default=0)
    pixels = np.concatenate([np.zeros((0, depth), np.uint8), *(one.reshape(-1, depth) for one in found if one.size)])
    widths = [one.shape[1] for one in found for _ in range(one.shape[0])]
    heights = np.array([len(one) for one in found], np.int64)
    return tf.RaggedTensor.from_nested_row_lengths(pixels, [heights, np.array(widths, np.int64)])


def _column(array: pa.Array, field: pa.Field) -> dict[str, Any]:
    """A column, and where it is nullable its validity."""
    found = {field.name: _values(array, field)}
    if field.nullable:
        found[valid_name(field.name)] = as_tensor(array.is_valid().to_numpy(zero_copy_only=False))
    return found


def _values(array: pa.Array, field: pa.Field) -> Any:
    """The values; where a row is null, anything of the right type."""
    import tensorflow as tf

    type_ = array.type
    if is_fixed(type_):
        table = pa.table([array], schema=pa.schema([field]))
        return as_tensor(tensors.numbers(tensors.fixed(table, "mask")[field.name][0]))
    if t.is_struct(type_):
        pairs = zip(type_, array.flatten(), strict=True)
        return {name: one for child, inner in pairs for name, one in _column(inner, child).items()}
    if t.is_list(type_) or t.is_large_list(type_):
        inner = tensors.no_null_inside(array.flatten(), field.name, _LIBRARY)
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        splits = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return tf.RaggedTensor.from_row_splits(_values(inner, _item(field)), splits, validate=False)
    if t.is_fixed_size_list(type_):
        tensors.no_null_inside(array.drop_null().flatten(), field.name, _LIBRARY)
        size = type_.list_size
        inner = array.values.slice(array.offset * size, len(array) * size)
        return tf.reshape(_values(inner, _item(field)), (len(array), *(shape(field) or (size,))))
    return _texts(array)


def _texts(array: pa.Array) -> Any:
    """Strings, bytes and decimals, also from a dictionary."""
    import tensorflow as tf

    if t.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if t.is_decimal(array.type):
        array = array.cast(pa.string())
    raw = array.cast(pa.large_binary()).fill_null(b"")
    return tf.constant(raw.to_numpy(zero_copy_only=False), dtype=tf.string, shape=(len(raw),))


def _item(field: pa.Field) -> pa.Field:
    """What a list's column holds; its nulls have been looked for."""
    return pa.field(field.name, field.type.value_type, nullable=False)


def _has_tensor(type_: pa.DataType, within: bool = False) -> bool:
    if t.is_struct(type_):
        return not within and all(_has_tensor(one.type) for one in type_)
    if t.is_list(type_) or t.is_large_list(type_):
        return _has_tensor(type_.value_type, within=True)
    if t.is_fixed_size_list(type_):
        return not t.is_nested(type_.value_type) or is_fixed(type_)
    return True


def _specs(field: pa.Field) -> dict[str, Any]:
    """The element_spec of a column, and where it is nullable of its validity."""
    import tensorflow as tf

    found = {field.name: _spec(field, (None,))}
    if field.nullable:
        found[valid_name(field.name)] = tf.TensorSpec((None,), tf.bool)
    return found


def _spec(field: pa.Field, rows: tuple[int | None, ...]) -> Any:
    import tensorflow as tf

    type_ = field.type
    if t.is_struct(type_):
        return {name: one for child in type_ for name, one in _specs(child).items()}
    depth, leaf = 0, type_
    while t.is_list(leaf) or t.is_large_list(leaf):
        depth, leaf = depth + 1, leaf.value_type
    inner = field if depth == 0 else pa.field(field.name, leaf, nullable=False)
    whole = (*rows, *(None,) * depth, *_inner_shape(inner))
    dtype = tf.as_dtype(_dtype(leaf))
    if not depth:
        return tf.TensorSpec(whole, dtype)
    return tf.RaggedTensorSpec(whole, dtype, ragged_rank=depth)


def _inner_shape(field: pa.Field) -> tuple[int, ...]:
    if not t.is_fixed_size_list(field.type):
        return ()
    found, type_ = tuple(part or 0 for part in shape(field) or ()), field.type.value_type
    while t.is_fixed_size_list(type_):
        found, type_ = (*found, type_.list_size), type_.value_type
    return found


def _dtype(type_: pa.DataType) -> Any:
    if t.is_dictionary(type_) or t.is_fixed_size_list(type_):
        return _dtype(type_.value_type)
    if not is_fixed(type_):
        return "string"
    if t.is_timestamp(type_) or t.is_duration(type_):
        return "int64"
    return "int32" if t.is_date32(type_) else type_.to_pandas_dtype()


def _back(element: dict[str, Any], field: pa.Field) -> pa.Array:
    valid = element.get(valid_name(field.name))
    return _restored(element[field.name], None if valid is None else valid.numpy(), field.type)


def _restored(value: Any, valid: np.ndarray | None, type_: pa.DataType) -> pa.Array:
    mask = None if valid is None else pa.array(~valid)
    if t.is_struct(type_):
        children = [_back(value, child) for child in type_]
        return pa.StructArray.from_arrays(children, fields=list(type_), mask=mask)
    if t.is_list(type_) or t.is_large_list(type_):
        inner = _restored(value.values, None, type_.value_type)
        kind = pa.LargeListArray if t.is_large_list(type_) else pa.ListArray
        return kind.from_arrays(value.row_splits.numpy(), inner, type=type_, mask=mask)
    if is_fixed(type_):
        return tensors.restored(value.numpy(), valid, type_)
    if t.is_fixed_size_list(type_):
        inner = _restored(value.numpy().reshape(-1), None, type_.value_type)
        return pa.FixedSizeListArray.from_arrays(inner, type=type_, mask=mask)
    raw = value if isinstance(value, np.ndarray) else value.numpy()
    if t.is_dictionary(type_):
        return _restored(raw, valid, type_.value_type).dictionary_encode().cast(type_)
    found = pa.array(raw, pa.binary(), mask=None if valid is None else ~valid)
    return found.cast(type_) if t.is_binary(type_) or t.is_large_binary(type_) else found.cast(pa.string()).cast(type_)
