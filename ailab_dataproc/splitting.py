"""Splits that are cut from one pool of sources, row by row: by a hash of key columns, or by a column's value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import InvalidDefinition


@dataclass(frozen=True, slots=True)
class Pooled(Mapping[str, tuple[str, ...]]):
    """Sources whose rows are shared out to splits. As a mapping: the splits' names, without sources of their own."""

    sources: tuple[str, ...]  # paths, URLs or globs
    columns: tuple[str, ...]  # whose values decide

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in the order in which they were written down."""
        raise NotImplementedError

    def __getitem__(self, name: str) -> tuple[str, ...]:
        if name not in self.names:
            raise KeyError(name)
        return ()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class ByHash(Pooled):
    """Made by `by_hash`."""

    shares: tuple[tuple[str, float], ...]  # of all rows, summing to 1
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in the order in which they were written down."""
        return tuple(name for name, _ in self.shares)


@dataclass(frozen=True, slots=True)
class ByValue(Pooled):
    """Made by `by_value`."""

    groups: tuple[tuple[str, tuple[Any, ...]], ...]  # values of the column, by split

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in the order in which they were written down."""
        return tuple(name for name, _ in self.groups)


class Later(Mapping[str, tuple[str, ...]]):
    """Splits that are known once their data has been made. As a mapping: none yet.

    Args:
        find: given the folder of downloads, makes the data there where it isn't made yet, and tells what the dataset
            has then, by the arguments of `Dataset`: splits, and a schema that may have gained labels.
    """

    def __init__(self, find: Callable[[Path], Mapping[str, Any]]) -> None:
        self.find = find

    def __getitem__(self, name: str) -> tuple[str, ...]:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True


def arrangement(splits: Mapping[str, Any], *, order: str, seed: int, key: Sequence[str]) -> str:
    """How rows are arranged, in words; values of a column are left out, since they may be personal."""
    told = [f"shuffled (seed {seed})"] if order == "shuffled" else []
    if isinstance(splits, ByHash):
        shares = ", ".join(f"{name} {share:g}" for name, share in splits.shares)
        told.append(f"split by a hash of {', '.join(splits.columns)} ({shares})")
    elif isinstance(splits, ByValue):
        told.append(f"split by the value of {splits.columns[0]}")
    if key:
        told.append(f"key: {', '.join(key)}")
    return "; ".join(told)


def by_hash(
    columns: str | Sequence[str], shares: Mapping[str, float], *, sources: str | Sequence[str], seed: int = 0
) -> ByHash:
    """Share out rows by a hash of key columns: rows with equal keys stay together, and stay where they are for ever.

    A row's split depends on its key, the shares and the seed only: rows that are added later change nothing for those
    that are there.

    Args:
        columns: the key, such as ``"user"``: integers, strings, bytes, dates, times, decimals or booleans.
        shares: such as ``{"train": 0.9, "test": 0.1}``; they sum to 1.
        sources: paths, URLs or globs that hold all rows.
        seed: another one gives another assignment.

    Raises:
        InvalidDefinition: no column, a share that isn't between 0 and 1, or shares that don't sum to 1.
    """
    names = strings(columns)
    told = f"by_hash({', '.join(map(repr, names))})"
    if not names:
        raise InvalidDefinition("by_hash: no columns. Name at least one, such as by_hash('user', …).")
    for name, share in shares.items():
        if not isinstance(share, int | float) or not 0 < share <= 1:
            raise InvalidDefinition(f"{told}: split {name!r} has the share {share!r}, wanted a number from 0 to 1.")
    if not math.isclose(sum(shares.values()), 1, abs_tol=1e-9):
        raise InvalidDefinition(f"{told}: the shares sum to {sum(shares.values()):g}, wanted 1. Mend them.")
    return ByHash(strings(sources), names, tuple((name, float(share)) for name, share in shares.items()), seed)


def by_value(column: str, values: Mapping[str, Any], *, sources: str | Sequence[str]) -> ByValue:
    """Share out rows by a column's value. A row whose value no split names stops the preparation.

    Args:
        column: such as ``"country"``.
        values: by split one value or a list of them, such as ``{"train": ["jp", "us"], "test": "de"}``.
        sources: paths, URLs or globs that hold all rows.

    Raises:
        InvalidDefinition: a split without values, or a value that two splits name.
    """
    told = f"by_value({column!r})"
    found: dict[str, tuple[Any, ...]] = {}
    owner: dict[Any, str] = {}
    for name, given in values.items():
        found[name] = tuple(given) if isinstance(given, list | tuple | set | frozenset) else (given,)
        if not found[name]:
            raise InvalidDefinition(f"{told}: split {name!r} names no value. Give it one, or leave it out.")
        for value in found[name]:
            if owner.setdefault(value, name) != name:
                raise InvalidDefinition(f"{told}: {owner[value]!r} and {name!r} both name the value {value!r}.")
    return ByValue(strings(sources), (column,), tuple(found.items()))


def strings(value: str | Sequence[str]) -> tuple[str, ...]:
    """One text or several, as several."""
    return (value,) if isinstance(value, str) else tuple(value)
