"""limit= and sample=: which of the rows a load takes. The same ones on every machine and backend. Pure functions."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ailab_dataproc.errors import InvalidRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """The first rows, or some at random."""

    rows: int | None = None  # how many, or
    fraction: float | None = None  # which part of all
    seed: int | None = None  # of the random rows; None for the first ones

    def of(self, total: int) -> int:
        """How many rows of so many."""
        return min(self.rows, total) if self.rows is not None else round((self.fraction or 0) * total)

    def __str__(self) -> str:
        if self.seed is None:
            return f"limit {self.rows:,}"
        size = f"{self.rows:,}" if self.rows is not None else f"{(self.fraction or 0) * 100:g} %"
        return f"sample {size}, seed {self.seed}"


def parse(limit: Any, sample: Any, seed: Any) -> Draw | None:
    """Read what a load asks for; None for all rows.

    Args:
        limit: how many rows from the first on.
        sample: how many rows at random (an int), or which part of all (a float up to 1.0).
        seed: of the sample.

    Raises:
        InvalidRequest: both, or a value that can't be meant.
    """
    if limit is not None and sample is not None:
        raise InvalidRequest(
            f"limit={limit!r} and sample={sample!r}: wanted one of them. sample= takes a number of rows too."
        )
    if limit is not None:
        rows = _whole(limit)
        if rows is None or rows < 0:
            raise InvalidRequest(f"limit={limit!r}: wanted a number of rows, such as 1000.")
        return Draw(rows=rows)
    if sample is None:
        return None
    number = _whole(seed)
    if number is None or number < 0:
        raise InvalidRequest(f"seed={seed!r}: wanted a whole number from 0 on.")
    rows = _whole(sample)
    if rows is not None and rows > 0:
        return Draw(rows=rows, seed=number)
    if isinstance(sample, float | np.floating) and 0 < sample <= 1:
        return Draw(fraction=float(sample), seed=number)
    raise InvalidRequest(f"sample={sample!r}: wanted a number of rows such as 1000, or a part of them such as 0.01.")


def first(counts: np.ndarray, rows: int) -> np.ndarray:
    """How many rows the first so many take from each shard."""
    before = np.cumsum(counts) - counts
    return np.clip(rows - before, 0, counts)


def share(counts: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """How many rows a sample takes from each shard: its share of them, rounded down or up at random.

    Every row has the same chance, also where shards are many and rows few. (A sample that ignored the shards would draw
    from the multivariate hypergeometric distribution, which NumPy has up to a billion rows, and spread less evenly.)

    Args:
        counts: the rows of each shard.
        rows: of the sample, at most all.
        seed: of the sample.
    """
    total = int(counts.sum())
    if not total:
        return np.zeros(len(counts), dtype=np.int64)
    keys = _random(len(counts) + 1, [seed])
    order = np.argsort(keys[:-1], kind="stable")  # else shards at regular distances would go together
    ends = np.cumsum(counts[order]).astype(object)  # Python's integers: rows times rows don't fit into 64 bits
    upto = (ends * rows + int(keys[-1]) % total) // total
    taken = np.zeros(len(counts), dtype=np.int64)
    taken[order] = np.diff(upto, prepend=0).astype(np.int64)
    return taken


def places(count: int, rows: int, seed: int | None, shard: Sequence[int]) -> np.ndarray:
    """Which rows of one shard are taken, in their order.

    Args:
        count: rows to take from.
        rows: how many of them.
        seed: of the sample; None for the first rows.
        shard: numbers that tell the shard from others.
    """
    if seed is None or rows >= count:
        return np.arange(min(rows, count))
    if rows <= 0:
        return np.arange(0)
    keys = _random(count, [seed, *shard])
    return np.flatnonzero(keys <= np.partition(keys, rows - 1)[rows - 1])[:rows]


def _random(count: int, seeds: Sequence[int]) -> np.ndarray:
    """Random 64-bit numbers. NumPy promises the same raw numbers in all versions, but not the same permutations."""
    return np.random.PCG64(np.random.SeedSequence(list(seeds))).random_raw(count)


def _whole(value: Any) -> int | None:
    """An integer of any kind, but no truth value; None for anything else."""
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
