"""The split grammar of TFDS: "train[:80%]+test" to rows of shards. Pure functions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ailab_dataproc.errors import InvalidRequest, unknown

_PART = re.compile(r"\s*(?P<name>[A-Za-z0-9_]+)\s*(\[\s*(?P<start>[^:\]]*?)\s*:\s*(?P<stop>[^:\]]*?)\s*\])?\s*")
_BOUND = re.compile(r"(?P<number>-?\d+(\.\d+(?=%))?)(?P<percent>%?)")


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows [start, stop) of one split."""

    split: str
    start: int  # row
    stop: int  # row


@dataclass(frozen=True, slots=True)
class Pieces:
    """Rows of shards of one split, an entry a shard: `take` of them after `skip`."""

    split: str
    shard: np.ndarray  # numbers within the split
    skip: np.ndarray  # rows
    take: np.ndarray  # rows


def parse(spec: str, rows: Mapping[str, int], where: str) -> tuple[Slice, ...]:
    """Read a split spec in the grammar of TFDS: names, ``[start:stop]`` in rows or per cent, ``+``.

    Per cent bounds round to the nearest row, as TFDS does by default.

    Args:
        spec: such as ``"train"``, ``"train[:80%]"``, ``"train[-10%:]+test[100:200]"``, or ``"all"``.
        rows: the number of rows of each split.
        where: the dataset, for messages.

    Raises:
        UnknownName: a split that doesn't exist.
        InvalidRequest: a text outside the grammar, a bound outside the split, or two parts that share rows.
    """
    slices: list[Slice] = []
    for text in spec.split("+"):
        match = _PART.fullmatch(text)
        if not match:
            raise InvalidRequest(f"{where}: split {spec!r} can't be read. Write it as 'train[:80%]' or 'train+test'.")
        name = match["name"]
        if name == "all" and "all" not in rows:
            slices += [Slice(one, 0, count) for one, count in rows.items()]
            continue
        if name not in rows:
            raise unknown("split", name, rows, where=where)
        _check_units(match["start"], match["stop"], where, spec)
        start = _bound(match["start"], rows[name], 0, where, spec)
        stop = _bound(match["stop"], rows[name], rows[name], where, spec)
        if start > stop:
            raise InvalidRequest(
                f"{where}: split {spec!r} ends (row {stop}) before it starts (row {start}). Swap the bounds."
            )
        slices.append(Slice(name, start, stop))
    _check_disjoint(slices, spec, where)
    return tuple(slices)


def pieces(part: Slice, shard_rows: Sequence[int]) -> Pieces:
    """Cut a slice of a split into pieces of its shards, in order; shards that it doesn't touch are left out."""
    rows = np.asarray(shard_rows, dtype=np.int64)
    first = np.cumsum(rows) - rows
    skip = np.maximum(part.start - first, 0)
    take = np.minimum(part.stop - first, rows) - skip
    shard = np.flatnonzero(take > 0)
    return Pieces(part.split, shard, skip[shard], take[shard])


def _bound(text: str | None, rows: int, default: int, where: str, spec: str) -> int:
    if not text:
        return default
    match = _BOUND.fullmatch(text.replace("_", ""))
    if not match:
        raise InvalidRequest(
            f"{where}: split {spec!r} has the bound {text!r}, wanted rows such as 1000 or per cent such as 80%."
        )
    number = 0
    if match["percent"]:
        percent = float(match["number"])
        if abs(percent) > 100:
            raise InvalidRequest(f"{where}: split {spec!r} asks for {match['number']}%, wanted -100% to 100%.")
        number = round(percent * rows / 100)
    else:
        number = int(match["number"])
    if abs(number) > rows:
        raise InvalidRequest(f"{where}: split {spec!r} asks for row {number}, but the split has {rows:,} rows.")
    return number + rows if number < 0 else number


def _check_units(start: str | None, stop: str | None, where: str, spec: str) -> None:
    """TFDS takes both bounds for per cent where one is; a reader would not, so mixing them is refused."""
    given = [bound for bound in (start, stop) if bound and bound.lstrip("-") != "0"]
    if len({bound.endswith("%") for bound in given}) > 1:
        raise InvalidRequest(f"{where}: split {spec!r} mixes rows and per cent. Write both bounds in one of them.")


def _check_disjoint(slices: Sequence[Slice], spec: str, where: str) -> None:
    ordered = sorted((one for one in slices if one.stop > one.start), key=lambda one: (one.split, one.start))
    for left, right in itertools.pairwise(ordered):
        if left.split == right.split and right.start < left.stop:
            raise InvalidRequest(
                f"{where}: split {spec!r} names rows {right.start} to {min(left.stop, right.stop)} of "
                f"{left.split!r} twice. Make its parts disjoint."
            )
