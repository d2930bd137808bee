"""What the files of an import hold: columns, and how a definition reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ailab_dataproc.adding.code import Group, render
from ailab_dataproc.adding.reading import Reading
from ailab_dataproc.errors import InvalidData

_INDENT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of files, as a definition declares them."""

    schema: pa.Schema  # of fields made by `column`
    reading: Reading = field(default_factory=Reading)
    remarks: Mapping[str, str] = field(default_factory=dict)  # by column: what the author has to decide
    notes: tuple[str, ...] = ()  # for people
    allow_empty: bool = False  # whether some of the files hold no rows


def check_same(one: tuple[str, Sequence[str]], other: tuple[str, Sequence[str]]) -> None:
    """Raise `InvalidData` where two files, each with its columns' names, don't have the same."""
    for (has, names), (lacks, known) in ((one, other), (other, one)):
        lacking = next((name for name in names if name not in known), None)
        if lacking is not None:
            raise InvalidData(
                f"{lacks}: lacks the column {lacking!r}, which {has} has. Import files of one schema, or add the "
                "column."
            )


def reading_by(made: Group, *readers: str, does: str = "Read one file.") -> Reading:
    """A `read` function that returns what a call gives.

    Args:
        made: the call.
        *readers: what it needs of `importing.readers`.
        does: its docstring.
    """
    code = f'def read(source):\n    """{does}"""\n    return {render(made, _INDENT, len("return "))}'
    return Reading(code, imports=(f"from {__package__}.readers import {', '.join(sorted(readers))}",))
