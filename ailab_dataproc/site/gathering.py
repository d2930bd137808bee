"""All that the pages tell, gathered once into frozen values: the definitions and every manifest. Reads no rows."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ailab_dataproc import catalog, storage
from ailab_dataproc.catalog import Definition
from ailab_dataproc.columns import describe_columns
from ailab_dataproc.errors import AilabError, DamagedData
from ailab_dataproc.lineage import Origin
from ailab_dataproc.manifest import MANIFEST, Manifest, parse_manifest, walk
from ailab_dataproc.notices import NOTICES, Notices
from ailab_dataproc.settings import Settings
from ailab_dataproc.site.pictures import lineage
from ailab_dataproc.storage import Folder
from ailab_dataproc.tables import HIDDEN

WORDS = ("description", "owner", "license", "citation", "homepage", "arrangement")


@dataclass(frozen=True, slots=True)
class Link:
    """Another dataset's version that this one was made from, or that was made from this one."""

    reference: str  # name:version
    told: str  # the split and the filters, as the lineage says them
    page: str | None  # its path from the site's root; None where there is none


@dataclass(frozen=True, slots=True)
class Defined:
    """What a definition says."""

    version: str
    origin: str  # the package with its version, or the folder, that brings it
    words: Mapping[str, str]
    columns: tuple[dict[str, Any], ...]
    splits: tuple[str, ...]
    release_notes: Mapping[str, str]
    deprecated: Mapping[str, str]  # reasons, by version


@dataclass(frozen=True, slots=True)
class Version:
    """One prepared version."""

    manifest: Manifest
    made_from: tuple[Link, ...] = ()
    made_into: tuple[Link, ...] = ()
    picture: str | None = None  # of the lineage, SVG
    deprecated: str = ""  # why nobody should begin with it; nothing where it is fine


@dataclass(frozen=True, slots=True)
class Entry:
    """One dataset."""

    name: str
    versions: tuple[Version, ...] = ()  # newest first
    defined: Defined | None = None
    problems: tuple[str, ...] = ()

    @property
    def newest(self) -> Version | None:
        """The version that a load takes where none is named: the newest that isn't deprecated, if there is one."""
        return next((one for one in self.versions if not one.deprecated), next(iter(self.versions), None))

    @property
    def words(self) -> dict[str, str]:
        """Description, owner and the like: of the newest version; of the definition where none is prepared."""
        told: Any = self.newest.manifest if self.newest else None
        if told is not None:
            return {key: str(getattr(told, key)) for key in WORDS}
        return dict(self.defined.words) if self.defined else dict.fromkeys(WORDS, "")

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The columns of the newest version, or of the definition."""
        if self.newest:
            return self.newest.manifest.columns
        return list(self.defined.columns) if self.defined else []

    @property
    def personal(self) -> frozenset[str]:
        """Columns that hold personal data by any version or by the definition: what is found out later counts too."""
        told = [*(one.manifest.columns for one in self.versions), self.defined.columns if self.defined else ()]
        return frozenset(column["name"] for columns in told for column in columns if column["pii"])

    @property
    def digest(self) -> str:
        """Changes when a page of this dataset does."""
        parts = [repr((self.name, self.defined, self.problems))]
        parts += [
            f"{one.manifest.model_dump_json()}{one.made_from}{one.made_into}{one.picture}" for one in self.versions
        ]
        parts += [one.deprecated for one in self.versions]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Gathered:
    """The catalog at one moment."""

    data_dir: str
    entries: tuple[Entry, ...]  # by name
    problems: tuple[str, ...] = field(default=())  # that are no single dataset's


def gather(settings: Settings) -> Gathered:
    """Read every definition and every manifest. What can't be read becomes a problem of its dataset."""
    place = storage.folder(settings.data_dir, settings.storage_options)
    problems: dict[str, list[str]] = defaultdict(list)
    general: list[str] = []
    try:
        found = catalog.look(settings)
    except AilabError as error:  # the prepared data can be shown all the same
        found = catalog.Catalog({}, ())
        general.append(str(error))
    known = found.definitions
    general += [one.what for one in found.problems]
    defined = {name: _define(one, problems[name]) for name, one in known.items()}
    versions = _versions(place, defined, problems)
    names = sorted({*known, *versions, *(name for name, told in problems.items() if told)})
    entries = [Entry(name, versions.get(name, ()), defined.get(name), tuple(problems[name])) for name in names]
    return Gathered(place.url, tuple(_linked(entries)), tuple(general))


def _versions(
    place: Folder, defined: Mapping[str, Defined | None], problems: dict[str, list[str]]
) -> dict[str, tuple[Version, ...]]:
    """The versions of each dataset, newest first; in a bucket their manifests are read side by side."""
    there = dict(version_folders(place))
    files = [f"{name}/{version}/{MANIFEST}" for name, versions in there.items() for version in versions]
    contents = place.read_many([*files, *(f"{name}/{NOTICES}" for name, versions in there.items() if versions)])
    reasons = {name: _reasons(place, name, defined.get(name), contents, problems) for name in there}
    found: dict[str, list[Version]] = defaultdict(list)
    for file in files:
        name, version, _ = file.rsplit("/", 2)
        try:
            if file in contents:
                manifest = _manifest(contents[file], place.path(file), name, version)
                found[name].append(Version(manifest, deprecated=reasons[name].get(version, "")))
        except AilabError as error:
            problems[name].append(str(error))
    return {name: tuple(sorted(ours, key=_order, reverse=True)) for name, ours in found.items()}


def _reasons(
    place: Folder,
    name: str,
    defined: Defined | None,
    contents: Mapping[str, bytes],
    problems: dict[str, list[str]],
) -> dict[str, str]:
    """Why versions of a dataset are deprecated: by its definition, and by what was said of them later."""
    file = f"{name}/{NOTICES}"
    found = dict(defined.deprecated) if defined else {}
    try:
        told = Notices.of(contents.get(file), place.path(file)).deprecated
    except AilabError as error:
        problems[name].append(str(error))
        return found
    return found | {version: str(one) for version, one in told.items()}


def _manifest(content: bytes, where: str, name: str, version: str) -> Manifest:
    found = parse_manifest(content, where)
    if (found.name, found.version) != (name, version):
        raise DamagedData(f"{where}: is of {found.name}:{found.version}. Move it where it belongs.")
    _ = found.schema_  # the pages show its types
    return found


def version_folders(place: Folder) -> Iterator[tuple[str, list[str]]]:
    """The folders of a data directory that may hold versions: a dataset's name, and what stands there so named."""
    for name, members in walk(place):
        yield name, [one for one in members if one.count(".") == 2 and all(map(str.isdecimal, one.split(".")))]


def _order(version: Version) -> tuple[int, ...]:
    return tuple(int(part) for part in version.manifest.version.split("."))


def _define(definition: Definition, problems: list[str]) -> Defined | None:
    try:
        found = definition.load()
    except AilabError as error:
        problems.append(str(error))
        return None
    return Defined(
        version=found.version,
        origin=definition.package or Path(definition.origin).name,
        words={key: str(getattr(found, key)) for key in WORDS},
        columns=tuple(describe_columns(found.schema)),
        splits=tuple(found.splits),
        release_notes=dict(found.release_notes),
        deprecated=dict(found.deprecated),
    )


def _linked(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, with what each version was made from and what was made from it."""
    pages = {
        f"{one.name}:{version.manifest.version}": page_path(
            one.name, None if version is one.newest else version.manifest.version
        )
        for one in entries
        for version in one.versions
    }
    personal = {one.name: one.personal for one in entries}
    from_: dict[str, list[Link]] = defaultdict(list)
    into: dict[str, list[Link]] = defaultdict(list)
    for manifest in (version.manifest for one in entries for version in one.versions):
        for origin in manifest.lineage.derived_from if manifest.lineage else ():
            made, source = f"{manifest.name}:{manifest.version}", f"{origin.name}:{origin.version}"
            from_[made].append(Link(source, _told(origin, personal.get(origin.name)), pages.get(source)))
            into[source].append(Link(made, "", pages[made]))
    graph = {made: [one.reference for one in links] for made, links in from_.items()}

    def linked(entry: Entry, version: Version) -> Version:
        this = f"{entry.name}:{version.manifest.version}"
        if this not in from_ and this not in into:
            return version
        root = root_of(pages[this])
        picture = lineage(this, graph, {one: root + page for one, page in pages.items()})
        return replace(version, made_from=tuple(from_[this]), made_into=tuple(into[this]), picture=picture)

    return [replace(one, versions=tuple(linked(one, version) for version in one.versions)) for one in entries]


def _told(origin: Origin, personal: frozenset[str] | None) -> str:
    """The split and the filters; not what they are filtered by where that is, or may be, personal data."""
    split = "" if origin.split == "all" else f" {origin.split}"
    if not origin.filters:
        return split
    hidden = personal is None or any(one in origin.filters for one in personal)
    return f"{split} where {HIDDEN if hidden else origin.filters}"


def page_path(name: str, version: str | None = None) -> str:
    """Where a page lies, from the site's root; without a version, the dataset's own."""
    return f"datasets/{name}/{version}.html" if version else f"datasets/{name}.html"


def root_of(path: str) -> str:
    """The way from a page to the site's root."""
    return "../" * path.count("/")
