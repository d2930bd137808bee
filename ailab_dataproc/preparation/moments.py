"""Exact numbers of a column, batch by batch: count, NaN, bounds, mean, standard deviation, lengths.

Whatever can be ordered is counted in *units*: an integer or a float as it is, a time in the unit of its type since
1970, a decimal without its point. `shown` turns a unit back into what people and JSON can read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

Unit = int | float
_WORD = 2**64
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def is_number(type_: pa.DataType) -> bool:
    """Whether values of a type can be counted in units."""
    plain = t.is_boolean(type_) or t.is_integer(type_) or t.is_floating(type_) or t.is_decimal128(type_)
    return bool(plain or is_time(type_))


def is_time(type_: pa.DataType) -> bool:
    """Whether a type is a point or a span of time."""
    return bool(t.is_timestamp(type_) or t.is_date32(type_) or t.is_duration(type_))


def is_list(type_: pa.DataType) -> bool:
    """Whether a row holds several values of one type."""
    return bool(t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_))


def has_length(type_: pa.DataType) -> bool:
    """Whether a type is text, binary or a list."""
    text = t.is_string(type_) or t.is_large_string(type_) or t.is_binary(type_) or t.is_large_binary(type_)
    return bool(text or is_list(type_))


def numbers(array: pa.Array) -> np.ndarray:
    """The values of an array without nulls; decimals as the nearest floats."""
    if t.is_boolean(array.type):
        array = array.cast(pa.uint8())
    elif t.is_decimal128(array.type):
        array = array.cast(pa.float64())
    elif is_time(array.type):
        array = array.view(pa.int32() if t.is_date32(array.type) else pa.int64())
    return array.to_numpy(zero_copy_only=False)


def units(array: pa.Array) -> list[Unit]:
    """The values of an array without nulls, each exact."""
    if t.is_decimal128(array.type):
        return [_unscaled(value, array.type.scale) for value in array.to_pylist()]
    return numbers(array).tolist()


def shown(unit: Unit, type_: pa.DataType) -> Any:
    """A unit as JSON holds it: a number, true or false; times, decimals and what JSON lacks as text."""
    if t.is_boolean(type_):
        return bool(unit)
    if t.is_decimal128(type_) and isinstance(unit, int):
        return str(Decimal((unit < 0, tuple(int(digit) for digit in str(abs(unit))), -type_.scale)))
    if t.is_date32(type_):
        return str(np.datetime64(round(unit), "D"))
    if t.is_timestamp(type_):
        return str(np.datetime64(round(unit), type_.unit)) + ("Z" if type_.tz else "")
    if t.is_duration(type_):
        return str(np.timedelta64(round(unit), type_.unit))
    return unit if isinstance(unit, int) or math.isfinite(unit) else str(unit)


@dataclass(slots=True)
class Moments:
    """Count, bounds, mean and spread. The mean is ``pivot + offset``, so that it is exact beyond 2**53, too."""

    count: int = 0  # without NaN
    nan: int = 0
    min: Unit | None = None
    max: Unit | None = None
    pivot: int = 0
    offset: float = 0.0
    squares: float = 0.0  # sum of the squared differences from the mean

    def add(self, array: pa.Array, values: np.ndarray) -> None:
        """Count one batch.

        Args:
            array: what `values` was made from.
            values: from `numbers`, without NaN.
        """
        nan = len(array) - len(values)
        if not len(values):
            self.merge(Moments(nan=nan))
            return
        low, high = values.min().item(), values.max().item()
        pivot, plain = 0, values.astype(np.float64)
        if values.dtype.kind in "iu" and values.itemsize == 8:  # differences from the least fit into an unsigned word
            pivot, plain = low, (values.view(np.uint64) - np.uint64(low % _WORD)).astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):  # infinities have no mean, and say so
            offset = plain.mean().item()
            plain -= offset
            squares = np.square(plain, out=plain).sum().item()  # no BLAS: its sums depend on the number of threads
        if t.is_decimal128(array.type):
            bounds = pc.min_max(array)
            low, high = (_unscaled(bounds[key].as_py(), array.type.scale) for key in ("min", "max"))
        self.merge(Moments(len(values), nan, low, high, pivot, offset, squares))

    def merge(self, other: Moments) -> None:
        """Take in what was counted elsewhere (Chan, Golub and LeVeque's formula)."""
        self.nan += other.nan
        if not other.count:
            return
        if not self.count:
            self.pivot, self.offset = other.pivot, other.offset
        bounds = [one for one in (self.min, self.max, other.min, other.max) if one is not None]
        total = self.count + other.count
        apart = float(other.pivot - self.pivot) + (other.offset - self.offset)
        self.offset += apart * (other.count / total)
        self.squares += other.squares + apart * apart * (self.count / total * other.count)
        self.count, self.min, self.max = total, min(bounds), max(bounds)

    def told(self, type_: pa.DataType) -> dict[str, Any]:
        """For the statistics of a version: counts only where there is no value, no mean where one is infinite."""
        found: dict[str, Any] = {"nan": self.nan} if t.is_floating(type_) else {}
        if self.min is None or self.max is None:
            return found
        found |= {"min": shown(self.min, type_), "max": shown(self.max, type_)}
        if not math.isfinite(self.offset) or not math.isfinite(self.squares):
            return found
        std = math.sqrt(self.squares / self.count)  # of these values, as NumPy's
        if is_time(type_):
            return found | {"mean": shown(self.pivot + round(self.offset), type_), "std_seconds": std * seconds(type_)}
        return found | {"mean": float(self.pivot + Fraction(self.offset)), "std": std}


@dataclass(slots=True)
class Lengths:
    """Of texts in characters, of binaries in bytes, of lists in items."""

    count: int = 0
    total: int = 0
    min: int | None = None
    max: int | None = None

    def add(self, array: pa.Array) -> None:
        """Count one batch."""
        found = _lengths(array.drop_null() if array.null_count else array)
        if len(found):
            self.merge(Lengths(len(found), int(found.sum()), int(found.min()), int(found.max())))

    def merge(self, other: Lengths) -> None:
        """Take in what was counted elsewhere."""
        bounds = [one for one in (self.min, self.max, other.min, other.max) if one is not None]
        self.count += other.count
        self.total += other.total
        self.min, self.max = min(bounds, default=None), max(bounds, default=None)

    def told(self) -> dict[str, Any]:
        """For the statistics of a version; empty where there is no value."""
        return {"min": self.min, "mean": self.total / self.count, "max": self.max} if self.count else {}


def seconds(type_: pa.DataType) -> float:
    """How long a unit of a time is."""
    return 86_400.0 if t.is_date32(type_) else 1 / _PER_SECOND[type_.unit]


def _lengths(array: pa.Array) -> np.ndarray:
    """The lengths of an array without nulls; those of ASCII texts, binaries and lists stand in their offsets."""
    type_ = array.type
    if t.is_fixed_size_list(type_):
        return np.full(len(array), type_.list_size)
    if not len(array):
        return np.empty(0, np.int64)
    wide = t.is_large_string(type_) or t.is_large_binary(type_) or t.is_large_list(type_)
    offsets = np.frombuffer(array.buffers()[1], np.int64 if wide else np.int32)
    offsets = offsets[array.offset : array.offset + len(array) + 1]
    if t.is_string(type_) or t.is_large_string(type_):
        text = np.frombuffer(array.buffers()[2] or b"", np.int8)[offsets[0] : offsets[-1]]
        if len(text) and text.min() < 0:  # not all bytes are characters
            return pc.utf8_length(array).to_numpy()
    return np.diff(offsets)


def _unscaled(value: Decimal, scale: int) -> int:
    parts = value.as_tuple()
    digits = int("".join(map(str, parts.digits))) * 10 ** (int(parts.exponent) + scale)
    return -digits if parts.sign else digits
