"""What a version tells of its columns. Counted while rows are written, in each task, and merged in the tasks' order.

Counts, bounds, mean, standard deviation and lengths are exact. What stands under "approximate" is not: distinct
integers come from a sketch of all rows; other distinct values, the most frequent ones and the quantiles from one row in
64 of a task that has more than 32,768. Of personal data no value is kept, only how many there are and how long.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.columns import is_pii
from ailab_dataproc.preparation.moments import Lengths, Moments, has_length, is_list, is_number, numbers, units
from ailab_dataproc.preparation.sketches import Distinct, Frequent, Points, Sample

_EMPTY = "\0 the empty text"  # a sketch takes no notice of an empty text itself


class Profile:
    """Collects the statistics of one task's rows."""

    def __init__(self, schema: pa.Schema) -> None:
        """Begin with no rows.

        Args:
            schema: the stored columns, with the declared ones' metadata.
        """
        self._columns = [_Column(one) for one in schema]
        self._sampled = [i for i, one in enumerate(self._columns) if one.samples]
        self._sample = Sample()

    def add(self, batch: pa.RecordBatch) -> None:
        """Count rows of the stored schema."""
        for column, array in zip(self._columns, batch.columns, strict=True):
            column.add(array)
        if self._sampled:
            for portion in self._sample.add(batch.select(self._sampled)):
                self._look(portion)

    def to_bytes(self) -> bytes:
        """What `summary.merge` takes; the profile is finished with it."""
        for portion in self._sample.rest():
            self._look(portion)
        columns = [one.state() for one in self._columns]
        return json.dumps(columns).encode()

    def _look(self, portion: pa.RecordBatch) -> None:
        for place, array in zip(self._sampled, portion.columns, strict=True):
            self._columns[place].look(array, self._sample.weight)


class _Column:
    """Counts one column of one task."""

    def __init__(self, field: pa.Field) -> None:
        type_ = field.type
        number, text = is_number(type_), has_length(type_) and not is_list(type_)
        self._personal = is_pii(field)
        self._count = self._nulls = self._looked = 0
        self._moments = Moments() if number else None
        self._lengths = Lengths() if has_length(type_) else None
        self._distinct = Distinct() if number or text else None
        self._hashed = t.is_integer(type_)  # all rows: they may be keys, and hashing them is cheap
        shown = not self._personal and not t.is_binary(type_) and not t.is_large_binary(type_)
        self._frequent = Frequent() if shown and (number or text) else None
        self._points = Points() if shown and number and not t.is_boolean(type_) else None
        self.samples = bool(self._frequent or (self._distinct and not self._hashed))

    def add(self, array: pa.Array) -> None:
        """Count all rows of a batch, exactly."""
        self._nulls += array.null_count
        self._count += len(array) - array.null_count
        if self._moments is not None:
            array = array.drop_null() if array.null_count else array
            values = _without_nan(numbers(array))
            if not self._personal:
                self._moments.add(array, values)
            if self._distinct and self._hashed:
                self._distinct.add_numbers(values)
        if self._lengths is not None:
            self._lengths.add(array)

    def look(self, array: pa.Array, weight: int) -> None:
        """Count sampled rows, each standing for `weight` of them."""
        self._looked += len(array)
        array = array.drop_null() if array.null_count else array
        array = array.cast(pa.float32()) if t.is_float16(array.type) else array  # Arrow counts no halves
        counted = pc.value_counts(array)
        values, rows = counted.field("values"), counted.field("counts").to_numpy() * weight
        if self._distinct and not self._hashed:
            _add_distinct(self._distinct, values)
        if self._frequent:
            self._frequent.add(values, rows)
        if self._points:
            self._points.add(_without_nan(numbers(array)), weight)

    def state(self) -> dict[str, Any]:
        """What the summary is made from; JSON can hold it."""
        moments, lengths = self._moments or Moments(), self._lengths or Lengths()
        return {
            "count": self._count,
            "nulls": self._nulls,
            "looked": self._looked,
            "moments": {name: getattr(moments, name) for name in Moments.__slots__},
            "lengths": {name: getattr(lengths, name) for name in Lengths.__slots__},
            "distinct": self._distinct.state() if self._distinct else None,
            "frequent": self._frequent.state() if self._frequent else None,
            "points": self._points.state() if self._points else None,
        }


def _without_nan(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    nan = np.isnan(values)
    return values[~nan] if nan.any() else values


def _add_distinct(sketch: Distinct, values: pa.Array) -> None:
    if t.is_decimal128(values.type):
        sketch.add(str(one) for one in units(values))
    elif is_number(values.type):
        sketch.add_numbers(_without_nan(numbers(values)))
    elif t.is_binary(values.type) or t.is_large_binary(values.type):
        sketch.add(one.decode("latin-1") or _EMPTY for one in values.to_pylist())
    else:
        sketch.add(one or _EMPTY for one in values.to_pylist())
