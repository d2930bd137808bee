"""Which split a row of a pool of sources belongs to: pure functions over record batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ailab_dataproc.columns import is_pii
from ailab_dataproc.dataset import Source
from ailab_dataproc.errors import InvalidData, InvalidDefinition
from ailab_dataproc.preparation.hashing import hash_rows
from ailab_dataproc.splitting import ByHash, ByValue, Pooled


def assign(batch: pa.RecordBatch, rule: Pooled, source: Source, row: int) -> Iterator[tuple[str, np.ndarray]]:
    """The rows of a batch by split.

    Args:
        batch: of the declared schema.
        rule: from `by_hash` or `by_value`.
        source: where the rows come from, for messages.
        row: rows of the source before this batch.

    Yields:
        A split's name and the numbers of its rows, ascending; splits without a row are left out.

    Raises:
        InvalidData: a value that no split names.
    """
    numbers = _by_hash(batch, rule) if isinstance(rule, ByHash) else _by_value(batch, rule, source, row)
    for number, name in enumerate(rule.names):
        found = np.flatnonzero(numbers == number)
        if len(found):
            yield name, found


def check_values(rule: Pooled, schema: pa.Schema, where: str) -> None:
    """Raise `InvalidDefinition` where a split's value isn't one of its column's type."""
    if isinstance(rule, ByValue):
        for name, values in rule.groups:
            _typed(values, schema.field(rule.columns[0]), f"{where}: split {name!r}")


def _by_hash(batch: pa.RecordBatch, rule: ByHash) -> np.ndarray:
    place = (hash_rows([batch.column(name) for name in rule.columns], rule.seed) >> np.uint64(11)) * 2.0**-53
    bounds = np.cumsum([share for _, share in rule.shares])
    return np.minimum(np.searchsorted(bounds, place, side="right"), len(bounds) - 1)


def _by_value(batch: pa.RecordBatch, rule: Pooled, source: Source, row: int) -> np.ndarray:
    assert isinstance(rule, ByValue)  # noqa: S101 - the only other kind
    column = batch.column(rule.columns[0])
    field = batch.schema.field(rule.columns[0])
    numbers = np.full(batch.num_rows, -1, np.int64)
    for number, (_, values) in enumerate(rule.groups):
        member = pc.is_in(column, value_set=_typed(values, field, source.name))
        numbers[member.to_numpy(zero_copy_only=False)] = number
    if (numbers < 0).any():
        bad = int(np.argmin(numbers))
        shown = "<not shown: PII>" if is_pii(field) else repr(column[bad].as_py())
        raise InvalidData(
            f"row {row + bad + 1} of {source.name} has {field.name}={shown}, which no split names. "
            "Name it in by_value(…), or drop the row in read()."
        )
    return numbers


def _typed(values: tuple[object, ...], field: pa.Field, where: str) -> pa.Array:
    type_ = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    try:
        return pa.array(values, type=type_)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise InvalidDefinition(f"{where}: {list(values)!r} doesn't fit column {field.name!r}, {type_}.") from error
