"""Rows on their way into batches: fixed-width columns as NumPy views, converted once a shard, the others as Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ailab_dataproc import decoding
from ailab_dataproc.backends import tensors
from ailab_dataproc.backends.numpy import to_numpy

FORMATS = ("numpy", "arrow", "pandas", "torch", "tf")
_TENSORS = ("torch", "tf")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table, cheap to cut, to permute and to join."""

    count: int
    fixed: Mapping[str, tuple[np.ndarray, np.ndarray | None]]  # values, and of nullable columns where they are valid
    rest: pa.Table  # the other columns

    def slice(self, start: int, count: int) -> Rows:
        """So many rows from one on; views."""
        stop = start + count
        fixed = {
            name: (values[start:stop], None if valid is None else valid[start:stop])
            for name, (values, valid) in self.fixed.items()
        }
        return Rows(count, fixed, self.rest.slice(start, count) if self.rest.num_columns else self.rest)

    def take(self, rows: np.ndarray) -> Rows:
        """Some rows, in the order given."""
        fixed = {
            name: (values.take(rows, axis=0), None if valid is None else valid.take(rows))
            for name, (values, valid) in self.fixed.items()
        }
        return Rows(len(rows), fixed, self.rest.take(pa.array(rows)) if self.rest.num_columns else self.rest)


def join(pieces: Sequence[Rows], *, whole: bool = False) -> Rows:
    """Rows one after another.

    Args:
        pieces: at least one, of the same columns.
        whole: whether Arrow's columns are brought into one piece too, which makes `Rows.take` quicker.
    """
    if len(pieces) == 1 and not whole:
        return pieces[0]
    rest = pa.concat_tables([one.rest for one in pieces])
    first = pieces[0].fixed
    fixed = pieces[0].fixed if len(pieces) == 1 else {name: _joined(pieces, name) for name in first}
    return Rows(sum(one.count for one in pieces), fixed, rest.combine_chunks() if whole else rest)


def _joined(pieces: Sequence[Rows], name: str) -> tuple[np.ndarray, np.ndarray | None]:
    values = np.concatenate([one.fixed[name][0] for one in pieces])
    valid = [found for one in pieces if (found := one.fixed[name][1]) is not None]
    return values, np.concatenate(valid) if valid else None


@dataclass(frozen=True, slots=True)
class Format:
    """What a batch is made of and becomes."""

    name: str  # one of `FORMATS`
    nulls: str  # as in `Need`
    images: tuple[str, ...] = ()  # columns that are decoded

    def rows(self, table: pa.Table) -> Rows:
        """A shard's rows, converted as far as it pays to do it for all at once."""
        if self.name in ("arrow", "pandas"):
            return Rows(len(table), {}, table)
        wide = [one.name for one in table.schema if tensors.is_fixed(one.type)]
        fixed = tensors.fixed(table.select(wide), self.nulls)
        if self.name in _TENSORS:
            fixed = {name: (tensors.numbers(values), valid) for name, (values, valid) in fixed.items()}
        return Rows(len(table), fixed, table.drop_columns(wide))

    def batch(self, rows: Rows, schema: pa.Schema) -> Any:
        """A batch with the columns of a schema, in its order."""
        if self.name == "arrow":
            return rows.rest
        if self.name == "pandas":
            from ailab_dataproc.backends.pandas import to_pandas

            return to_pandas(rows.rest)
        found = self._others(rows.rest.drop_columns(list(self.images)))
        for name in self.images:
            found |= self._named(name, *decoding.decode(rows.rest[name], schema.field(name), self.nulls))
        for name, (values, valid) in rows.fixed.items():
            found |= self._named(name, values, valid)
        if not rows.rest.num_columns:
            return found
        names = [one for name in schema.names for one in (name, tensors.valid_name(name)) if one in found]
        return {name: found[name] for name in names}

    def _others(self, table: pa.Table) -> dict[str, Any]:
        """Columns that only Python's objects, or a library's own, can hold."""
        if not table.num_columns:
            return {}
        if self.name == "numpy":
            return dict(to_numpy(table, self.nulls))
        if self.name == "torch":
            from ailab_dataproc.backends.torch import to_torch

            return to_torch(table, self.nulls)
        from ailab_dataproc.backends.tf import to_tf

        return to_tf(table, self.nulls)

    def _named(self, name: str, values: Any, valid: np.ndarray | None) -> dict[str, Any]:
        """A column of the batch, and of tensors with its validity."""
        if self.name == "numpy":
            return {name: values if valid is None else _masked(values, valid)}
        found = {name: self._tensor(values)}
        if valid is not None:
            found[tensors.valid_name(name)] = self._tensor(valid)
        return found

    def _tensor(self, values: Any) -> Any:
        if self.name == "torch":
            from ailab_dataproc.backends.torch import as_tensor

            return (
                as_tensor(values)
                if values.dtype != object
                else [one if one is None else as_tensor(one) for one in values]
            )
        from ailab_dataproc.backends.tf import as_tensor as as_tf
        from ailab_dataproc.backends.tf import ragged_images

        return as_tf(values) if values.dtype != object else ragged_images(values)


def _masked(values: np.ndarray, valid: np.ndarray) -> Any:
    mask = ~valid
    if values.ndim > 1:
        mask = np.broadcast_to(mask.reshape(-1, *[1] * (values.ndim - 1)), values.shape).copy()
    return np.ma.MaskedArray(values, mask=mask)
