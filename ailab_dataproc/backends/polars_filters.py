"""A load's filter as Polars' expression, where both keep the same rows."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.filters import COMPARE, Predicate, RowFilter

if TYPE_CHECKING:
    import polars as pl


def to_polars_filter(rows: RowFilter) -> pl.Expr | None:
    """The expression; None where Polars would keep other rows, or it isn't known to keep the same."""
    groups = [[_condition(one, rows.columns.field(one.column).type) for one in group] for group in rows.groups]
    if not groups or any(one is None for group in groups for one in group):
        return None
    return functools.reduce(operator.or_, (functools.reduce(operator.and_, group) for group in groups))


def _condition(one: Predicate, type_: pa.DataType) -> pl.Expr | None:
    import polars as pl

    column = pl.col(one.column)
    if one.value is None:
        return column.is_null() if one.operator == "is" else column.is_not_null()
    if t.is_float32(type_) or t.is_float64(type_):
        return _of_floats(one, column.cast(pl.Float64) if t.is_float32(type_) else column)  # as the value is
    if one.value.type != type_ or not _is_compared_alike(type_):
        return None
    if one.operator in COMPARE:
        return COMPARE[one.operator](column, _literal(one.value))
    if one.value.null_count:  # which Polars doesn't find
        return None
    found = column.is_in(pl.Series(one.value).implode()).fill_null(False)  # to Arrow a null is none of the values
    return found if one.operator == "in" else ~found


def _of_floats(one: Predicate, column: pl.Expr) -> pl.Expr | None:
    """To Polars a NaN is larger than all numbers, and a row group's bounds, which know nothing of it, hide it."""
    if one.operator not in COMPARE or one.operator == "!=" or pc.is_nan(one.value).as_py():
        return None
    found = COMPARE[one.operator](column, _literal(one.value))
    return found & column.is_not_nan() if one.operator in (">", ">=") else found


def _literal(value: pa.Scalar) -> pl.Expr:
    import polars as pl

    type_ = pl.Series(pa.array([value])).dtype
    if t.is_timestamp(value.type):  # Python's times have no nanoseconds
        return pl.lit(value.value, pl.Int64).cast(type_)
    return pl.lit(value.as_py(), type_)


def _is_compared_alike(type_: pa.DataType) -> bool:
    texts = t.is_string(type_) or t.is_large_string(type_)
    numbers = t.is_integer(type_) or t.is_boolean(type_)
    times = t.is_date32(type_) or (t.is_timestamp(type_) and type_.unit != "s")  # Polars has no seconds
    return bool(texts or numbers or times)
