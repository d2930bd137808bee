"""The columns of CSV and JSON Lines files, whose types a look at their values tells."""

from __future__ import annotations

import pyarrow as pa

from ailab_dataproc import urls
from ailab_dataproc.adding.code import call
from ailab_dataproc.adding.dialect import sniff, whole_lines
from ailab_dataproc.adding.reading import Reading, reading_of
from ailab_dataproc.adding.sampling import Sample, infer
from ailab_dataproc.columns import column, is_pii
from ailab_dataproc.errors import InvalidData
from ailab_dataproc.importing.columns import Columns, reading_by
from ailab_dataproc.importing.finding import Found

_HEAD = 1 << 20  # bytes that hold a header


def columns_of(found: Found) -> Columns:
    """The columns of all files; nullable where rows were seen that have no value, or not all rows were looked at.

    Raises:
        InvalidData: a file can't be parsed, or has other columns than another.
    """
    files = found.all_files
    if found.kind == "csv":
        _check_headers(files)
    sample = infer(files)
    schema = pa.schema([_column(one, nullable=one.nullable or not sample.whole) for one in sample.schema])
    notes = tuple(f"{old!r} can't be a column's name: it is called {new!r}" for old, new in sample.renamed.items())
    return Columns(schema=schema, reading=_reading(sample), remarks=sample.remarks, notes=(*sample.found.notes, *notes))


def _reading(sample: Sample) -> Reading:
    plain = [urls.file_name(file).lower() for file in sample.files]
    if (
        sample.found.kind == "jsonl"
        and not sample.renamed
        and any(".json" in one.replace(".jsonl", "") for one in plain)
    ):
        return reading_by(call("read_jsonl", "source", "dataset.schema"), "read_jsonl")
    return reading_of(sample.found)


def _column(one: pa.Field, *, nullable: bool) -> pa.Field:
    """The column without places for meaning and unit: whoever imports many has no time to fill them in."""
    return column(one.name, one.type, nullable=nullable, pii=True if is_pii(one) else None)


def _check_headers(files: list[str]) -> None:
    """Raise `InvalidData` for a CSV file whose first line names other columns than that of the first file."""
    first, *others = files
    known = _names(first)
    for file in others:
        names = _names(file)
        extra = next((one for one in names if one not in known), None)
        lacking = next((one for one in known if one not in names), None)
        if extra is not None or lacking is not None:
            has, lacks = (file, first) if lacking is None else (first, file)
            raise InvalidData(
                f"{lacks}: lacks the column {extra if lacking is None else lacking!r}, which {has} has. Import files "
                "of one schema, or add the column."
            )


def _names(file: str) -> tuple[str, ...]:
    with urls.open_url(file, compression="infer") as opened:
        data = opened.read(_HEAD)
    return sniff(whole_lines(data) if len(data) == _HEAD else data, urls.file_name(file)).names
