"""A hash of column values that is the same on every machine and for ever: the splits of a dataset rest on it.

The mixing step is the finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
OOPSLA 2014). Texts are taken eight bytes at a time, all rows in step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.types as t

_STEP = np.uint64(0x9E3779B97F4A7C15)
_NULL = np.uint64(0x6E756C6C)


def mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer of each of the uint64 values; all bits depend on all."""
    x = values + _STEP
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hash_rows(columns: Sequence[pa.Array], seed: int = 0) -> np.ndarray:
    """A uint64 for each row, from the values of some columns.

    An integer hashes alike in any width, a text alike as string or large_string.

    Args:
        columns: at least one; integers, booleans, strings, bytes, dates, times, decimals, or dictionaries of them.
        seed: another seed gives an independent hash.
    """
    rows = len(columns[0])
    found = mix(np.full(rows, seed % 2**64, np.uint64))
    for column in columns:
        found = mix(found ^ _hash_values(column))
    return found


def _hash_values(array: pa.Array) -> np.ndarray:
    if t.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if t.is_decimal(array.type) or t.is_fixed_size_binary(array.type):
        width = array.type.byte_width
        data = array.buffers()[1]
        lengths = np.full(len(array), width, np.int64)
        found = _hash_bytes(data, (np.arange(len(array)) + array.offset) * width, lengths)
    elif t.is_string(array.type) or t.is_binary(array.type) or _is_large(array.type):
        _, offsets, data = array.buffers()
        kind = np.int64 if _is_large(array.type) else np.int32
        places = np.frombuffer(offsets, kind)[array.offset : array.offset + len(array) + 1].astype(np.int64)
        found = _hash_bytes(data, places[:-1], np.diff(places))
    else:
        found = mix(_integers(array))
    if array.null_count:
        found[array.is_null().to_numpy(zero_copy_only=False)] = _NULL
    return found


def _is_large(type_: pa.DataType) -> bool:
    return bool(t.is_large_string(type_) or t.is_large_binary(type_))


def _integers(array: pa.Array) -> np.ndarray:
    """The values as uint64: integers as they are, times and dates as their counts."""
    if t.is_boolean(array.type):
        array = array.cast(pa.uint8())
    elif not t.is_integer(array.type):
        array = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    values = array.fill_null(0).to_numpy(zero_copy_only=False)
    return values.astype(np.int64).view(np.uint64) if values.dtype.kind == "i" else values.astype(np.uint64)


def _hash_bytes(data: pa.Buffer | None, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    found = mix(lengths.astype(np.uint64))
    if data is None or not lengths.any():
        return found
    first, last = int(starts.min()), int((starts + lengths).max())  # the buffer may be of a much longer batch
    padded = np.concatenate([np.frombuffer(data, np.uint8)[first:last], np.zeros(8, np.uint8)])
    words = np.ndarray((len(padded) - 7,), "<u8", padded, strides=(1,))  # eight bytes from each place on
    active = np.flatnonzero(lengths)
    done = 0
    while len(active):
        rest = lengths[active] - done
        word = words[starts[active] - first + done]
        short = rest < 8
        kept = (np.uint64(1) << (rest[short] * 8).astype(np.uint64)) - np.uint64(1)
        word[short] &= kept
        found[active] = mix(found[active] ^ word)
        done += 8
        active = active[rest > 8]
    return found
