"""A plain function goes over parts of shards: what it returns are rows of another dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from ailab_dataproc.backends.pandas import to_pandas
from ailab_dataproc.backends.polars_reader import to_polars
from ailab_dataproc.backends.shards import Part, read_part
from ailab_dataproc.columns import is_pii
from ailab_dataproc.dataset import Source
from ailab_dataproc.errors import InvalidData, SourceFailed
from ailab_dataproc.preparation.conform import conform
from ailab_dataproc.preparation.origins import PartSources
from ailab_dataproc.preparation.reading import raised_at

FRAMES = {"pandas": "pandas", "arrow": "pyarrow", "polars": "polars"}  # what a function gets, and the library of it


@dataclass(frozen=True, slots=True)
class Call:
    """A function, and what it is given."""

    function: Callable[[Any], Any]
    label: str  # of the function, for messages
    inputs: pa.Schema  # the columns of its frames
    frame: str  # a key of FRAMES

    def __call__(self, part: Part) -> Any:
        """What the function makes of a part; None where that has no rows."""
        table = read_part(part, self.inputs)
        return self.of(table, part.folder.path(part.path)) if table.num_rows else None

    def of(self, table: pa.Table, where: str) -> Any:
        """What the function makes of some rows: a table, or a frame of pandas.

        Raises:
            SourceFailed: it raised.
            InvalidData: it returned something else.
        """
        try:
            found = self.function(to_frame(table, self.frame))
        except Exception as error:
            personal = any(map(is_pii, self.inputs))
            told = "message not shown: PII" if personal else error
            raise SourceFailed(
                f"{where}: {self.label}() raised {type(error).__name__}: {told} ({raised_at(error)}). Mend the "
                "function; --verbose shows the traceback."
            ) from (None if personal else error)
        return _returned(found, f"{where}: {self.label}()")


@dataclass(frozen=True, slots=True)
class Mapped(PartSources):
    """Rows of a prepared version, and the function that they go through. Safe to send to a worker."""

    call: Call
    outputs: pa.Schema

    def read(self, source: Source) -> Iterator[pa.RecordBatch]:
        """What the function makes of one part."""
        part = self.part(source)
        found = self.call(part)
        if found is not None:
            place = replace(source, url=part.folder.path(part.path))
            yield from conform(found, self.outputs, place, f"{self.call.label}()")


def to_frame(table: pa.Table, frame: str) -> Any:
    """A table of declared columns as a key of `FRAMES` says."""
    if frame == "pandas":
        return to_pandas(table)
    return to_polars(table, table.schema) if frame == "polars" else table


def to_table(found: Any, where: str) -> pa.Table:
    """What a `Call` returned as a table, whose types are as they come.

    Raises:
        InvalidData: a column of Python values that aren't of one type.
    """
    if isinstance(found, pa.Table):
        return found
    try:
        return pa.Table.from_pandas(found, preserve_index=False).replace_schema_metadata()
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidData(
            f"{where} returned a column that Arrow can't hold ({error}). Give its values one type."
        ) from error


def _returned(found: Any, where: str) -> Any:
    """The frame that a function returned, those of Polars as a table."""
    library = type(found).__module__.partition(".")[0]
    if isinstance(found, pa.RecordBatch):
        found = pa.table(found)
    elif library == "polars" and type(found).__name__ == "DataFrame":
        found = found.to_arrow()
    elif library == "pandas" and type(found).__name__ == "DataFrame":
        _check_index(found, where)
    elif not isinstance(found, pa.Table):
        advice = {"LazyFrame": " Call .collect() on it.", "Series": " Call .to_frame() on it."}
        raise InvalidData(
            f"{where} returned {'nothing (None)' if found is None else f'a {type(found).__name__}'}, wanted a frame "
            f"of pandas or Polars, or an Arrow table.{advice.get(type(found).__name__, ' Return one for each part.')}"
        )
    return found


def _check_index(frame: Any, where: str) -> None:
    """A dataset has columns only: an index that says something would be lost; one that counts rows may go."""
    import pandas as pd

    index = frame.index
    named = [str(name) for name in index.names if name is not None]
    if named or index.nlevels > 1 or not (pd.api.types.is_integer_dtype(index.dtype) or not len(index)):
        told = f"the index {', '.join(map(repr, named))}" if named else "an index that is no count of rows"
        raise InvalidData(
            f"{where} returned a frame with {told}, and a dataset has columns only. Call .reset_index() on it."
        )
    odd = next((name for name in frame.columns if not isinstance(name, str)), None)
    if odd is not None:
        raise InvalidData(f"{where} returned a frame with a column named {odd!r}, wanted text. Rename it.")
