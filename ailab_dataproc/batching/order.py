"""Which rows come when: pure functions of the shards' row counts, a seed, an epoch and a rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WINDOW = 4  # blocks whose rows are permuted together


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows of parts in the order of an epoch, an entry a block: `take` rows of a part after `skip`."""

    part: np.ndarray  # its number in the selection
    skip: np.ndarray  # rows, from the part's first
    take: np.ndarray  # rows; before a filter


@dataclass(frozen=True, slots=True)
class Position:
    """Where an epoch stands: so many rows of a window are behind."""

    window: int
    row: int
    batch: int  # how many batches are behind


def permutation(count: int, seed: tuple[int, ...]) -> np.ndarray:
    """The numbers below `count` in a random order: RandomState's, which NumPy keeps the same in all its versions."""
    return np.random.RandomState(np.random.PCG64(list(seed))).permutation(count)


def blocks_of_rank(takes: np.ndarray, order: np.ndarray | None, rank: int, world_size: int) -> Blocks:
    """One rank's rows: an equal stretch of all rows, which lie in the order of the parts, or in `order`.

    Args:
        takes: rows of each part.
        order: a permutation of the parts, or None.
        rank: from 0.
        world_size: how many ranks; their stretches follow each other, and differ by at most one row.
    """
    part = np.arange(len(takes), dtype=np.int64) if order is None else order
    rows = takes[part]
    ends = np.cumsum(rows)
    total = int(ends[-1]) if len(ends) else 0
    first, last = (total * one // world_size for one in (rank, rank + 1))
    starts = ends - rows
    own = (ends > first) & (starts < last)
    part, starts, ends = part[own], starts[own], ends[own]
    begin, end = np.maximum(starts, first), np.minimum(ends, last)
    return Blocks(part, begin - starts, end - begin)


def count_windows(blocks: Blocks, size: int) -> int:
    """How many windows of so many blocks there are."""
    return -(-len(blocks.part) // size)


def rows_of_windows(blocks: Blocks, size: int) -> np.ndarray:
    """Rows of each window of so many blocks; before a filter."""
    return np.add.reduceat(blocks.take, np.arange(0, len(blocks.take), size)) if len(blocks.take) else blocks.take


def count_batches(total: int, rank: int, world_size: int, batch_size: int, *, drop_remainder: bool) -> int:
    """Batches of one rank in an epoch; with `drop_remainder` the same number on every rank."""
    if drop_remainder:
        return total // world_size // batch_size
    own = total * (rank + 1) // world_size - total * rank // world_size
    return -(-own // batch_size)


def position_of(batch: int, batch_size: int, windows: np.ndarray) -> Position:
    """Where a batch begins.

    Args:
        batch: its number.
        batch_size: rows.
        windows: rows of each.
    """
    row = batch * batch_size
    ends = np.cumsum(windows)
    window = int(np.searchsorted(ends, row, side="right"))
    before = int(ends[window - 1]) if window else 0
    return Position(window, row - before if window < len(windows) else 0, batch)


def share(count: int, worker: int, workers: int) -> tuple[int, int]:
    """The stretch of `count` things that one of some workers takes."""
    return count * worker // workers, count * (worker + 1) // workers
