"""torch.utils.data.IterableDataset: a dict of tensors a part of a shard, shared out over a DataLoader's workers."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends import tensors
from ailab_dataproc.backends.shards import Selection
from ailab_dataproc.backends.tensors import valid_name
from ailab_dataproc.sizing import Machine, Need

_LIBRARY = "PyTorch"


class Torch:
    """Backend "torch"."""

    returns = "torch.utils.data.IterableDataset"
    family = "lazy"

    def peak(self, need: Need) -> int:
        """A few parts."""
        return tensors.peak(need)

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """Refuses where torch isn't installed, nullable columns unless ``nulls="mask"``, and shards beyond memory."""
        if importlib.util.find_spec("torch") is None:
            return "torch is not installed: pip install 'ailab_dataproc[torch]'"
        return tensors.refuse(need, machine, _LIBRARY)

    def read(self, selection: Selection) -> Any:
        """An iterable dataset; nothing is read before it is iterated over."""
        from ailab_dataproc.backends.torch_dataset import Parts

        return Parts(selection)

    def to_arrow(self, frame: Any, schema: pa.Schema) -> pa.Table:
        """All parts as one table of the declared schema."""
        tables = [
            pa.table([_back(part[one.name], part.get(valid_name(one.name)), one) for one in schema], schema=schema)
            for part in frame
        ]
        return tensors.one_table(tables, schema)


def to_torch(table: pa.Table, nulls: str = "refuse") -> dict[str, Any]:
    """A table's columns by the contract in `schema.CONTRACTS`; tensors may be views of the table.

    Args:
        table: any number of rows.
        nulls: "mask" puts a tensor ``<name>__valid`` beside each nullable column; "refuse" raises for them.

    Raises:
        BackendRefused: a nullable column without ``nulls="mask"``, or a null inside a list.
    """
    wide = [one.name for one in table.schema if tensors.is_fixed(one.type)]
    arrays = tensors.with_valid(tensors.fixed(table.select(wide), nulls))
    found: dict[str, Any] = {}
    for one in table.schema:
        names = (one.name, valid_name(one.name)) if one.nullable else (one.name,)
        if one.name in arrays:
            found |= {name: as_tensor(arrays[name]) for name in names}
            continue
        column = tensors.joined(table[one.name])
        found[one.name] = _listed(column, one.name)
        if one.nullable:
            found[valid_name(one.name)] = as_tensor(column.is_valid().to_numpy(zero_copy_only=False))
    return found


def as_tensor(values: np.ndarray) -> Any:
    """An array as a tensor of the same memory; unlike `torch.from_numpy`, also where it can't be written to."""
    import torch

    return torch.from_dlpack(values)


def kind(field: pa.Field) -> str:
    """What a column becomes, for people."""
    if tensors.is_fixed(field.type):
        return str(
            to_torch(pa.table([pa.array([], field.type)], names=[field.name]).cast(_plain(field)))[field.name].dtype
        )
    if _numeric_list(field.type):
        return f"list of {kind(field.with_type(field.type.value_type))}"
    return f"list of {_value_type(field.type)}"


def _plain(field: pa.Field) -> pa.Schema:
    return pa.schema([field.with_nullable(False)])


def _value_type(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if t.is_dictionary(type_) else type_


def _numeric_list(type_: pa.DataType) -> bool:
    return bool((t.is_list(type_) or t.is_large_list(type_)) and tensors.is_fixed(type_.value_type))


def _listed(array: pa.Array, name: str) -> list[Any]:
    """What no tensor holds: Python values, and a tensor for each list of numbers; None for null."""
    if not _numeric_list(array.type):
        return array.to_pylist()
    inner = tensors.no_null_inside(array.flatten(), name, _LIBRARY)
    table = pa.table([inner], schema=pa.schema([pa.field(name, inner.type, nullable=False)]))
    values = as_tensor(tensors.numbers(tensors.fixed(table, "refuse")[name][0]))
    lengths = array.value_lengths().fill_null(0).to_pylist()
    rows = list(values.split(lengths)) if lengths else []
    return (
        rows
        if not array.null_count
        else [row if row_is else None for row, row_is in zip(rows, array.is_valid().to_pylist(), strict=True)]
    )


def _back(column: Any, valid: Any, field: pa.Field) -> pa.Array:
    type_ = field.type
    if tensors.is_fixed(type_):
        return tensors.restored(column.numpy(), None if valid is None else valid.numpy(), type_)
    if _numeric_list(type_):
        rows = [
            None if row is None else tensors.restored(row.numpy(), None, type_.value_type).to_pylist() for row in column
        ]
        return pa.array(rows, type_)
    if t.is_dictionary(type_):
        return pa.array(column, type_.value_type).dictionary_encode().cast(type_)
    return pa.array(column, type_)
