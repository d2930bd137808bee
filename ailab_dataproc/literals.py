"""A value that a person compares a column with, in the column's declared type: exact, or refused in a sentence."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.errors import InvalidRequest

_TRUTH = {"true": True, "false": False}


def typed(value: Any, field: pa.Field, where: str) -> pa.Scalar:
    """A value as an Arrow scalar that compares exactly with a column.

    It has the column's type, but for: numbers beside a column of floats are float64; times and decimals that are finer
    than the column stay as they are.

    Raises:
        InvalidRequest: the value is of another kind, or outside of what the column can hold.
    """
    type_ = field.type.value_type if t.is_dictionary(field.type) else field.type
    if value is None:
        raise InvalidRequest(f"{where}: nothing equals null. Write ({field.name!r}, 'is', None).")
    try:
        found = _scalar(value, type_)
    except (pa.ArrowException, ValueError, TypeError, OverflowError, ArithmeticError) as error:
        told = str(error).split("\n", 1)[0]
        raise InvalidRequest(
            f"{where}: {value!r} can't be compared with {field.name!r}, a column of {type_} ({told})."
        ) from error
    if not found.is_valid:
        raise InvalidRequest(f"{where}: nothing equals null. Write ({field.name!r}, 'is', None).")
    return found


def from_text(text: str, field: pa.Field, where: str) -> Any:
    """A value from a command line, of the kind that a column's declared type wants.

    Raises:
        InvalidRequest: the text is no such value.
    """
    type_ = field.type.value_type if t.is_dictionary(field.type) else field.type
    try:
        if t.is_integer(type_):
            return int(text)
        if t.is_floating(type_):
            return float(text)
        if t.is_boolean(type_):
            return _TRUTH[text.lower()]
    except (ValueError, KeyError) as error:
        raise InvalidRequest(f"{where}: {text!r} is no {type_}, the type of {field.name!r}.") from error
    return text.encode() if t.is_binary(type_) or t.is_large_binary(type_) else text


def _scalar(value: Any, type_: pa.DataType) -> pa.Scalar:
    if isinstance(value, pa.Scalar):
        return value.cast(pa.float64() if t.is_floating(type_) else type_)
    if isinstance(value, np.datetime64 | np.timedelta64):
        return _exact(pa.array(np.array([value.astype("datetime64[s]") if _is_day(value) else value]))[0], type_)
    if isinstance(value, np.generic):
        value = value.item()
    for matches, make in _KINDS:
        if matches(type_):
            return make(value, type_)
    raise TypeError("only null tests, 'is' and 'is not', are defined for it")


def _integer(value: Any, type_: pa.DataType) -> pa.Scalar:
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
        raise TypeError("wanted a whole number")
    if value != int(value):
        raise ValueError("wanted a whole number")
    return pa.scalar(int(value), type_)


def _float(value: Any, _type: pa.DataType) -> pa.Scalar:
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
        raise TypeError("wanted a number")
    return pa.scalar(float(value), pa.float64())


def _of(kind: type, told: str) -> Any:
    def make(value: Any, type_: pa.DataType) -> pa.Scalar:
        if not isinstance(value, kind):
            raise TypeError(f"wanted {told}")
        return pa.scalar(value, type_)

    return make


def _decimal(value: Any, type_: pa.DataType) -> pa.Scalar:
    if not isinstance(value, int | str | Decimal) or isinstance(value, bool):
        raise TypeError("wanted a whole number, a Decimal or a text such as '1.50'")
    return _exact(pa.scalar(Decimal(value)), type_)


def _timestamp(value: Any, type_: pa.DataType) -> pa.Scalar:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    if not isinstance(value, dt.datetime):
        raise TypeError("wanted a datetime, or a text such as '2026-10-01T09:30'")
    return _exact(pa.scalar(value), type_)


def _date(value: Any, type_: pa.DataType) -> pa.Scalar:
    if isinstance(value, str):
        value = dt.date.fromisoformat(value)
    if isinstance(value, dt.datetime) and value.tzinfo is None and value.time() == dt.time():
        value = value.date()
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise TypeError("wanted a date, or a text such as '2026-10-01'")
    return pa.scalar(value, type_)


def _duration(value: Any, type_: pa.DataType) -> pa.Scalar:
    if not isinstance(value, dt.timedelta):
        raise TypeError("wanted a timedelta")
    return _exact(pa.scalar(value), type_)


def _exact(scalar: pa.Scalar, type_: pa.DataType) -> pa.Scalar:
    """The scalar in a type; where that would lose something, as it is."""
    if t.is_timestamp(type_) and t.is_timestamp(scalar.type):
        if type_.tz and not scalar.type.tz:
            raise ValueError("it has no time zone; write '2026-10-01T09:30Z' or give the datetime a tzinfo")
        if scalar.type.tz and not type_.tz:
            raise ValueError("it has a time zone, and the column has none")
        scalar = scalar.cast(pa.timestamp(scalar.type.unit, type_.tz))
    try:
        return scalar.cast(type_)
    except pa.ArrowInvalid:  # Arrow compares both in the finer type
        if t.is_date(type_) or type(scalar.type) is not type(type_):
            raise
        return scalar


def _is_day(value: Any) -> bool:
    return isinstance(value, np.datetime64) and np.datetime_data(value.dtype)[0] in ("Y", "M", "W", "D", "h", "m")


# Which types, and what makes a scalar of them; float16 has no kernels in Arrow.
_KINDS: tuple[tuple[Any, Any], ...] = (
    (t.is_boolean, _of(bool, "True or False")),
    (t.is_integer, _integer),
    (lambda type_: t.is_floating(type_) and not t.is_float16(type_), _float),
    (lambda type_: t.is_string(type_) or t.is_large_string(type_), _of(str, "a text")),
    (lambda type_: t.is_binary(type_) or t.is_large_binary(type_), _of(bytes, "bytes")),
    (t.is_decimal128, _decimal),
    (t.is_timestamp, _timestamp),
    (t.is_date32, _date),
    (t.is_duration, _duration),
)
