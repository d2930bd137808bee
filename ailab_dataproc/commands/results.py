"""What a job returned: printed as people look at it, or written to a file."""

from __future__ import annotations

import json
import pprint
from pathlib import Path
from typing import Any

import click

from ailab_dataproc.errors import InvalidRequest

LARGE = 500_000_000  # bytes of a pickled result that is fetched only when it is asked for with -o
_ROWS, _LINES = 10, 60  # that are printed


def show(value: Any) -> None:
    """Print a value: text as it is, a table's first rows, else as Python writes it."""
    rows = _as_arrow(value)
    written: Any = type(value).__str__
    if rows is None and written is not object.__str__:  # text, arrays, what knows how to show itself
        click.echo(str(value))
        return
    if rows is None:
        lines = pprint.pformat(value, width=100, compact=True).split("\n")
        click.echo("\n".join(lines[:_LINES]))
        if len(lines) > _LINES:
            click.echo(f"… {len(lines) - _LINES:,} more lines: write it to a file with -o")
        return
    from ailab_dataproc import tables

    head = rows.slice(0, _ROWS)
    tables.rows(head.column_names, [], head.to_pylist())
    kind = f"{type(value).__module__.split('.')[0]}.{type(value).__name__}"
    click.echo(f"{kind}, {rows.num_rows:,} rows, {rows.num_columns} columns")


def write(value: Any, file: Path) -> None:
    """Write a value as the ending of the file says.

    Raises:
        InvalidRequest: it can't be written so.
    """
    kind = file.suffix.lower()
    if kind == ".json":
        _write_json(value, file)
        return
    table = _as_arrow(value)
    if table is None:
        raise InvalidRequest(
            f"{file}: the result is a {type(value).__name__}, {kind} holds tables. Write it as .pkl or .json."
        )
    if kind == ".parquet":
        from pyarrow import parquet

        parquet.write_table(table, file)
    else:
        from pyarrow import csv

        csv.write_csv(table, file)


def _write_json(value: Any, file: Path) -> None:
    table = _as_arrow(value)
    try:
        text = json.dumps(value if table is None else table.to_pylist(), indent=1, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"{file}: the result can't be JSON ({error}). Write it as .pkl.") from error
    file.write_text(text + "\n", encoding="utf-8")


def _as_arrow(value: Any) -> Any | None:
    """A frame or table of any library that speaks Arrow, as an Arrow table, with what its index holds; else None."""
    import pyarrow as pa

    module = type(value).__module__.split(".")[0]
    if module == "pandas" and hasattr(value, "to_frame"):  # a series
        value = value.to_frame(name="value" if value.name is None else value.name)
    if module == "pandas" and hasattr(value, "columns"):
        counted = type(value.index).__name__ == "RangeIndex" and value.index.name is None
        return pa.Table.from_pandas(value if counted else value.reset_index(), preserve_index=False)
    if isinstance(value, pa.Table):
        return value
    return pa.table(value) if hasattr(value, "__arrow_c_stream__") and hasattr(value, "columns") else None
