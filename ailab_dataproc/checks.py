"""Checks of a dataset's rows, as an author writes them: ranges, allowed values, uniqueness, references, ages.

They stand in a list, ``Dataset(..., checks=[...])``, and not on the columns: many are about several columns, or about
all rows of a split. They run while the dataset is prepared, and what they find is kept in the version.

All take these options:
    level: ``"fail"`` (the default) stops the preparation, ``"warn"`` only tells.
    tolerate: how many rows may fail, as a number (``10``) or as a share of those that were looked at (``0.01``).
    split: look at this split only, by default at the rows of all.
    name: in reports; by default what is checked, in words.

A row without a value is passed over by all but `not_null`. NaN is a value, and in no range.

Checks decide no byte of a shard, so they are no part of a version's fingerprint: a version stays usable when they
change. But it holds the results of those that were run on it only; `prepare` names the others.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, TypedDict, Unpack

import pyarrow as pa
import pyarrow.compute as pc

from ailab_dataproc.errors import InvalidDefinition, unknown

LEVELS = ("fail", "warn")
VALUED = ("between", "one_of")  # kinds whose arguments are values of the column
_SHOWN = 4  # values of a list in a name


class Options(TypedDict, total=False):
    """What all checks take; see the top of this module."""

    level: str
    tolerate: float
    split: str


class Named(Options, total=False):
    """What those take whose name is made of their arguments."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. Made by the functions of this module."""

    kind: str  # the function's name
    name: str  # in reports
    columns: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)  # as they were given
    test: Any = field(default=None, compare=False)  # of `satisfies`: an Expression or a function
    level: str = "fail"
    tolerate: float = 0  # rows where it is an int, else a share
    split: str | None = None
    named: bool = False  # whether the author gave the name
    personal: bool = False  # whether a column holds personal data, so that the arguments may, too

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise InvalidDefinition(str(unknown("level", str(self.level), LEVELS, where=f"check {self.name!r}")))
        rows = type(self.tolerate) is int and self.tolerate >= 0
        if not rows and not (type(self.tolerate) is float and 0 <= self.tolerate < 1):
            raise InvalidDefinition(
                f"check {self.name!r}: tolerate={self.tolerate!r}, wanted a number of rows such as 10, or a share of "
                "them such as 0.01."
            )
        if self.tolerate and not self.counts_rows:
            raise InvalidDefinition(f"check {self.name!r}: tolerate= counts rows, and {self.kind} has none that fail.")

    @property
    def counts_rows(self) -> bool:
        """Whether single rows pass or fail."""
        return self.kind not in ("fresh", "rows_between")

    def allows(self, failed: int, rows: int) -> bool:
        """Whether so many of these rows may fail."""
        most = self.tolerate if isinstance(self.tolerate, int) else Fraction(str(self.tolerate)) * rows
        return failed <= most

    def describe(self) -> dict[str, Any]:
        """The check as JSON holds it."""
        told = {"test": _test_name(self.test)} if self.test is not None else _plain(self.arguments)
        if self.personal and self.kind in VALUED:  # its hash tells whether it has changed
            told = {"hidden": hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()}
        return {
            "name": self.name,
            "kind": self.kind,
            "columns": list(self.columns),
            "arguments": told,
            "level": self.level,
            "tolerate": self.tolerate,
            "split": self.split,
        }


def between(
    column: str,
    min: Any = None,
    max: Any = None,
    *,
    include_min: bool = True,
    include_max: bool = True,
    **options: Unpack[Named],
) -> Check:
    """Values lie in a range.

    Args:
        column: of numbers, times (which may be given as text), decimals or texts.
        min: the smallest value; None for no bound.
        max: the largest one.
        include_min: whether `min` itself is right.
        include_max: whether `max` itself is right.
        **options: level, tolerate, split, name.
    """
    _check_bounds(min, max, f"between({column!r})")
    low = f"{'at least' if include_min else 'above'} {min}" if min is not None else ""
    high = f"{'at most' if include_max else 'below'} {max}" if max is not None else ""
    told = " and ".join(part for part in (low, high) if part)
    if low and high and include_min and include_max:
        told = f"between {min} and {max}"
    given = {"min": min, "max": max, "include_min": include_min, "include_max": include_max}
    return _made("between", f"{column} {told}", options, (column,), given)


def one_of(column: str, values: Iterable[Any], **options: Unpack[Named]) -> Check:
    """Values are among those that are named."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidDefinition(f"one_of({column!r}): values is {values!r}, wanted a list: [{values!r}].")
    known = sorted(values, key=str) if isinstance(values, set | frozenset) else list(values)
    if not known:
        raise InvalidDefinition(f"one_of({column!r}): names no value. Give at least one.")
    shown = ", ".join(map(str, known[:_SHOWN])) + (f", … ({len(known):,} in all)" if len(known) > _SHOWN else "")
    return _made("one_of", f"{column} one of {shown}", options, (column,), {"values": known})


def not_null(column: str, **options: Unpack[Named]) -> Check:
    """Rows hold a value. For a column that may lack some: ``not_null("coupon", tolerate=0.9)``."""
    return _made("not_null", f"{column} not null", options, (column,), {})


def matches(column: str, pattern: str, **options: Unpack[Named]) -> Check:
    """The whole text matches a regular expression, in the syntax of RE2 (no look-around, no back references)."""
    return _made("matches", f"{column} matches {pattern}", options, (column,), {"pattern": pattern})


def length(column: str, min: int | None = None, max: int | None = None, **options: Unpack[Named]) -> Check:
    """Texts have so many characters, bytes so many bytes, lists so many items; both bounds are right themselves."""
    _check_bounds(min, max, f"length({column!r})", whole=True)
    name = f"length of {column} {_range(min, max)}"
    return _made("length", name, options, (column,), {"min": min, "max": max})


def unique(*columns: str, **options: Unpack[Named]) -> Check:
    """No two rows have the same values in these columns, over all shards and splits; the second of two fails.

    A dataset's ``key=`` says the same of columns that never lack a value, and tolerates nothing.
    """
    if not columns:
        raise InvalidDefinition("unique(): no columns. Name at least one, such as unique('user', 'day').")
    return _made("unique", f"{', '.join(columns)} unique", options, columns, {})


def references(column: str, dataset: str, to: str | None = None, **options: Unpack[Named]) -> Check:
    """Values occur in a column of another prepared dataset (a foreign key).

    Args:
        column: of this dataset.
        dataset: ``name:1.2.0``. Without a version the newest one is taken, and the check may only warn: a version that
            can be prepared today can be prepared tomorrow.
        to: the other dataset's column; by default of the same name.
        **options: level, tolerate, split, name.
    """
    given = {"dataset": dataset, "to": to or column}
    return _made("references", f"{column} in {to or column} of {dataset}", options, (column,), given)


def fresh(column: str, within: dt.timedelta, *, as_of: Any = None, **options: Unpack[Named]) -> Check:
    """The newest time isn't older than so much before a moment.

    Args:
        column: of timestamps or dates.
        within: how much older than `as_of` the newest value may be.
        as_of: a time, also as text. Without it the moment of the preparation, which is recorded; the check may then
            only warn: a version that can be prepared today can be prepared tomorrow.
        **options: level, split, name.
    """
    if not isinstance(within, dt.timedelta):
        raise InvalidDefinition(f"fresh({column!r}): within={within!r}, wanted datetime.timedelta(days=7), say.")
    moment = "the preparation" if as_of is None else as_of
    given = {"within": within, "as_of": as_of}
    span = str(within).removesuffix(", 0:00:00")
    return _made("fresh", f"{column} within {span} of {moment}", options, (column,), given)


def rows_between(min: int | None = None, max: int | None = None, **options: Unpack[Named]) -> Check:
    """There are so many rows: in all splits together, or in the one that is named."""
    _check_bounds(min, max, "rows_between()", whole=True)
    of = f" of {options['split']}" if options.get("split") else ""
    return _made("rows_between", f"rows{of} {_range(min, max)}", options, (), {"min": min, "max": max})


def satisfies(
    name: str,
    test: pc.Expression | Callable[[pa.RecordBatch], Any],
    *,
    columns: Iterable[str] | None = None,
    **options: Unpack[Options],
) -> Check:
    """Rows fulfil a condition over any columns.

    Args:
        name: what is checked, in words.
        test: an Expression such as ``pc.field("end") >= pc.field("start")``; or a function from a record batch to a
            boolean for each of its rows, as an Arrow or NumPy array. It runs in workers, a batch at a time. Where it
            gives null, the row is passed over.
        columns: those that a function gets; by default all.
        **options: level, tolerate, split.
    """
    if not isinstance(test, pc.Expression) and not callable(test):
        raise InvalidDefinition(f"check {name!r}: test is {test!r}, wanted an Expression or a function.")
    return replace(Check(kind="satisfies", name=name, columns=tuple(columns or ()), test=test), **options)


def _made(kind: str, name: str, options: Named, columns: tuple[str, ...], arguments: Mapping[str, Any]) -> Check:
    made = Check(kind=kind, name=name, columns=columns, arguments=arguments, named="name" in options)
    return replace(made, **options)


def _range(low: int | None, high: int | None) -> str:
    if low is not None and high is not None:
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"at least {low:,}" if high is None else f"at most {high:,}"


def _check_bounds(low: Any, high: Any, where: str, *, whole: bool = False) -> None:
    if low is None and high is None:
        raise InvalidDefinition(f"{where}: neither min nor max is given. Give one of them, or both.")
    for one in (low, high):
        if isinstance(one, float) and one != one:  # noqa: PLR0124 - that is what NaN is
            raise InvalidDefinition(f"{where}: NaN is no bound, since nothing compares with it. Give a number.")
        if whole and one is not None and (type(one) is not int or one < 0):
            raise InvalidDefinition(f"{where}: {one!r} is no bound, wanted a whole number from 0 on.")
    if type(low) is type(high) and low > high:
        raise InvalidDefinition(f"{where}: min={low!r} is larger than max={high!r}. Swap them.")


def _test_name(test: Any) -> str:
    if isinstance(test, pc.Expression):
        return str(test)
    from ailab_dataproc.functions import label

    return label(test, "test")


def _plain(value: Any) -> Any:
    """What JSON holds as it is, else as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    whole = value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and value - value == 0)
    return value if whole else str(value)
