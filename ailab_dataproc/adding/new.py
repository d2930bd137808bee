"""A new dataset's files, none of which was there before: definition, test, dummy source, a line of the changelog."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from ailab_dataproc import catalog, urls
from ailab_dataproc.adding.code import quoted
from ailab_dataproc.adding.draft import PLACE, Draft, definition_text
from ailab_dataproc.adding.dummy import dummy, made_up_rows
from ailab_dataproc.adding.places import Places
from ailab_dataproc.adding.reading import reading_of
from ailab_dataproc.adding.sampling import Sample
from ailab_dataproc.catalog import Definition
from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Source
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.preparation.trial import first_rows
from ailab_dataproc.settings import Settings

SPLIT = "train"
_OWNER = f"{PLACE}: a person or a team"
_DESCRIPTION = f"{PLACE}: what one row is, and where it comes from."
_ROWS = 20  # that are made up where there is no sample
_TRIED = 10_000  # rows of the sample that the definition must be able to read
_SKELETON = pa.schema(
    [
        column("id", pa.int64(), f"{PLACE}: meaning"),
        column("value", pa.float64(), f"{PLACE}: meaning", unit=PLACE),
        column("label", pa.string(), f"{PLACE}: meaning"),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What was written."""

    name: str
    places: Places
    dummy: Path
    rows: int  # of the dummy source
    marks: int  # places for the author in the definition
    listed: bool  # whether the settings name its folder, so that it is found at once


def draft_of(name: str, sample: Sample, paths: Sequence[str], *, owner: str = "", description: str = "") -> Draft:
    """The definition of what a sample holds; `paths` are the sources of its one split."""
    reading = reading_of(sample.found)
    return Draft(
        name=name,
        schema=sample.schema,
        splits={SPLIT: [lasting(one) for one in paths]},
        owner=owner or _OWNER,
        description=description or _DESCRIPTION,
        remarks=sample.remarks,
        code=reading.code,
        read=reading.read,
        imports=reading.imports,
        names=reading.names,
    )


def skeleton_of(name: str, *, owner: str = "", description: str = "") -> Draft:
    """A definition to begin with where there is no sample."""
    return Draft(name=name, schema=_SKELETON, splits={}, owner=owner or _OWNER, description=description or _DESCRIPTION)


def lasting(path: str) -> str:
    """A path that names the same files wherever a command is started; URLs are left as they are."""
    return path if path.startswith("package://") else urls.local_path(path) or path


def add(draft: Draft, places: Places, settings: Settings, sample: Sample | None = None) -> Added:
    """Write a new dataset's files, and read its dummy source and the sample once with it.

    Args:
        draft: the definition; without a sample its sources become the dummy one.
        places: of the files.
        settings: where other definitions are found.
        sample: what the draft was made of.

    Raises:
        InvalidRequest: the name or a file is there already; nothing is overwritten.
        InvalidData: the definition can't read the sample; nothing is left behind.
    """
    _check_new(draft.name, places, settings)
    ending, content = dummy(sample) if sample else (".csv", made_up_rows(draft.schema, _ROWS))
    source = places.dummies / f"{SPLIT}{ending}"
    if not sample:
        draft = replace(draft, splits={SPLIT: str(source)}, remark=f"{PLACE}: made-up rows; name the real sources.")
    text = definition_text(draft)
    written: list[Path] = []
    try:
        for path, bytes_ in {
            places.definition: text.encode(),
            source: content,
            places.test: _test(draft.name, source, places.test).encode(),
        }.items():
            _write(path, bytes_)
            written.append(path)
        rows = _tried(draft.name, places, source, sample)
        note = f"- {dt.date.today()}: `{draft.name}` {draft.version}: {draft.release_note}"
        places.changelog.write_text(_changelog(places.changelog, note), encoding="utf-8")
    except BaseException:
        for path in written:
            path.unlink()
            with contextlib.suppress(OSError):  # folders that hold something else stay
                path.parent.rmdir()
        raise
    listed = draft.name in catalog.definitions(settings)
    marks = sum(PLACE in line for line in text.splitlines())
    return Added(name=draft.name, places=places, dummy=source, rows=rows, marks=marks, listed=listed)


def _check_new(name: str, places: Places, settings: Settings) -> None:
    known = catalog.definitions(settings).get(name)
    if known is not None:
        raise InvalidRequest(f"{name}: is defined already in {known.path}. Choose another name, or edit that file.")
    for path in (places.definition, places.test, places.dummies):
        if path.exists():
            raise InvalidRequest(
                f"{path}: is there already, and nothing is overwritten. Move it, or take another name."
            )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)


def _tried(name: str, places: Places, source: Path, sample: Sample | None) -> int:
    """Read the dummy source and the beginning of the sample by the written definition; returns the rows of the dummy.

    Raises:
        InvalidData, SourceFailed: it can't.
    """
    dataset = Definition(name, places.definition, "").load()
    files = [str(source), *(sample.files[:1] if sample else ())]
    counts = [sum(batch.num_rows for batch in first_rows(dataset, [Source(file, SPLIT)], _TRIED)) for file in files]
    return counts[0]


def _test(name: str, source: Path, test: Path) -> str:
    title = "".join(part.capitalize() for part in name.rsplit("/", 1)[-1].split("_"))
    return f'''\
"""Tests of {name}: schema, keys, splits, the same bytes each time, the same values on each backend."""

from ailab_dataproc.testing import DatasetTests


class Test{title}(DatasetTests):
    dataset = {quoted(name)}
    sources = {{{quoted(SPLIT)}: {quoted(source.relative_to(test.parent).as_posix())}}}
'''


def _changelog(path: Path, line: str) -> str:
    """A changelog with one more line: the first one of a list, below the first heading that speaks of no version."""
    if not path.exists():
        return f"# Changelog\n\n{line}\n"
    lines = path.read_text(encoding="utf-8").splitlines()
    unreleased = next((i for i, one in enumerate(lines) if one.startswith("#") and "unreleased" in one.lower()), None)
    head = unreleased if unreleased is not None else next((i for i, one in enumerate(lines) if one.startswith("#")), -1)
    rest = lines[head + 1 :]
    while rest and not rest[0].strip():
        rest.pop(0)
    gap = [] if not rest or rest[0].startswith("- ") else [""]
    return "\n".join([*lines[: head + 1], *([""] if head >= 0 else []), line, *gap, *rest]) + "\n"
