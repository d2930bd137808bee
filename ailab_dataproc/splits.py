"""The split grammar of TFDS: "train[:80%]+test" to rows of shards. Pure functions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ailab_dataproc.errors import InvalidRequest, unknown

_PART = re.compile(r"\s*(?P<name>[\w-]+)\s*(\[\s*(?P<start>[^:\]]*?)\s*((?P<colon>:)\s*(?P<stop>[^:\]]*?)\s*)?\])?\s*")
_BOUND = re.compile(r"(?P<number>-?[\d_.]+)(?P<unit>%|shard)?")
_FORM = "Write it as 'train[:80%]', 'train[1000:2000]', 'train[1shard:3shard]' or 'train+test'."


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows [start, stop) of one split."""

    split: str
    start: int  # row
    stop: int  # row

    def __str__(self) -> str:
        return f"{self.split}[{self.start}:{self.stop}]"


@dataclass(frozen=True, slots=True)
class Pieces:
    """Rows of shards of one split, an entry a shard: `take` of them after `skip`."""

    split: str
    shard: np.ndarray  # numbers within the split
    skip: np.ndarray  # rows
    take: np.ndarray  # rows


@dataclass(frozen=True, slots=True)
class _Bound:
    """One end of a slice, as it is written."""

    number: float  # of its unit; negative from the end
    unit: str  # "%", "shard", or nothing for rows


def parse(spec: str, shards: Mapping[str, Sequence[int]], where: str) -> tuple[Slice, ...]:
    """Read a split spec in the grammar of TFDS: names, ``[start:stop]`` in rows, per cent or shards, ``+``.

    Per cent bounds round to the nearest row, as TFDS does by default.

    Args:
        spec: such as ``"train"``, ``"train[:80%]"``, ``"train[-10%:]+test[100:200]"``, ``"train[3shard]"``, or
            ``"all"``.
        shards: the rows of each shard, by split.
        where: the dataset, for messages.

    Raises:
        UnknownName: a split that doesn't exist.
        InvalidRequest: a text outside the grammar, a bound outside the split, or two parts that share rows.
    """
    if not isinstance(spec, str):
        raise InvalidRequest(f"{where}: split {spec!r} is no text. {_FORM}")
    slices: list[Slice] = []
    for text in spec.split("+"):
        match = _PART.fullmatch(text)
        if not match:
            raise InvalidRequest(f"{where}: split {spec!r} can't be read. {_FORM}")
        name = match["name"]
        if name == "all" and "all" not in shards:
            if match["start"] is not None:
                raise InvalidRequest(
                    f"{where}: split {spec!r} slices 'all'. Slice each split: 'train[:10%]+test[:10%]'."
                )
            slices += [Slice(one, 0, sum(rows)) for one, rows in shards.items()]
            continue
        if name not in shards:
            raise unknown("split", name, shards, where=where)
        if match["start"] is None:
            slices.append(Slice(name, 0, sum(shards[name])))
        else:
            slices.append(_slice(match, shards[name], where, spec))
    _check_disjoint(slices, spec, where)
    return tuple(slices)


def even(slices: Sequence[Slice], count: int, *, drop_remainder: bool = False) -> list[str]:
    """Specs that share the rows of slices among so many workers, as ``tfds.even_splits`` does.

    Each slice is shared on its own. The first workers get one row more of it where it can't be shared evenly, or, with
    `drop_remainder`, these rows are left out.
    """
    specs = []
    for worker in range(count):
        parts = []
        for one in slices:
            share, rest = divmod(one.stop - one.start, count)
            more = 0 if drop_remainder else rest
            start, stop = (one.start + share * i + min(i, more) for i in (worker, worker + 1))
            parts.append(Slice(one.split, start, stop))
        filled = [part for part in parts if part.stop > part.start]
        specs.append("+".join(map(str, filled or parts[:1])))
    return specs


def pieces(part: Slice, shard_rows: Sequence[int]) -> Pieces:
    """Cut a slice of a split into pieces of its shards, in order; shards that it doesn't touch are left out."""
    rows = np.asarray(shard_rows, dtype=np.int64)
    first = np.cumsum(rows) - rows
    skip = np.maximum(part.start - first, 0)
    take = np.minimum(part.stop - first, rows) - skip
    shard = np.flatnonzero(take > 0)
    return Pieces(part.split, shard, skip[shard], take[shard])


def _slice(match: re.Match[str], rows: Sequence[int], where: str, spec: str) -> Slice:
    """The rows of ``name[start:stop]``, or of ``name[3shard]``."""
    start, stop = (_bound(match[key], where, spec) for key in ("start", "stop"))
    units = {one.unit for one in (start, stop) if one and (one.number or one.unit)}
    if len(units) > 1:  # TFDS takes both bounds for per cent where the first is; a reader would not
        raise InvalidRequest(f"{where}: split {spec!r} mixes units. Write both bounds in rows, per cent or shards.")
    total = sum(rows)
    if match["colon"] is None:
        if start is None or start.unit != "shard":
            raise InvalidRequest(f"{where}: split {spec!r} can't be read. {_FORM}")
        number = _shard(start, rows, where, spec)
        if number == len(rows):
            raise _outside(f"shard {number}", rows, where, spec)
        return Slice(match["name"], sum(rows[:number]), sum(rows[: number + 1]))
    if stop and stop.unit == "shard" and not stop.number:  # TFDS takes it for all shards
        raise InvalidRequest(f"{where}: split {spec!r} ends before its first shard. Leave the bound out to have all.")
    first = 0 if start is None else _row(start, rows, where, spec)
    last = total if stop is None else _row(stop, rows, where, spec)
    if first > last:
        raise InvalidRequest(
            f"{where}: split {spec!r} ends (row {last:,}) before it starts (row {first:,}). Swap the bounds."
        )
    return Slice(match["name"], first, last)


def _bound(text: str | None, where: str, spec: str) -> _Bound | None:
    if not text:
        return None
    match = _BOUND.fullmatch(text)
    try:
        if match:
            unit = match["unit"] or ""
            return _Bound(float(match["number"]) if unit == "%" else int(match["number"]), unit)
    except ValueError:  # such as 1.5 rows, or 1.2.3 %
        match = None
    raise InvalidRequest(
        f"{where}: split {spec!r} has the bound {text!r}, wanted rows such as 1000, per cent such as 80%, or shards "
        "such as 3shard."
    )


def _row(bound: _Bound, rows: Sequence[int], where: str, spec: str) -> int:
    """The row that a bound stands for."""
    total = sum(rows)
    if bound.unit == "shard":
        return sum(rows[: _shard(bound, rows, where, spec)])
    number = int(bound.number)
    if bound.unit == "%":
        if abs(bound.number) > 100:
            raise InvalidRequest(f"{where}: split {spec!r} asks for {bound.number:g}%, wanted -100% to 100%.")
        number = round(bound.number * total / 100)
    if abs(number) > total:
        raise _outside(f"row {number:,}", rows, where, spec)
    return number + total if number < 0 else number


def _shard(bound: _Bound, rows: Sequence[int], where: str, spec: str) -> int:
    number = int(bound.number)
    if abs(number) > len(rows):
        raise _outside(f"shard {number}", rows, where, spec)
    return number + len(rows) if number < 0 else number


def _outside(asked: str, rows: Sequence[int], where: str, spec: str) -> InvalidRequest:
    known = f"{len(rows):,} shard{'s' * (len(rows) != 1)}" if asked.startswith("shard") else f"{sum(rows):,} rows"
    return InvalidRequest(f"{where}: split {spec!r} asks for {asked}, but the split has {known}.")


def _check_disjoint(slices: Sequence[Slice], spec: str, where: str) -> None:
    ordered = sorted((one for one in slices if one.stop > one.start), key=lambda one: (one.split, one.start))
    for left, right in itertools.pairwise(ordered):
        if left.split == right.split and right.start < left.stop:
            raise InvalidRequest(
                f"{where}: split {spec!r} names rows {right.start} to {min(left.stop, right.stop)} of "
                f"{left.split!r} twice. Make its parts disjoint."
            )
