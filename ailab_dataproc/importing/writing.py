"""The definition of what was found in a folder: its text, its place, and whether it can be loaded."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ailab_dataproc import catalog, urls
from ailab_dataproc.adding.draft import Draft, definition_text
from ailab_dataproc.adding.places import places_of
from ailab_dataproc.catalog import Definition, Place
from ailab_dataproc.dataset import Dataset, check_name
from ailab_dataproc.errors import InvalidDefinition, InvalidRequest
from ailab_dataproc.importing import texts, typed
from ailab_dataproc.importing.columns import Columns
from ailab_dataproc.importing.finding import Found
from ailab_dataproc.importing.partitions import with_partitions
from ailab_dataproc.preparation import example
from ailab_dataproc.preparation.options import FORMATS
from ailab_dataproc.settings import Settings

_KINDS = {"csv": "CSV", "jsonl": "JSON Lines", "parquet": "Parquet", "arrow": "Arrow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A definition that was written."""

    dataset: Dataset
    path: Path
    columns: Columns
    listed: bool  # whether the settings name its folder, so that it is found by its name


def check_new(name: str, folder: Path, settings: Settings) -> Path:
    """The file that the definition of a new dataset goes to.

    Raises:
        InvalidRequest: the name or the file is there already.
    """
    check_name(name)
    known = catalog.definitions(settings).get(name)
    path = known.path if known else places_of(name, folder).definition
    if path.exists():
        raise InvalidRequest(f"{name}: is defined already in {path}. Choose another name, or edit that file.")
    return path


def columns_of(found: Found) -> Columns:
    """The columns of the files, and of the folders that they lie in."""
    kind = typed if found.kind in ("parquet", "arrow") else texts
    return with_partitions(found, kind.columns_of(found))


def write(name: str, found: Found, path: Path, settings: Settings, *, owner: str = "") -> Imported:
    """Write the definition, and load it once.

    Args:
        name: of the dataset.
        found: what it is made of.
        path: the file, as `check_new` gives it.
        settings: where definitions are found.
        owner: the person or team to ask.

    Raises:
        InvalidDefinition: it can't be one, and no file is left behind.
    """
    columns = columns_of(found)
    text = definition_text(_draft(name, found, columns, owner))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    try:
        dataset = Definition(name, path, Place(path.parent, "")).load()
    except BaseException:
        path.unlink()
        raise
    return Imported(dataset=dataset, path=path, columns=columns, listed=name in catalog.definitions(settings))


def formats_for(dataset: Dataset) -> tuple[tuple[str, ...], str]:
    """The formats that can hold the columns, and why it isn't both; TFRecord has no lists of structs, for one."""
    try:
        example.fields(dataset.schema, dataset.name)
    except InvalidDefinition as error:
        return ("parquet",), f"prepared as Parquet only: {str(error).removeprefix(f'{dataset.name}: ').split('. ')[0]}"
    return FORMATS, ""


def _draft(name: str, found: Found, columns: Columns, owner: str) -> Draft:
    count = len(found.all_files)
    source = f"{count} file{'s' * (count != 1)} of {_KINDS[found.kind]} in {found.root}"
    return Draft(
        name=name,
        schema=columns.schema,
        splits={split: places(files) for split, files in found.files.items()},
        owner=owner,
        description=found.words.description or f"Imported: {source}.",
        citation=found.words.citation,
        license=found.words.license,
        homepage=found.words.homepage,
        release_note=f"Imported from {source}.",
        remarks=columns.remarks,
        code=columns.reading.code,
        read=columns.reading.read,
        imports=columns.reading.imports,
        names=columns.reading.names,
    )


def places(files: Sequence[str]) -> list[str]:
    """A glob that names exactly these files, or else each of them."""
    if len(files) == 1:
        return list(files)
    above = os.path.commonpath([os.path.dirname(file) for file in files])
    name = os.path.basename(files[0])
    start, ending = re.split(r"[\d.]", name, maxsplit=1)[0], "".join(Path(name).suffixes)
    for inside in (f"{glob.escape(start)}*{glob.escape(ending)}", f"*{glob.escape(ending)}"):
        for middle in ("", "**/"):
            pattern = f"{glob.escape(above)}/{middle}{inside}"
            if [one.url for one in urls.expand(pattern)] == sorted(files):
                return [pattern]
    return list(files)
