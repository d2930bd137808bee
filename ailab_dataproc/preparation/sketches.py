"""Approximate numbers of a column in little memory: distinct values, most frequent values, quantiles.

The same rows in the same order give the same numbers. That rules out the KLL and REQ sketches of Apache DataSketches,
which draw random bits that can't be seeded from Python; quantiles come from order statistics of a sorted sample. Its
theta and frequent-items sketches draw none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.preparation.moments import is_number, shown, units

ONE_IN = 64  # rows of a large task that are sampled; looking at all would take 40 times as long
WHOLE = 32_768  # rows of a task up to which all are taken, and that are handled at a time
_BYTES = 16 << 20  # of sampled rows that wait, for images and long texts
_DISTINCT = 10  # base-2 logarithm of the values that a theta sketch keeps: 3.1 % standard error, exact up to 1,024
_FIRST = 2_048  # values that are fed to an empty sketch, before most can be told to be of no use
_FREQUENT = 9  # base-2 logarithm of the counters, of which three quarters are used
_FED = 32  # values of a portion that are fed to the counters, the most frequent first
_CLOSE = 65_536  # integers of which a bit each is kept instead of hashing them
_LONGEST = 64  # characters of a text that may be shown, as in the index
_POINTS = 256  # order statistics kept of a portion: an error of 0.2 % in rank
_KEPT = 8_192  # points of a task after which they are condensed
_SEED = 9001  # the seed of the library's theta sketches
_M1, _M2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_F1, _F2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


class Sample:
    """One row in `ONE_IN` of a task; all of them where the task is small.

    Which rows depends on their numbers alone, with a jitter, so that a rhythm in the rows does no harm.
    """

    def __init__(self) -> None:
        self.rows = 0  # seen
        self.weight = 1  # rows that a sampled one stands for
        self._waiting: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Take a batch; yields a portion whenever one is full."""
        start, self.rows = self.rows, self.rows + batch.num_rows
        if self.rows > WHOLE and self.weight == 1:
            whole, self._waiting, self.weight = self._waiting, [], ONE_IN
            place = 0
            for one in whole:
                self._waiting.append(one.take(_chosen(place, one.num_rows)))
                place += one.num_rows
        self._waiting.append(batch if self.weight == 1 else batch.take(_chosen(start, batch.num_rows)))
        if self.weight > 1 and (
            sum(one.num_rows for one in self._waiting) >= WHOLE or sum(one.nbytes for one in self._waiting) >= _BYTES
        ):
            yield from self.rest()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """What waits for a portion to be full."""
        if self._waiting:
            portion, self._waiting = pa.concat_batches(self._waiting), []
            yield portion


class Distinct:
    """How many distinct values there are: a theta sketch."""

    def __init__(self) -> None:
        import datasketches

        self._sketch = datasketches.update_theta_sketch(_DISTINCT, seed=_SEED)
        self._waiting: list[np.ndarray] = []
        self._full = _FIRST

    def add_numbers(self, values: np.ndarray) -> None:
        """Take many numbers."""
        values = _narrow(values) if values.dtype.kind in "iu" and len(values) else values
        keys = _keys(values)
        while len(keys):
            if self._sketch.is_estimation_mode():  # the sketch would throw most of them away one by one
                piece, keys = keys[_hashed(keys) < np.uint64(self._sketch.theta64)], keys[:0]
            else:
                piece, keys = keys[: self._full], keys[self._full :]
            self._waiting.append(piece)
            if sum(map(len, self._waiting)) >= self._full:
                self._flush()

    def add(self, values: Iterable[int | str]) -> None:
        """Take a few values."""
        update = self._sketch.update
        for value in values:
            update(value)

    def state(self) -> str:
        """For `count_distinct`."""
        self._flush()
        return self._sketch.compact().serialize().hex()

    def _flush(self) -> None:
        if self._waiting:
            self.add(_unique(np.concatenate(self._waiting)).tolist())
        self._waiting, self._full = [], min(2 * self._full, WHOLE)


def count_distinct(states: Iterable[str]) -> int:
    """How many distinct values all parts of a column hold together, about."""
    import datasketches

    union = datasketches.theta_union(_DISTINCT, seed=_SEED)
    for state in states:
        union.update(datasketches.compact_theta_sketch.deserialize(bytes.fromhex(state), seed=_SEED))
    return round(union.get_result().get_estimate())


class Frequent:
    """The most frequent values, as JSON texts."""

    def __init__(self) -> None:
        import datasketches

        self._sketch = datasketches.frequent_strings_sketch(_FREQUENT)

    def add(self, values: pa.Array, counts: np.ndarray) -> None:
        """Take distinct values with their rows."""
        if len(counts) > _FED:
            least = np.partition(counts, -_FED)[-_FED]
            more, equal = np.flatnonzero(counts > least), np.flatnonzero(counts == least)
            chosen = np.concatenate([more, equal[: _FED - len(more)]])
            values, counts = values.take(pa.array(chosen)), counts[chosen]
        for text, rows in zip(_texts(values), counts.tolist(), strict=True):
            if text is not None:
                self._sketch.update(text, rows)

    def state(self) -> str:
        """For `most_frequent`."""
        return self._sketch.serialize().hex()


def most_frequent(states: Iterable[str], many: int) -> list[dict[str, Any]]:
    """The most frequent values of all parts of a column and about how many rows hold each."""
    import datasketches

    merged = datasketches.frequent_strings_sketch(_FREQUENT)
    for state in states:
        merged.merge(datasketches.frequent_strings_sketch.deserialize(bytes.fromhex(state)))
    if merged.is_empty():
        return []
    items = merged.get_frequent_items(datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES)
    found = sorted(((rows, text) for text, rows, _, _ in items if rows > 1), key=lambda one: (-one[0], one[1]))
    return [{"value": json.loads(text), "rows": rows} for rows, text in found[:many]]


class Points:
    """Values in order, each standing for some rows: what quantiles and histograms are made from."""

    def __init__(self, values: str = "", weights: str = "", kind: str = "<f8") -> None:
        """Begin with none, or with what `state` told."""
        self._values = [np.frombuffer(bytes.fromhex(values), kind)] if values else []
        self._weights = [np.frombuffer(bytes.fromhex(weights), np.float64)] if values else []

    def add(self, values: np.ndarray, weight: float) -> None:
        """Take values without NaN, each standing for `weight` rows."""
        if len(values):
            many = min(len(values), _POINTS)
            places = ((np.arange(many) + 0.5) * (len(values) / many)).astype(np.int64)
            self._values.append(np.sort(values)[places])
            self._weights.append(np.full(many, weight * len(values) / many))
        if sum(map(len, self._values)) > _KEPT:
            values, weights = self.sorted()
            self._values, self._weights = [], []
            self._values.append(_at(values, weights, (np.arange(_POINTS) + 0.5) / _POINTS))
            self._weights.append(np.full(_POINTS, weights.sum() / _POINTS))

    def merge(self, other: Points) -> None:
        """Take in what was found elsewhere."""
        self._values += other._values
        self._weights += other._weights

    def sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """The values in order and the rows of each."""
        if not self._values:
            return np.empty(0), np.empty(0)
        values, weights = np.concatenate(self._values), np.concatenate(self._weights)
        order = np.argsort(values, kind="stable")
        return values[order], weights[order]

    def state(self) -> dict[str, str]:
        """The arguments that make it again."""
        values, weights = self.sorted()
        return {"values": values.tobytes().hex(), "weights": weights.tobytes().hex(), "kind": values.dtype.str}


def quantiles(points: Points, parts: Sequence[float], type_: pa.DataType) -> dict[str, Any]:
    """The values below which these parts of the rows lie, about; empty where there are none."""
    values, weights = points.sorted()
    if not len(values):
        return {}
    found = _at(values, weights, np.asarray(parts)).tolist()
    return {str(part): shown(value, type_) for part, value in zip(parts, found, strict=True)}


def histogram(points: Points, bars: int, type_: pa.DataType) -> dict[str, Any]:
    """Rows in ranges of equal width from the 1 % to the 99 % quantile, about; empty where these are equal."""
    values, weights = points.sorted()
    if not len(values):
        return {}
    low, high = _at(values, weights, np.array([0.01, 0.99])).tolist()
    width = high - low + (1 if values.dtype.kind in "iu" else 0)
    if not (low < high and width < np.inf):
        return {}
    bars = min(bars, width) if values.dtype.kind in "iu" else bars
    inside = (values >= low) & (values <= high)
    places = [min(int((value - low) / width * bars), bars - 1) for value in values[inside].tolist()]
    rows = np.bincount(places, weights=weights[inside], minlength=bars)
    counts = [round(one) for one in rows.tolist()]
    return {"from": shown(low, type_), "to": shown(high, type_), "rows": counts}


def _chosen(start: int, count: int) -> pa.Array:
    """Which of the rows from number `start` on are sampled, as places in their batch."""
    blocks = np.arange(start // ONE_IN, (start + count) // ONE_IN + 1)
    places = blocks * ONE_IN + _JITTER[blocks % len(_JITTER)] - start
    return pa.array(places[(places >= 0) & (places < count)])


# Only raw bits of Philox: NumPy promises their stream for ever.
_JITTER = np.random.Philox(0).random_raw(8_192).astype("<u8").view(np.uint8) % ONE_IN


def _at(values: np.ndarray, weights: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """The values below which these parts of the weight lie."""
    below = np.cumsum(weights)
    return values[np.minimum(np.searchsorted(below, parts * below[-1]), len(values) - 1)]


def _narrow(values: np.ndarray) -> np.ndarray:
    """The distinct ones of integers that lie close together; others as they are."""
    low, high = int(values.min()), int(values.max())
    if high - low >= _CLOSE:
        return values
    wide = values if values.itemsize == 8 else values.astype(np.int64)  # differences of small types may not fit them
    least = wide.dtype.type(low)
    seen = np.zeros(high - low + 1, bool)
    seen[(wide - least).astype(np.int64)] = True
    return np.flatnonzero(seen).astype(wide.dtype) + least


def _unique(values: np.ndarray) -> np.ndarray:
    return pc.unique(pa.array(values)).to_numpy()


def _keys(values: np.ndarray) -> np.ndarray:
    """One signed word for each value."""
    if values.dtype.kind == "f":
        values = (values + values.dtype.type(0)).view(f"i{values.itemsize}")  # -0.0 becomes 0.0
    return values.view(np.int64) if values.itemsize == 8 else values.astype(np.int64)


def _hashed(keys: np.ndarray) -> np.ndarray:
    """The hash that a theta sketch gives a word (MurmurHash3 of 8 bytes, x64, upper half), for all at once."""
    start = np.uint64(_SEED ^ 8)
    first = keys.view(np.uint64) * _M1
    first = (first << np.uint64(31)) | (first >> np.uint64(33))
    first *= _M2
    first ^= start
    first += start
    second = _finished(first + start)
    second += _finished(first)
    second >>= np.uint64(1)
    return second


def _finished(words: np.ndarray) -> np.ndarray:
    words ^= words >> np.uint64(33)
    words *= _F1
    words ^= words >> np.uint64(33)
    words *= _F2
    words ^= words >> np.uint64(33)
    return words


def _texts(values: pa.Array) -> list[str | None]:
    """Values as JSON; None for NaN and for texts that are too long to show."""
    if is_number(values.type):
        return [None if math.isnan(one) else json.dumps(shown(one, values.type)) for one in units(values)]
    known = t.is_string(values.type) or t.is_large_string(values.type)
    found = values.to_pylist() if known else []
    return [json.dumps(one, ensure_ascii=False) if len(one) <= _LONGEST else None for one in found]
