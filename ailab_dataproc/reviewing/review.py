"""A definition, reviewed: what it says of itself, what it leaves open, and whether its first rows bear it out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ailab_dataproc import catalog, urls
from ailab_dataproc.adding.draft import PLACE
from ailab_dataproc.adding.personal import hint
from ailab_dataproc.adding.places import places_of
from ailab_dataproc.catalog import Definition
from ailab_dataproc.columns import meaning, stated_pii
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.download import SCHEME
from ailab_dataproc.errors import AilabError
from ailab_dataproc.references import Reference
from ailab_dataproc.reviewing.findings import ERROR, Finding, Review, error, warning
from ailab_dataproc.reviewing.repeating import read_twice
from ailab_dataproc.schema import check_types
from ailab_dataproc.settings import Settings
from ailab_dataproc.splitting import Pooled

_SHOWN = 70  # characters of a line
_COLUMN = re.compile(r"""\s*column\(\s*["']([^"']+)["']""")


def review(reference: str, settings: Settings, sources: Mapping[str, Sequence[str]] | None = None) -> Review:
    """Look through a definition as a strict colleague would, and read its first rows twice.

    Args:
        reference: a name in the catalog; with a version, the definition must be of that one.
        settings: where definitions and downloads lie.
        sources: by split, in place of the definition's.

    Raises:
        InvalidDefinition: it can't be loaded at all.
    """
    definition, dataset = catalog.of_version(Reference.parse(reference), settings)
    name = dataset.name
    rows = read_twice(name, settings.data_dir, sources or {})
    found = [
        *_open_places(definition),
        *_words(dataset),
        *_columns(dataset, rows.tables),
        *_splits(dataset),
        *rows.findings,
        *_tests(definition),
    ]
    return Review(f"{name}:{dataset.version}", sorted(found, key=lambda one: one.severity != ERROR))


def _open_places(definition: Definition) -> Iterator[Finding]:
    """Lines that the author has still to fill in."""
    for number, line in enumerate(definition.path.read_text(encoding="utf-8").splitlines(), start=1):
        if PLACE in line:
            column = _COLUMN.match(line)
            text = f"in column {column[1]!r}" if column else line.strip()
            shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
            yield error(f"{definition.path.name}:{number}", f"a {PLACE} is left: {shown}", "Fill it in, or remove it.")


def _words(dataset: Dataset) -> Iterator[Finding]:
    if not dataset.owner.strip():
        yield error("owner", "nobody is named", "Write owner='a person or a team'.")
    if not dataset.description:
        yield error("description", "it doesn't say what one row is", "Write it, and where the rows come from.")
    if not dataset.release_notes.get(dataset.version, "").strip():
        advice = f"Write release_notes={{'{dataset.version}': 'what is new'}}."
        yield error("release_notes", f"version {dataset.version} has no release note", advice)
    if not dataset.license.strip():
        yield warning("license", "it doesn't say who may use it", "Write license='private', or the license's name.")
    if not dataset.citation.strip():
        yield warning("citation", "it doesn't say how to cite it", "Write citation='…', or a link to its origin.")


def _columns(dataset: Dataset, tables: Mapping[str, pa.Table]) -> Iterator[Finding]:
    try:
        check_types(dataset.schema, dataset.name)
    except AilabError as wrong:
        yield error("schema", str(wrong), "Cast it in read().")
    values = {one.name: _values(one.name, tables) for one in dataset.schema}
    for one in dataset.schema:
        where = f"column {one.name!r}"
        words = meaning(one).strip()
        if not words:
            yield error(where, "it doesn't say what it means", "Write column(name, type, 'what a value says').")
        elif words.casefold().rstrip(".") == one.name.casefold().replace("_", " "):
            yield warning(where, "its meaning repeats its name", "Say what a value says to somebody who is new.")
        why = hint(one.name, values[one.name]) if stated_pii(one) is None else ""
        if why:
            advice = "Write pii=True, or pii=False if you have looked and it is none."
            yield error(where, f"it looks like {why}, and doesn't say whether it is personal data", advice)
    if not dataset.key:
        unique = [one.name for one in dataset.schema if _names_rows(one, values[one.name])]
        told = f" ({unique[0]!r} has another value in each row that was looked at)" if unique else ""
        advice = "Write key='…' if a row has a name, so that rows that come twice are found."
        yield warning("key", f"no column names a row{told}", advice)


def _values(name: str, tables: Mapping[str, pa.Table]) -> pa.ChunkedArray | None:
    found = [chunk for table in tables.values() for chunk in table[name].chunks]
    return pa.chunked_array(found) if found else None


def _names_rows(field: pa.Field, values: pa.ChunkedArray | None) -> bool:
    """Whether a column that holds numbers or texts has another value in each of some rows."""
    kinds = (pa.types.is_integer, pa.types.is_string)
    if values is None or len(values) < 2 or field.nullable or not any(is_kind(field.type) for is_kind in kinds):
        return False
    return bool(pc.count_distinct(values).as_py() == len(values))


def _splits(dataset: Dataset) -> Iterator[Finding]:
    """Sources whose place depends on where a command is started."""
    if dataset.sources is not None:
        return
    pooled = {"": dataset.splits.sources} if isinstance(dataset.splits, Pooled) else dataset.splits
    for split, places in pooled.items():
        for place in places:
            relative = "://" not in place and not Path(place).expanduser().is_absolute()
            if relative and not place.startswith(SCHEME) and urls.local_path(place):
                where = f"split {split!r}" if split else "splits"
                advice = "Write an absolute path, a URL or package://…."
                yield warning(where, f"{place!r} is looked for in the folder where a command is started", advice)


def _tests(definition: Definition) -> Iterator[Finding]:
    """Whether some test names the dataset; nothing where its tests aren't on this machine."""
    places = places_of(definition.name, definition.place.folder)
    folder = places.test.parent
    if definition.package and not folder.is_dir():
        return
    wanted = (f'"{definition.name}"', f"'{definition.name}'")
    files = sorted(folder.rglob("test_*.py")) if folder.is_dir() else []
    if not any(one in path.read_text(encoding="utf-8", errors="replace") for path in files for one in wanted):
        advice = f'Write {places.test}: a class with dataset = "{definition.name}" below DatasetTests.'
        yield warning("tests", f"no test in {folder} names it", advice)
