"""The definition of what was found in a folder: its text, its place, and whether it can be loaded."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ailab_dataproc import catalog, urls
from ailab_dataproc.adding.code import Named, call, docstring, quoted, render
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


@dataclass(frozen=True, slots=True)
class Imported:
    """A definition that was written."""

    dataset: Dataset
    path: Path
    listed: bool  # whether the settings name its folder, so that it is found by its name
    remarks: Mapping[str, str] = field(default_factory=dict)  # by column: what the author has to decide
    notes: tuple[str, ...] = ()  # for people


def check_new(name: str, folder: Path, settings: Settings) -> Path:
    """The file that the definition of a new dataset goes to.

    Raises:
        InvalidRequest: the name or the file is there already.
    """
    check_name(name)
    folder.mkdir(parents=True, exist_ok=True)  # the settings may name it already
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
    dataset = _written(name, path, definition_text(_draft(name, found, columns, owner)))
    listed = name in catalog.definitions(settings)
    return Imported(dataset, path, listed, remarks=columns.remarks, notes=(*found.notes, *columns.notes))


def write_tfds(name: str, source: str, path: Path, settings: Settings, *, owner: str = "") -> Imported:
    """Write the definition of what TFDS knows or has prepared, as `write` does.

    Args:
        name: of the dataset.
        source: as `from_tfds` takes it.
        path: the file, as `check_new` gives it.
        settings: where definitions are found.
        owner: the person or team to ask.
    """
    given = {"name": quoted(name), **({"owner": quoted(owner)} if owner else {})}
    made = call("from_tfds", quoted(source), *(Named(f"{key}=", text) for key, text in given.items()))
    head = docstring(f"{source} of TensorFlow Datasets.")
    text = f"{head}\n\nfrom ailab_dataproc import from_tfds\n\ndataset = {render(made, 0, len('dataset = '))}\n"
    dataset = _written(name, path, text)
    return Imported(dataset, path, name in catalog.definitions(settings))


def tfds_source(path: str) -> str | None:
    """What `from_tfds` takes of ``tfds:mnist``, or of a folder that TFDS has prepared; None for anything else."""
    scheme, _, rest = path.partition(":")
    if scheme == "tfds":
        there = Path(rest).expanduser()
        return str(there.resolve()) if there.exists() else rest
    folder = Path(path).expanduser()
    prepared = all((folder / one).is_file() for one in ("dataset_info.json", "features.json"))
    return str(folder.resolve()) if prepared else None


def _written(name: str, path: Path, text: str) -> Dataset:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    try:
        folder = Path(str(path)[: -len(f"/{name}.py")])
        return Definition(name, path, Place(folder, str(folder))).load()
    except BaseException:
        path.unlink()
        raise


def formats_for(dataset: Dataset) -> tuple[tuple[str, ...], str]:
    """The formats that can hold the columns, and why it isn't both; TFRecord has no lists of structs, for one."""
    try:
        example.fields(dataset.schema, dataset.name)
    except InvalidDefinition as error:
        return ("parquet",), f"prepared as Parquet only: {str(error).removeprefix(f'{dataset.name}: ').split('. ')[0]}"
    return FORMATS, ""


def _draft(name: str, found: Found, columns: Columns, owner: str) -> Draft:
    files = found.all_files  # without the path, which is nobody else's business
    many = f"{len(files)} files of {_KINDS[found.kind]} in the folder {found.root.name}"
    source = many if len(files) > 1 else os.path.basename(files[0])
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
        arguments={"allow_empty": "True"} if columns.allow_empty else {},
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
