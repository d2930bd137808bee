"""Serialized tf.train.Examples -> the values of each key, for thousands of rows at once, without TensorFlow.

Each step handles one part of the message (a tag, a length, a key) for all rows together. What protobuf allows but no
known writer does (unpacked numbers, fields in another order) is left to protobuf itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ailab_dataproc.errors import InvalidData
from ailab_dataproc.preparation.example import binary
from ailab_dataproc.preparation.framing import Block

_KINDS = {0x0A: "bytes", 0x12: "float", 0x1A: "int64"}  # tags of Feature.bytes_list, float_list, int64_list
_DTYPES: dict[str, Any] = {"float": np.dtype("<f4"), "int64": np.dtype(np.int64)}
_LONG = 256  # bytes a value on average, from which on slices are joined rather than gathered byte by byte


class _Unusual(Exception):
    """A message that only protobuf should read."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What one key holds in n rows."""

    values: np.ndarray | pa.Array  # int64, float32 or large_binary, flat
    counts: np.ndarray  # int64 (n,): values of each row
    present: np.ndarray  # bool (n,): whether the row has the key, if with no value


@dataclass(frozen=True, slots=True)
class _Lists:
    """Where the list of a key lies in each row; stop == start where it is empty or absent."""

    starts: np.ndarray
    stops: np.ndarray
    kinds: np.ndarray  # tags; 0: absent


def parse(block: Block, keys: Sequence[str]) -> dict[str, Stored]:
    """The values of some keys; a key that no row has is left out.

    Raises:
        InvalidData: a record that is no tf.train.Example; the message says which of the block.
    """
    try:
        buffer = np.frombuffer(block.data, np.uint8)
        found = {key: _stored(buffer, lists) for key, lists in _find(buffer, block, keys).items()}
        return {key: one for key, one in found.items() if one is not None}
    except (_Unusual, IndexError):
        return _by_protobuf(block, keys)


def _find(buffer: np.ndarray, block: Block, keys: Sequence[str]) -> dict[str, _Lists]:
    """Walk through the entries of Example.features.feature, the first of all rows, then the second, and so on."""
    rows = len(block.starts)
    encoded = [key.encode() for key in keys]
    empty = [np.zeros((3, rows), np.int64) for _ in keys]
    place = block.starts.copy()
    filled = np.flatnonzero(place < block.stops)
    if len(filled):
        place[filled] = _entered(buffer, place[filled], 0x0A, block.stops[filled])
    guess = 0
    while len(filled := filled[place[filled] < block.stops[filled]]):
        begin, end = _message(buffer, place[filled], 0x0A)
        _require(bool((end <= block.stops[filled]).all()))
        key, value = _message(buffer, begin, 0x0A)
        inside, stop = _message(buffer, value, 0x12)
        _require(bool((stop == end).all()))
        which = _which(buffer, key, value - key, encoded, guess)
        guess = (int(which[0]) + 1) % max(1, len(keys)) if which[0] >= 0 else guess
        _keep(buffer, (filled, which, inside, end), empty)
        place[filled] = end
    return {key: _Lists(one[0], one[1], one[2]) for key, one in zip(keys, empty, strict=True)}


def _keep(
    buffer: np.ndarray, entries: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], kept: list[np.ndarray]
) -> None:
    """Note where the lists of wanted keys lie: (rows, keys, first byte, last byte) of one entry of each row."""
    rows, which, inside, end = entries
    wanted = np.flatnonzero((which >= 0) & (inside < end))
    rows, which, inside, end = rows[wanted], which[wanted], inside[wanted], end[wanted]
    tags = buffer[inside].astype(np.int64)
    start, size = _varint(buffer, inside + 1)
    _require(bool((start + size == end).all()))
    for number in np.unique(which):
        mine = which == number
        lists = kept[number]
        _require(not lists[2][rows[mine]].any())  # a key twice
        lists[0][rows[mine]], lists[1][rows[mine]], lists[2][rows[mine]] = start[mine], end[mine], tags[mine]


def _which(buffer: np.ndarray, start: np.ndarray, sizes: np.ndarray, keys: list[bytes], guess: int) -> np.ndarray:
    """The number of the key that stands at each place; -1 for one that isn't wanted."""
    found = np.full(len(start), -1, np.int64)
    left = np.arange(len(start))
    for number in (*range(guess, len(keys)), *range(guess)):
        key = keys[number]
        same = left[sizes[left] == len(key)]
        if len(same):
            text = np.frombuffer(key, np.uint8)
            hits = same[(buffer[start[same][:, None] + np.arange(len(key))] == text).all(axis=1)]
            found[hits] = number
            left = np.flatnonzero(found < 0) if len(hits) else left
        if not len(left):
            break
    return found


def _stored(buffer: np.ndarray, lists: _Lists) -> Stored | None:
    tags = set(np.unique(lists.kinds).tolist()) - {0}
    if not tags:
        return None
    _require(len(tags) == 1 and next(iter(tags)) in _KINDS)
    kind = _KINDS[tags.pop()]
    if kind == "bytes":
        return _byte_strings(buffer, lists)
    filled = np.flatnonzero(lists.stops > lists.starts)
    starts = lists.starts.copy()
    starts[filled] = _entered(buffer, starts[filled], 0x0A, lists.stops[filled])
    sizes = lists.stops - starts
    data = _gathered(buffer, starts, sizes)
    if kind == "float":
        _require(not (sizes % 4).any())
        return Stored(data.view(_DTYPES["float"]), sizes // 4, lists.kinds != 0)
    return Stored(*_integers(data, sizes), lists.kinds != 0)


def _integers(data: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of all rows' varints, and how many each row has; `sizes` are the bytes of each."""
    last = data < 128
    ends = np.flatnonzero(last) + 1
    before = np.concatenate([[0], np.cumsum(last)])
    edges = np.concatenate([[0], np.cumsum(sizes)])
    _require(not len(data) or (bool(last[-1]) and bool(last[edges[1:][sizes > 0] - 1].all())))
    counts = np.diff(before[edges])
    if len(ends) == len(data):
        return data.astype(np.int64), counts
    begins = np.concatenate([[0], ends[:-1]])
    widths = ends - begins
    _require(int(widths.max()) <= 10)
    values = np.zeros(len(ends), np.uint64)
    for place in range(int(widths.max())):
        longer = np.flatnonzero(widths > place)
        values[longer] |= (data[begins[longer] + place] & np.uint8(127)).astype(np.uint64) << np.uint64(7 * place)
    return values.view(np.int64), counts


def _byte_strings(buffer: np.ndarray, lists: _Lists) -> Stored:
    rows, order, starts, sizes = [], [], [], []
    place, active, number = lists.starts.copy(), np.flatnonzero(lists.stops > lists.starts), 0
    while len(active):
        begin, end = _message(buffer, place[active], 0x0A)
        _require(bool((end <= lists.stops[active]).all()))
        rows.append(active)
        order.append(np.full(len(active), number))
        starts.append(begin)
        sizes.append(end - begin)
        place[active] = end
        active, number = active[end < lists.stops[active]], number + 1
    if not rows:
        return Stored(pa.array([], pa.large_binary()), np.zeros(len(place), np.int64), lists.kinds != 0)
    counts = np.bincount(np.concatenate(rows), minlength=len(place)).astype(np.int64)
    first, length = np.concatenate(starts), np.concatenate(sizes)
    if number > 1:
        sorting = np.lexsort((np.concatenate(order), np.concatenate(rows)))
        first, length = first[sorting], length[sorting]
    ends = np.zeros(len(length) + 1, np.int64)
    np.cumsum(length, out=ends[1:])
    return Stored(binary(_gathered(buffer, first, length), ends), counts, lists.kinds != 0)


def _gathered(buffer: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Pieces of a buffer, one behind the other."""
    total = int(sizes.sum())
    if total > _LONG * len(sizes):
        view = buffer.data
        pieces = [view[a : a + n] for a, n in zip(starts.tolist(), sizes.tolist(), strict=True)]
        return np.frombuffer(b"".join(pieces), np.uint8)
    ends = np.cumsum(sizes)
    return buffer[np.repeat(starts - ends + sizes, sizes) + np.arange(total)]


def _message(buffer: np.ndarray, place: np.ndarray, tag: int) -> tuple[np.ndarray, np.ndarray]:
    """Where messages begin and end whose tag stands at each place."""
    _require(bool((buffer[place] == tag).all()))
    start, size = _varint(buffer, place + 1)
    return start, start + size


def _entered(buffer: np.ndarray, place: np.ndarray, tag: int, stop: np.ndarray) -> np.ndarray:
    """Where messages begin whose tag stands at each place, and which fill all until `stop`."""
    start, end = _message(buffer, place, tag)
    _require(bool((end == stop).all()))
    return start


def _varint(buffer: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bytes after a varint at each place, and its value; of lengths, so five bytes at most."""
    here = buffer[place]
    value, after = (here & 127).astype(np.int64), place + 1
    more = np.flatnonzero(here > 127)
    for shift in range(7, 35, 7):
        if not len(more):
            return after, value
        here = buffer[after[more]]
        value[more] |= (here & 127).astype(np.int64) << shift
        after[more] += 1
        more = more[here > 127]
    raise _Unusual


def _require(usual: bool) -> None:
    if not usual:
        raise _Unusual


def _by_protobuf(block: Block, keys: Sequence[str]) -> dict[str, Stored]:
    features = list(_messages(block))
    found = {}
    for key in keys:
        lists = [one.get(key) for one in features]
        kinds = {one.WhichOneof("kind") for one in lists if one is not None} - {None}
        if len(kinds) > 1:
            raise InvalidData(f"feature {key!r} holds {' and '.join(sorted(kinds))} in different records")
        if kinds:
            kind = kinds.pop()
            values = [[] if one is None else list(getattr(one, kind).value) for one in lists]
            flat = [value for row in values for value in row]
            counts = np.array([len(row) for row in values], np.int64)
            name = kind.removesuffix("_list")
            array = pa.array(flat, pa.large_binary()) if name == "bytes" else np.array(flat, _DTYPES[name])
            present = np.array([one is not None for one in lists], np.bool_)
            found[key] = Stored(array, counts, present)
    return found


def _messages(block: Block) -> Iterator[Any]:
    from google.protobuf.message import DecodeError
    from tensorflow_datasets.proto import tf_example_pb2

    view = memoryview(block.data)
    for number, (start, stop) in enumerate(zip(block.starts.tolist(), block.stops.tolist(), strict=True)):
        try:
            yield tf_example_pb2.Example.FromString(bytes(view[start:stop])).features.feature
        except DecodeError as error:
            raise InvalidData(f"record {number + 1:,} of its block is no tf.train.Example ({error})") from error
