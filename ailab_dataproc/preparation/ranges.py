"""One huge source becomes parts that several workers read: lines of a text file, row groups of a Parquet file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.urls import is_web

_PARQUET = (".parquet", ".pq")
_CSV = {".csv": b",", ".tsv": b"\t"}
_JSON = (".jsonl", ".ndjson")
_WINDOW = 8 << 20  # bytes of a CSV file looked at in one step
_QUOTE = 0x22


def divide_all(
    dataset: Dataset, sources: Mapping[str, Sequence[Source]], layout: Layout
) -> dict[str, tuple[Source, ...]]:
    """Replace each source that is larger than a task should be, and can be cut, by its parts.

    What is cut where depends on the source and the layout only, never on the number of workers. Not cut are compressed
    text, files of web servers, CSV files that aren't on this disk (whether a line end stands in quotes is known only
    from the start of the file), and sources of a `read` function that doesn't say ``by_line``.

    Args:
        dataset: the definition.
        sources: by split.
        layout: says how large a task should be.
    """
    with ThreadPoolExecutor() as pool:
        return {
            split: tuple(
                part for parts in pool.map(lambda one: divide(dataset, one, layout), members) for part in parts
            )
            for split, members in sources.items()
        }


def divide(dataset: Dataset, source: Source, layout: Layout) -> list[Source]:
    """The parts of one source, in order; the source alone where it isn't cut."""
    step = layout.shard_bytes // 2  # text is about as large as what becomes of it as Arrow
    if is_web(source.url):  # whose server may know no ranges
        return [source]
    if source.size <= step and not source.url.lower().endswith(_PARQUET):
        return [source]
    bounds = _bounds(dataset, source, step, layout)
    if bounds is None or len(bounds) <= 2:
        return [source]
    size = source.size // (len(bounds) - 1)
    return [replace(source, part=(start, stop), size=size) for start, stop in pairwise(bounds)]


def _bounds(dataset: Dataset, source: Source, step: int, layout: Layout) -> list[int] | None:
    name = source.url.lower()
    if dataset.read is not None:
        compressed = name.endswith((".gz", ".bz2", ".xz", ".zst"))
        return _even(source.size, step) if dataset.by_line and not compressed else None
    if name.endswith(_PARQUET):
        return _row_groups(source, layout) if source.size > layout.shard_bytes // 16 else None
    if name.endswith(_JSON):
        return _even(source.size, step)
    delimiter = next((mark for ending, mark in _CSV.items() if name.endswith(ending)), None)
    path = source.local_path
    return csv_bounds(path, step, delimiter) if delimiter and path else None


def _even(size: int, step: int) -> list[int]:
    return [*range(0, max(size - step // 2, 1), step), size]


def _row_groups(source: Source, layout: Layout) -> list[int] | None:
    """Numbers of row groups between which the file is cut, so that parts have about a shard's bytes unpacked."""
    try:
        with source.open() as file:
            metadata = pq.ParquetFile(file).metadata
    except pa.ArrowException:  # no Parquet file: the reader says so, with all that it knows
        return None
    bounds, room = [0], layout.shard_bytes
    for number in range(metadata.num_row_groups):
        size = metadata.row_group(number).total_byte_size
        if room < size / 2 and number > bounds[-1]:
            bounds.append(number)
            room = layout.shard_bytes
        room -= size
    return [*bounds, metadata.num_row_groups]


def csv_bounds(path: str, step: int, delimiter: bytes) -> list[int] | None:
    """The bytes at which lines of a CSV file begin, about `step` apart, from 0 to the file's size.

    A line end inside of quotes is part of a value. Counting quotes from the start of the file tells inside from
    outside, provided that each one that opens stands at the start of a field; where one doesn't, the answer is None.

    Args:
        path: on this disk.
        step: bytes.
        delimiter: one byte.
    """
    size, bounds = os.path.getsize(path), [0]
    wanted, inside, before = step, False, b"\n"  # a line begins before the file's first byte
    with open(path, "rb") as file:
        for start in range(0, size, _WINDOW):
            window = _Window(start, before + file.read(_WINDOW), inside)
            if (start == 0 and window.data[1:3] in (b"\xff\xfe", b"\xfe\xff")) or not window.well_placed(delimiter):
                return None  # UTF-16, of which the reader tells, or quotes inside of fields
            while wanted < window.stop and size - wanted > step // 2:
                found = window.line_start(max(wanted, bounds[-1] + 1))
                if found is None or found >= size:  # no line ends here any more: look on in the next window
                    wanted = window.stop
                    break
                bounds.append(found)
                wanted = max(wanted + step, found)
            inside ^= bool(len(window.quotes) % 2)
            before = window.data[-1:]
        return [*bounds, size]


class _Window:
    """Some bytes of a CSV file, and the one before them."""

    def __init__(self, start: int, data: bytes, inside: bool) -> None:
        self.data = data
        self.stop = start + len(data) - 1
        self._start = start
        self._inside = inside  # of quotes, where it begins
        array = np.frombuffer(data, np.uint8)
        # Places behind the byte before; looking for one quote first is several times as fast as comparing all bytes.
        self.quotes = np.flatnonzero(array[1:] == _QUOTE) if data.find(b'"', 1) >= 0 else np.empty(0, np.int64)
        self._before = array[self.quotes]

    def well_placed(self, delimiter: bytes) -> bool:
        """Whether each quote that opens stands at a field's start, or is the second of a pair."""
        opening = self._before[int(self._inside) :: 2]
        return bool(np.isin(opening, np.frombuffer(b'\n\r"' + delimiter, np.uint8)).all())

    def line_start(self, place: int) -> int | None:
        """The first byte of the file, from a place on, at which a line begins outside of quotes."""
        at = place - self._start
        while (end := self.data.find(b"\n", at)) >= 0:  # the byte before `place` stands at `at`
            if (int(np.searchsorted(self.quotes, end - 1)) + self._inside) % 2 == 0:
                return self._start + end
            at = end + 1
        return None
