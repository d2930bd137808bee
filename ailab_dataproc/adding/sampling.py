"""From a sample that nobody has seen to columns: formats, names, types, nulls, and what looks like personal data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc import schema as contract
from ailab_dataproc import urls
from ailab_dataproc.adding.draft import PLACE
from ailab_dataproc.adding.formats import Found, look
from ailab_dataproc.adding.guessing import Guess
from ailab_dataproc.adding.personal import hint
from ailab_dataproc.columns import column
from ailab_dataproc.errors import InvalidData, StorageFailed

_FILES = 16  # looked at, where there are more


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was found in the files of a sample."""

    files: tuple[str, ...]  # all that the paths name, as absolute paths or URLs
    rows: int  # looked at
    whole: bool  # whether these are all rows of all files
    schema: pa.Schema  # of fields made by `column`, with places for meaning and unit
    remarks: Mapping[str, str] = field(default_factory=dict)  # by column: what the author has to decide
    personal: Mapping[str, str] = field(default_factory=dict)  # by column: why it looks like personal data
    renamed: Mapping[str, str] = field(default_factory=dict)  # by the name in the file, which can't be ours
    found: Found = field(repr=False)  # the first file: its rows, and how it is written


def infer(
    paths: str | Sequence[str],
    *,
    encoding: str | None = None,
    header: bool | None = None,
    options: Mapping[str, Any] | None = None,
) -> Sample:
    """Look at a sample: CSV (also with other delimiters and encodings), JSON Lines, Parquet; also compressed.

    Up to 64 MB of text, or 200,000 rows of Parquet, of each of the first 16 files are looked at. Nothing is decided in
    silence: `remarks`, `personal`, `renamed` and `found.notes` say what an author has to look at.

    Args:
        paths: paths, URLs or globs.
        encoding: of CSV, as Python names it; None to find it out.
        header: whether the first line of CSV names the columns; None to find it out.
        options: for fsspec.

    Raises:
        InvalidData: a file that can't be parsed, with line and reason; or one with other columns than the first.
        StorageFailed: there is no such file.
    """
    asked = [paths] if isinstance(paths, str) else paths
    files = [url for path in asked for url in _expand(path, dict(options or {}))]
    looked = [look(one, encoding=encoding, header=header, options=options) for one in files[:_FILES]]
    first = looked[0]
    guesses = list(first.guesses)
    for one in looked[1:]:
        guesses = _merged(guesses, one, first)
    hints = {name: hint(name, first.values[name]) for name in first.names}
    personal = {name: why for name, why in hints.items() if why}
    pairs = list(zip(first.names, guesses, strict=True))
    schema = pa.schema([_column(name, one, personal=name in personal) for name, one in pairs])
    contract.check_types(schema, first.name)
    return Sample(
        files=tuple(files),
        rows=sum(one.rows for one in looked),
        whole=all(one.whole for one in looked) and len(files) == len(looked),
        schema=schema,
        remarks={name: told for name, one in pairs if (told := _remark(one, personal.get(name, "")))},
        personal=personal,
        renamed={old: new for old, new in zip(first.originals, first.names, strict=True) if old != new},
        found=first,
    )


def _expand(path: str, options: dict[str, Any]) -> list[str]:
    found = urls.expand(path, options)
    if not found:
        raise StorageFailed(f"{urls.shown(path)}: the sample doesn't exist. Give a file of CSV, JSON Lines or Parquet.")
    return [one.url for one in found]


def _column(name: str, one: Guess, *, personal: bool) -> pa.Field:
    measured = t.is_floating(one.type) or t.is_decimal(one.type)
    return column(
        name,
        one.type,
        f"{PLACE}: meaning",
        nullable=one.nullable,
        unit=PLACE if measured and not personal else "",
        pii=True if personal else None,
    )


def _remark(one: Guess, personal: str) -> str:
    told = [f"{PLACE}: looks like {personal}. Keep pii=True, or write pii=False if it is none."] if personal else []
    told += [f"{PLACE}: {one.remark}."] if one.remark else []
    return " ".join(told)


def _merged(guesses: Sequence[Guess], other: Found, first: Found) -> list[Guess]:
    """What holds for the files so far and for another one."""
    if other.names != first.names or other.reading != first.reading or other.kind != first.kind:
        raise InvalidData(
            f"{other.name}: has other columns than {first.name}, or is written in another way. Give files of one kind."
        )
    return [_both(one, two) for one, two in zip(guesses, other.guesses, strict=True)]


def _both(one: Guess, two: Guess) -> Guess:
    nullable = one.nullable or two.nullable
    if one.type == two.type or "no value" in two.remark:
        return Guess(one.type, nullable, one.remark or two.remark * (one.type == two.type))
    if "no value" in one.remark:
        return Guess(two.type, nullable, two.remark)
    kinds = (one.type, two.type)
    if all(t.is_integer(kind) or t.is_floating(kind) for kind in kinds) and any(map(t.is_floating, kinds)):
        return Guess(pa.float64(), nullable, one.remark)
    return Guess(pa.string(), nullable, f"is {one.type} in some files and {two.type} in others: kept as text")
