"""What the files of an import hold: columns, and how a definition has to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of files, as a definition declares them."""

    schema: pa.Schema  # of fields made by `column`
    reader: str = ""  # the function that reads a file, where the default one doesn't
    arguments: Mapping[str, str] = field(default_factory=dict)  # of the reader, as Python
    remarks: Mapping[str, str] = field(default_factory=dict)  # by column: what the author has to decide
    notes: tuple[str, ...] = ()  # for people
