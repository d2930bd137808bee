"""Which shards can't hold a row that a filter keeps: decided from the index, for all shards at once. Pure functions."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc import guarantees
from ailab_dataproc.filters import Filters, Predicate

_RANGES = 32  # that a long list of values is looked up as
_BEFORE = {"<": pc.less, "<=": pc.less_equal}  # may hold a row if its smallest value is before the filter's
_BEHIND = {">": pc.greater, ">=": pc.greater_equal}


def needed(filters: Filters) -> list[str]:
    """The columns of the index that `may_match` looks at, where the index has them."""
    return [
        "rows",
        *(f"columns.{name}.{key}" for name in filters.rows.columns.names for key in ("nulls", "min", "max")),
    ]


def may_match(filters: Filters, index: pa.Table) -> np.ndarray:
    """For each shard whether it may hold a row that the filters keep; where the index can't tell, it may."""
    if not filters.rows.groups:
        return guarantees.shards(filters.rows, index)
    groups = [functools.reduce(pc.and_, (_keeps(one, index) for one in group)) for group in filters.rows.groups]
    return functools.reduce(pc.or_, groups).to_numpy()


def _keeps(one: Predicate, index: pa.Table) -> pa.ChunkedArray:
    nulls = pc.struct_field(index["columns"], [one.column, "nulls"])
    if one.operator == "is":
        return pc.greater(nulls, 0)
    some = pc.less(nulls, index["rows"])  # has a value that isn't null
    if one.operator == "is not":
        return some
    low, high = _bound(index, one, "min"), _bound(index, one, "max")
    if one.operator == "not in":
        return _outside(one.value, low, high, nulls, some)
    if one.operator == "in":
        hit = pc.and_(some, _unknown_is_true(_overlaps(one.value, low, high), some))
        return pc.or_(hit, pc.greater(nulls, 0)) if one.value.null_count else hit
    return pc.and_(some, _unknown_is_true(_compare(one, low, high), some))


def _compare(one: Predicate, low: Any, high: Any) -> Any:
    """Whether a value between the bounds may fulfil a comparison; None and null: not known."""
    if low is None:
        return None
    if one.operator in _BEFORE:
        return _BEFORE[one.operator](low, one.value)
    if one.operator in _BEHIND:
        return _BEHIND[one.operator](high, one.value)
    if one.operator == "==":
        return pc.and_(pc.less_equal(low, one.value), pc.greater_equal(high, one.value))
    if t.is_floating(low.type):  # bounds know nothing of NaN, which differs from everything
        return None
    return pc.or_(pc.not_equal(low, one.value), pc.not_equal(high, one.value))


def _overlaps(values: pa.Array, low: Any, high: Any) -> Any:
    """Whether one of the values may lie between the bounds."""
    values = values.drop_null()
    if t.is_floating(values.type) and pc.any(pc.is_nan(values)).as_py():
        return None
    if low is None or not len(values):
        return None if len(values) else pa.scalar(False)
    plain = values.view(pa.int64()) if t.is_duration(values.type) else values  # Arrow orders no durations
    ordered = values.take(pc.array_sort_indices(plain))
    ends = np.linspace(0, len(ordered), min(len(ordered), _RANGES) + 1).astype(int)
    hits = [
        pc.and_(pc.less_equal(low, ordered[stop - 1]), pc.greater_equal(high, ordered[start]))
        for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    ]
    return functools.reduce(pc.or_, hits)


def _outside(values: pa.Array, low: Any, high: Any, nulls: Any, some: Any) -> pa.ChunkedArray:
    """Whether a row may be none of the values. A null is none of them, unless null is among them."""
    differs = None
    if low is not None and not t.is_floating(low.type):
        only = pc.and_(pc.equal(low, high), pc.is_in(low, value_set=values))
        differs = pc.invert(only)
    hit = pc.and_(some, _unknown_is_true(differs, some))
    return hit if values.null_count else pc.or_(hit, pc.greater(nulls, 0))


def _unknown_is_true(answer: Any, like: pa.ChunkedArray) -> Any:
    if answer is None:
        return pa.scalar(True)
    return answer if isinstance(answer, pa.Scalar) else pc.fill_null(answer, True)


def _bound(index: pa.Table, one: Predicate, key: str) -> Any:
    """The min or max of a column in each shard, or None where the index keeps none."""
    columns = index.schema.field("columns").type
    inner = columns.field(one.column).type
    if inner.get_field_index(key) < 0:
        return None
    return pc.struct_field(index["columns"], [one.column, key])
