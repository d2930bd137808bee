"""The columns of CSV and JSON Lines files, whose types a look at their values tells."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pyarrow as pa

from ailab_dataproc import urls
from ailab_dataproc.adding.code import call
from ailab_dataproc.adding.dialect import sniff, whole_lines
from ailab_dataproc.adding.reading import Reading, reading_of
from ailab_dataproc.adding.sampling import Sample, infer
from ailab_dataproc.columns import column, is_pii
from ailab_dataproc.importing.columns import Columns, check_same, reading_by
from ailab_dataproc.importing.finding import Found

_HEAD = 1 << 20  # bytes that hold a header


def columns_of(found: Found) -> Columns:
    """The columns of all files; nullable where rows were seen that have no value, or not all rows were looked at.

    Raises:
        InvalidData: a file can't be parsed, or has other columns than another.
    """
    files = found.all_files
    _check_names(found.kind, files)
    sample = infer(files)
    schema = pa.schema([_column(one, nullable=one.nullable or not sample.whole) for one in sample.schema])
    notes = tuple(f"{old!r} can't be a column's name: it is called {new!r}" for old, new in sample.renamed.items())
    return Columns(schema=schema, reading=_reading(sample), remarks=sample.remarks, notes=(*sample.found.notes, *notes))


def _reading(sample: Sample) -> Reading:
    json_ = any(re.search(r"\.json(\.\w+)?$", file.lower()) for file in sample.files)
    if sample.found.kind == "jsonl" and json_ and not sample.renamed:
        return reading_by(call("read_jsonl", "source", "dataset.schema"), "read_jsonl")
    return reading_of(sample.found)


def _column(one: pa.Field, *, nullable: bool) -> pa.Field:
    """The column without places for meaning and unit: whoever imports many has no time to fill them in."""
    return column(one.name, one.type, nullable=nullable, pii=True if is_pii(one) else None)


def _check_names(kind: str, files: list[str]) -> None:
    """Raise `InvalidData` for a file that has other columns than the first."""
    first, *others = files
    known = _names(kind, first) if others else []
    for file in others:
        check_same((first, known), (file, _names(kind, file)))


def _names(kind: str, file: str) -> Sequence[str]:
    """The columns of a CSV file's first line; of JSON Lines, those of the lines at the beginning."""
    with urls.open_url(file, compression="infer") as opened:
        data = opened.read(_HEAD)
    if kind == "csv":
        return sniff(whole_lines(data) if len(data) == _HEAD else data, urls.file_name(file)).names
    found: dict[str, None] = {}
    for line in data.splitlines()[:-1] if len(data) == _HEAD else data.splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # told with its line where the file is looked at as a whole
            continue
        found |= dict.fromkeys(row) if isinstance(row, dict) else {}
    return list(found)
