"""The page of a dataset's version as plain values: what the template shows, and nothing that it has to decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ailab_dataproc import storage
from ailab_dataproc.backends import BACKENDS
from ailab_dataproc.checked import read_checks, spoken
from ailab_dataproc.describing import ways_to_load
from ailab_dataproc.errors import AilabError, MissingLibrary, NotPrepared
from ailab_dataproc.manifest import Manifest, Prepared
from ailab_dataproc.report import count_bytes
from ailab_dataproc.settings import Settings
from ailab_dataproc.site.columns import Column, columns_of
from ailab_dataproc.site.gathering import Entry, Link, Version, page_path
from ailab_dataproc.site.samples import Sample, sample_of
from ailab_dataproc.statistics import read_statistics


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A line of the page's list of versions."""

    version: str
    link: str  # from the site's root; nothing where there is no page
    shown: bool  # on this page
    rows: str
    size: str
    note: str
    deprecated: str


@dataclass(frozen=True, slots=True)
class Page:
    """One version of one dataset; of one that is only defined, what the definition says."""

    name: str
    version: str
    newest: bool  # whether a load takes this version where none is named
    taken: str  # the version that it takes
    paragraphs: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    homepage: str
    citation: str
    columns: tuple[Column, ...]
    statistics_of: str  # the split that the statistics are of, with its rows
    splits: tuple[tuple[str, str, str], ...]  # name, rows, shards
    sizes: tuple[tuple[str, str], ...]  # by format
    location: str
    load: tuple[tuple[str, str], ...]  # a backend, and a line of code
    sample: Sample | None
    checks: tuple[tuple[str, str, str], ...]  # name, result, and what was found
    versions: tuple[VersionLine, ...]
    made_by: str  # the function
    made_from: tuple[Link, ...]
    made_into: tuple[Link, ...]
    lineage: str | None  # SVG
    deprecated: str
    provenance: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]

    @property
    def linked(self) -> bool:
        """Whether the homepage may be a link: never one that runs code."""
        return self.homepage.lower().startswith(("https://", "http://"))

    @property
    def path(self) -> str:
        """Where the page lies, from the site's root."""
        return page_path(self.name, None if self.newest else self.version)

    @property
    def pictures(self) -> dict[str, bytes]:
        """The files of the page's images, from the site's root."""
        images = [one for _, ours in (self.sample.images if self.sample else ()) for one in ours]
        return {f"datasets/{self.name}/{one.file}": one.content for one in images if one.file}

    @property
    def types_known(self) -> bool:
        """Whether the types on each backend are known."""
        return any(one.types for one in self.columns)


def defined_page(entry: Entry) -> Page:
    """The page of a dataset of which nothing is prepared."""
    defined, words = entry.defined, entry.words
    return Page(
        name=entry.name,
        version=defined.version if defined else "",
        newest=True,
        taken="",
        paragraphs=paragraphs(words["description"]),
        facts=_facts(entry, words),
        homepage=words["homepage"],
        citation=words["citation"],
        columns=tuple(columns_of(entry.columns, None, None, entry.personal)),
        statistics_of="",
        splits=tuple((split, "", "") for split in (defined.splits if defined else ())),
        sizes=(),
        location="",
        load=(),
        sample=None,
        checks=(),
        versions=_versions(entry, None),
        made_by="",
        made_from=(),
        made_into=(),
        lineage=None,
        deprecated="",
        provenance=(),
        problems=entry.problems,
    )


def version_page(entry: Entry, version: Version, settings: Settings, *, samples: bool) -> Page:
    """The page of a prepared version; reads its statistics, and of the newest its first rows if samples are wanted."""
    manifest, newest = version.manifest, version is entry.newest
    place = storage.folder(settings.data_dir, settings.storage_options)
    prepared = Prepared(place / manifest.name / manifest.version, manifest, manifest.schema_)
    problems = list(entry.problems) if newest else []
    told = [{**one, "pii": one["name"] in entry.personal} for one in manifest.columns]
    split, statistics = _statistics(prepared, problems)
    words = {key: str(getattr(manifest, key)) for key in entry.words}
    lines = ways_to_load(manifest, told, place, backends=tuple(BACKENDS), pinned=not newest) if manifest.splits else {}
    return Page(
        name=entry.name,
        version=manifest.version,
        newest=newest,
        taken=entry.newest.manifest.version if entry.newest else "",
        paragraphs=paragraphs(words["description"]),
        facts=_facts(entry, words),
        homepage=words["homepage"],
        citation=words["citation"],
        columns=tuple(columns_of(told, prepared.schema, statistics, entry.personal)),
        statistics_of=f"{split} ({manifest.rows[split]:,} rows)" if statistics else "",
        splits=tuple((one, f"{sum(rows):,}", f"{len(rows):,}") for one, rows in manifest.splits.items()),
        sizes=tuple((kind, count_bytes(size)) for kind, size in manifest.bytes.items()),
        location=prepared.folder.url,
        load=tuple(lines.items()),
        sample=_sample(entry, prepared, split, problems) if samples and newest and split else None,
        checks=_checks(entry, prepared, problems),
        versions=_versions(entry, manifest),
        made_by=manifest.lineage.function if manifest.lineage else "",
        made_from=version.made_from,
        made_into=version.made_into,
        lineage=version.picture,
        deprecated=version.deprecated,
        provenance=tuple(_provenance(manifest)),
        problems=tuple(problems),
    )


def paragraphs(text: str) -> tuple[str, ...]:
    """A description's paragraphs; lines that were wrapped by hand flow, those of a list or a table stay."""
    found = []
    for block in text.replace("\r", "").split("\n\n"):
        lines = block.strip("\n").split("\n")
        kept = any(line[:1] in " \t-*•" for line in lines if line)
        if block.strip():
            found.append("\n".join(lines) if kept else " ".join(block.split()))
    return tuple(found)


def rows_of(manifest: Manifest) -> str:
    """The rows of a version."""
    return f"{sum(manifest.rows.values()):,}"


def size_of(manifest: Manifest) -> str:
    """The bytes of a version in its first format."""
    return count_bytes(next(iter(manifest.bytes.values()), 0))


def _facts(entry: Entry, words: dict[str, str]) -> tuple[tuple[str, str], ...]:
    found = [("Owner", words["owner"]), ("License", words["license"]), ("Order of rows", words["arrangement"])]
    if entry.defined:
        found.append(("Defined in", f"{entry.defined.origin}, version {entry.defined.version}"))
    return tuple((key, value) for key, value in found if value)


def _statistics(prepared: Prepared, problems: list[str]) -> tuple[str, dict[str, Any] | None]:
    """The largest split, and its statistics."""
    split = max(prepared.manifest.rows, key=lambda one: prepared.manifest.rows[one], default="")
    try:
        return split, read_statistics(prepared, split=split)["splits"][split] if split else None
    except NotPrepared:  # from before there were statistics
        return split, None
    except AilabError as error:
        problems.append(str(error))
        return split, None


def _checks(entry: Entry, prepared: Prepared, problems: list[str]) -> tuple[tuple[str, str, str], ...]:
    """What the checks found; of columns with personal data, only how many rows."""
    try:
        found = read_checks(prepared)
    except AilabError as error:
        problems.append(str(error))
        return ()
    told = [{**one, "first": []} if entry.personal.intersection(one["columns"]) else one for one in found]
    return tuple((one["name"], one["result"], spoken(one)) for one in told)


def _sample(entry: Entry, prepared: Prepared, split: str, problems: list[str]) -> Sample | None:
    try:
        return sample_of(prepared, split, entry.personal)
    except MissingLibrary as error:  # the rows are shown all the same
        problems.append(f"no images are shown: {error}")
        return sample_of(prepared, split, entry.personal, images=False)
    except AilabError as error:
        problems.append(str(error))
        return None


def _versions(entry: Entry, shown: Manifest | None) -> tuple[VersionLine, ...]:
    """Every version that is prepared or has a note, newest first."""
    notes = {**(shown.release_notes if shown else {}), **(entry.defined.release_notes if entry.defined else {})}
    if entry.newest:
        notes = {**entry.newest.manifest.release_notes, **notes}
    there = {one.manifest.version: one for one in entry.versions}
    named = {*there, *notes, *([entry.defined.version] if entry.defined else [])}
    return tuple(_line(entry, one, there.get(one), notes.get(one, ""), shown) for one in sorted(named, key=_order))


def _line(entry: Entry, version: str, there: Version | None, note: str, shown: Manifest | None) -> VersionLine:
    newest = there is not None and there is entry.newest
    return VersionLine(
        version=version,
        link=page_path(entry.name, None if newest else version) if there else "",
        shown=shown is not None and shown.version == version,
        rows=rows_of(there.manifest) if there else "",
        size=size_of(there.manifest) if there else "",
        note=note,
        deprecated=there.deprecated if there else "",
    )


def _order(version: str) -> tuple[Sequence[int], str]:
    """Newest first; what a note names by another form of words stands last."""
    parts = version.split(".")
    return ([-int(part) for part in parts] if all(part.isdecimal() for part in parts) else [1], version)


def _provenance(manifest: Manifest) -> list[tuple[str, str]]:
    """How the version was made; only what says something to people."""
    told = manifest.provenance
    found = [("Fingerprint", manifest.fingerprint)]
    found += [
        (label, str(told[key])) for key, label in (("git_commit", "Git commit"), ("runner", "Runner")) if told.get(key)
    ]
    if isinstance(told.get("versions"), dict):
        found.append(("Made with", ", ".join(f"{name} {version}" for name, version in told["versions"].items())))
    return found
