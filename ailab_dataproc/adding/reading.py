"""The code that reads files such as those of a sample, where the default readers don't."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.adding.code import Item, Named, call, listed, mapped, quoted, render
from ailab_dataproc.adding.formats import Found

_PACKED = r"(\.(gz|bz2|xz|zst))?$"
_ENDINGS = {"csv": r"\.(csv|tsv)", "jsonl": r"\.(jsonl|ndjson)", "parquet": r"\.(parquet|pq)"}
_INDENT = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """What a draft needs to read a file; nothing of it where the file's ending says enough."""

    code: str = ""
    imports: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # of ailab_dataproc

    @property
    def read(self) -> str:
        """The name of the function."""
        return "read" if self.code else ""


def reading_of(found: Found) -> Reading:
    """The `read` function for files of this kind."""
    usual = re.search(_ENDINGS[found.kind] + _PACKED, found.name.lower()) is not None
    renamed = {old: new for old, new in zip(found.originals, found.names, strict=True) if old != new}
    if usual and not (found.reading if found.kind == "csv" else renamed):
        return Reading()
    if found.kind == "csv":
        return Reading(_csv(found.reading), names=("read_csv",))
    if found.kind == "parquet":
        return Reading(_PARQUET, imports=("from pyarrow import parquet",))
    return Reading(_jsonl(dict(zip(found.originals, found.names, strict=True))), imports=("import json",))


def _csv(reading: Mapping[str, Any]) -> str:
    arguments = [Named(f"{key}=", _argument(key, value)) for key, value in reading.items()]
    made = render(call("read_csv", "source", "dataset.schema", *arguments), _INDENT, len("return "))
    return f'def read(source):\n    """Read one CSV file."""\n    return {made}'


def _argument(key: str, value: Any) -> Item:
    if key == "names" and not isinstance(value, Mapping):
        return "dataset.schema.names"
    if isinstance(value, Mapping):
        return mapped({old: quoted(new) for old, new in value.items()})
    return quoted(value) if isinstance(value, str) else repr(value) if isinstance(value, bool) else _list(value)


def _list(texts: Any) -> Item:
    return listed([quoted(one) for one in texts])


_PARQUET = '''\
def read(source):
    """Read one Parquet file; its columns have other names there."""
    with source.open() as file:
        for batch in parquet.ParquetFile(file).iter_batches():
            yield batch.rename_columns(dataset.schema.names)'''


def _jsonl(names: Mapping[str, str]) -> str:
    constant = "NAMES = " + render(mapped({new: quoted(old) for old, new in names.items()}), 0, len("NAMES = "))
    return f'''\
{constant}  # of a column, by the file's own


def read(source):
    """Read one file with a JSON object a line."""
    with source.open() as file:
        for line in file:
            if line.strip():
                row = json.loads(line)
                yield {{new: row.get(old) for new, old in NAMES.items()}}'''
