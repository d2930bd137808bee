"""Folders whose names are values, such as ``year=2021/month=01``: they become columns."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from ailab_dataproc.adding.code import call
from ailab_dataproc.adding.personal import hint
from ailab_dataproc.columns import column
from ailab_dataproc.errors import InvalidData
from ailab_dataproc.importing.columns import Columns, reading_by
from ailab_dataproc.importing.finding import Found
from ailab_dataproc.importing.readers import folder_values

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_SPLIT = "split"  # such a folder says which split its files are of


def with_partitions(found: Found, columns: Columns) -> Columns:
    """The columns of files and of the folders that they lie in.

    Raises:
        InvalidData: some files lie in folders of other names.
    """
    values = {file: folder_values(Path(file).relative_to(found.root).as_posix()) for file in found.all_files}
    first, keys = next((file, list(said)) for file, said in values.items())
    other = next((file for file, said in values.items() if list(said) != keys), None)
    if other is not None:
        raise InvalidData(
            f"{found.root}: {first} lies in folders that name {_told(keys)}, and {other} in folders that name "
            f"{_told(list(values[other]))}. Import folders of one layout."
        )
    new = [key for key in keys if key not in columns.schema.names and key != _SPLIT]
    if not new:
        return columns
    fields = [_column(key, {said[key] for said in values.values()}) for key in new]
    own = columns.reading.code.replace("def read(source)", "def read_file(source)")
    code = f"{own}\n\n\n" if own else ""
    plain = call("read_plain", "source", call("own_columns", "source", "dataset.schema"))
    inner, needed = (call("read_file", "source"), ()) if own else (plain, ("own_columns", "read_plain"))
    made = reading_by(
        call("with_folders", inner, "source", "dataset.schema"),
        "with_folders",
        *needed,
        does=f"Read one file; the folders that it lies in say the {_told(new)}.",
    )
    imports = (*columns.reading.imports, *made.imports)
    reading = replace(columns.reading, code=code + made.code, imports=_joined(imports))
    return replace(columns, schema=pa.schema([*columns.schema, *fields]), reading=reading)


def _joined(imports: tuple[str, ...]) -> tuple[str, ...]:
    """One line for each module."""
    names: dict[str, set[str]] = {}
    plain = []
    for line in imports:
        module, found, members = line.partition(" import ")
        if line.startswith("from ") and found:
            names.setdefault(module, set()).update(members.split(", "))
        else:
            plain.append(line)
    return (*plain, *(f"{module} import {', '.join(sorted(members))}" for module, members in names.items()))


def _column(key: str, values: Collection[str | None]) -> pa.Field:
    texts = [one for one in values if one is not None]
    type_ = pa.string()
    if texts and all(map(_INTEGER.fullmatch, texts)):
        type_ = pa.int64()
    elif texts and all(map(_DAY.fullmatch, texts)):
        type_ = pa.date32()
    looks = hint(key, pa.array(texts, pa.string()))
    return column(key, type_, nullable=None in values, pii=True if looks else None)


def _told(keys: list[str]) -> str:
    return ", ".join(keys) or "nothing"
