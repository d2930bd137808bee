"""One epoch as a stream of batches: blocks are read ahead in threads, windows of them permuted, batches cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from ailab_dataproc.backends.ahead import ahead
from ailab_dataproc.backends.shards import Selection, read_part, threads
from ailab_dataproc.batching import order
from ailab_dataproc.batching.asked import Asked
from ailab_dataproc.batching.order import WINDOW, Blocks, Position
from ailab_dataproc.batching.rows import Format, Rows, join
from ailab_dataproc.machine import processors

AHEAD = 4  # blocks that are read, or wait, while one is handed out
Cut = Callable[[int, int], Rows]  # rows of a window: from which one on, how many


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one worker gives of an epoch."""

    first: Position
    windows: int  # where it ends
    batches: int | None  # how many; None where only reading tells


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """One epoch of one rank."""

    asked: Asked
    selection: Selection
    format: Format
    takes: np.ndarray  # rows of each part; before a filter that nothing counts
    number: int

    def stream(self, start: Position, worker: int, workers: int) -> Iterator[tuple[Any, Position]]:
        """Batches, and where the epoch stands behind each.

        Args:
            start: where to begin in the worker's stretch.
            worker: which stretch of the rank's rows this is, from 0.
            workers: how many stretches.
        """
        blocks = self._blocks()
        stretch = self.stretch(blocks, start, worker, workers)
        cuts = self._cut(self._windows(blocks, stretch), stretch.first.row)
        placed = self._placed(islice(cuts, stretch.batches), start.batch)
        if self.format.images:
            return ahead(self._finish, placed, limit=processors(), threads=processors())
        return map(self._finish, placed)

    def stretch(self, blocks: Blocks, start: Position, worker: int, workers: int) -> Stretch:
        """What one of the rank's workers gives: the same batches as one alone, or, with a filter, whole windows."""
        asked, size = self.asked, self._window
        if asked.uncounted:
            begin, end = order.share(order.count_windows(blocks, size), worker, workers)
            first = start if start.batch else Position(begin, 0, 0)
            return Stretch(first, end, None)
        windows = order.rows_of_windows(blocks, size)
        begin, end = order.share(asked.batches(int(self.takes.sum())), worker, workers)
        first = order.position_of(begin + start.batch, asked.batch_size, windows)
        ends = np.cumsum(windows)
        last = int(np.searchsorted(ends, end * asked.batch_size, side="left")) + 1
        return Stretch(first, min(last, len(windows)) if end > begin else 0, end - begin - start.batch)

    @property
    def _window(self) -> int:
        return WINDOW if self.asked.shuffle else 1

    def _blocks(self) -> Blocks:
        asked = self.asked
        mixed = order.permutation(len(self.takes), (asked.seed, self.number)) if asked.shuffle else None
        return order.blocks_of_rank(self.takes, mixed, asked.rank, asked.world_size)

    def _windows(self, blocks: Blocks, stretch: Stretch) -> Iterator[tuple[int, int, Cut]]:
        """Number, rows and how to cut them, of each window."""
        size, asked = self._window, self.asked
        numbers = range(stretch.first.window * size, min(stretch.windows * size, len(blocks.part)))
        side_by_side = max(2, threads(self.selection.parts))
        read = ahead(lambda number: self._read(blocks, number), numbers, limit=AHEAD, threads=side_by_side)
        for window in range(stretch.first.window, stretch.windows):
            rows = join(list(islice(read, size)), whole=asked.shuffle)
            yield window, rows.count, self._shuffled(rows, window) if asked.shuffle else rows.slice
            del rows  # before the next one is made

    def _shuffled(self, rows: Rows, window: int) -> Cut:
        asked = self.asked
        mixed = order.permutation(rows.count, (asked.seed, self.number, window + 1, asked.rank))
        return lambda start, count: rows.take(mixed[start : start + count])

    def _read(self, blocks: Blocks, number: int) -> Rows:
        part = self.selection.parts[int(blocks.part[number])]
        skip, take = int(blocks.skip[number]), int(blocks.take[number])
        if part.pick is not None:  # which rows they are depends on the whole part
            return self.format.rows(read_part(part, self.selection.schema).slice(skip, take))
        if take < part.take:
            part = replace(part, skip=part.skip + skip, take=take, bytes=part.bytes * take // part.take)
        return self.format.rows(read_part(part, self.selection.schema))

    def _cut(self, windows: Iterator[tuple[int, int, Cut]], skip: int) -> Iterator[tuple[Rows, int, int]]:
        """Batches, each with the window and the row behind it."""
        size = self.asked.batch_size
        pieces: list[Rows] = []
        missing, at, window = size, skip, 0
        for window, count, cut in windows:
            while at < count:
                take = min(missing, count - at)
                pieces.append(cut(at, take))
                at, missing = at + take, missing - take
                if not missing:
                    yield join(pieces), window, at
                    pieces, missing = [], size
            at -= count
            del cut
        if pieces and not self.asked.drop_remainder:
            yield join(pieces), window + 1, 0

    def _placed(self, cuts: Iterator[tuple[Rows, int, int]], before: int) -> Iterator[tuple[Rows, Position]]:
        for number, (rows, window, row) in enumerate(cuts, before + 1):
            yield rows, Position(window, row, number)

    def _finish(self, cut: tuple[Rows, Position]) -> tuple[Any, Position]:
        return self.format.batch(cut[0], self.selection.schema), cut[1]
