"""What is there, and how to load it: the catalog and the data directory, side by side, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ailab_dataproc import catalog, storage
from ailab_dataproc.catalog import Definition
from ailab_dataproc.checked import read_checks
from ailab_dataproc.columns import describe_columns, is_pii
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.errors import AilabError
from ailab_dataproc.manifest import (
    Manifest,
    Prepared,
    Versions,
    list_names,
    read_manifest,
    read_versions,
)
from ailab_dataproc.notices import Notice, Notices, clean, read_notices
from ailab_dataproc.references import Reference, number, split
from ailab_dataproc.settings import Settings
from ailab_dataproc.storage import Folder

_WITHOUT_NULLS = ("numpy", "tf", "torch")  # backends that want to be told what becomes of a null


def list_datasets(settings: Settings) -> list[dict[str, Any]]:
    """One dict a dataset, defined or prepared, sorted by name. What can't be read is told in its ``problem``."""
    place = storage.folder(settings.data_dir, settings.storage_options)
    known = catalog.definitions(settings)
    prepared = set(list_names(place))
    return [_row(name, known.get(name), place, name in prepared) for name in sorted({*known, *prepared})]


def list_problems(settings: Settings) -> list[dict[str, Any]]:
    """What keeps definitions from being seen, a dict each with the keys of `list_datasets`; its ``name`` is None."""
    none: dict[str, Any] = dict.fromkeys(("name", "version", "rows", "defined_version", "package"))
    empty = {**none, "owner": "", "description": "", "deprecated": {}}
    return [{**empty, "where": one.where, "problem": one.what} for one in catalog.look(settings).problems]


def describe(reference: str, settings: Settings) -> dict[str, Any]:
    """All that is known of one dataset: its definition, its prepared versions, its columns, how to load it.

    Args:
        reference: ``name`` for the version that `load` takes, or the definition's where none is prepared;
            ``name:1.2.0`` or ``name:1.*``.
        settings: where definitions and data lie.

    Raises:
        UnknownName: it is neither defined nor prepared, or hasn't this version.
        InvalidDefinition: two places define it, and nothing is prepared.
    """
    name, _ = split(reference)
    place = storage.folder(settings.data_dir, settings.storage_options)
    found = catalog.look(settings)
    known = found.definitions
    versions = read_versions(place, name)
    wanted = Reference.parse(reference, there=versions.there)
    if name not in known and not versions.there:
        raise catalog.no_dataset(name, found, list_names(place))
    if not versions.there and known[name].rivals:
        known[name].load()  # raises: which of them is asked for?
    defined, problem = _define(known.get(name))
    version = _version(wanted, versions, defined)
    manifests = [read_manifest(place / name / one) for one in versions.there]
    shown = next((one for one in manifests if one.version == version), None)
    columns = _columns(shown, defined)
    return {
        "name": name,
        "version": version,
        **_words(shown, defined),
        "lineage": shown.lineage.model_dump(mode="json") if shown and shown.lineage else None,
        "made_from": str(shown.lineage) if shown and shown.lineage else "",
        "made_from_deprecated": _outdated(shown, place),
        "columns": columns,
        "checks": _checks(place, shown, defined),
        "splits": _splits(shown, defined),
        "release_notes": {**(shown.release_notes if shown else {}), **(defined.release_notes if defined else {})},
        "defined": _defined(known.get(name), defined),
        "deprecated": {one: notice.model_dump() for one, notice in _deprecated(versions, defined).items()},
        "retired": {one: gone.at for one, gone in versions.notices.retired.items() if one not in versions.there},
        "prepared": [_prepared(one, place) for one in manifests],
        "load": ways_to_load(shown, columns, place, pinned=not _is_taken(shown, versions)) if shown else {},
        "problem": problem,
    }


def _version(wanted: Reference, versions: Versions, defined: Dataset | None) -> str | None:
    """The version that is described: prepared where it can be, else as it is defined."""
    prepared, avoid = versions.there, versions.notices.deprecated
    if any(map(wanted.matches, prepared)):
        return wanted.choose(prepared, avoid)
    there = sorted({*prepared, *([defined.version] if defined else [])}, key=number)
    return wanted.choose(there, avoid) if there else None


def _deprecated(versions: Versions, defined: Dataset | None) -> dict[str, Notice]:
    """By version, the newest first; also what a definition says that wasn't prepared since."""
    reasons = defined.deprecated if defined else {}
    news = {version: Notice(reason=clean(reason)) for version, reason in reasons.items()}
    found = {**news, **versions.notices.deprecated}
    return {version: found[version] for version in sorted(found, key=number, reverse=True)}


def _outdated(manifest: Manifest | None, place: Folder) -> dict[str, str]:
    """Those of the versions that one was made from which are deprecated, and why."""
    origins = manifest.lineage.derived_from if manifest and manifest.lineage else []
    found = [(one, read_notices(place / one.name).deprecated.get(one.version)) for one in origins]
    return {f"{one.name}:{one.version}": str(notice) for one, notice in found if notice}


def _is_taken(manifest: Manifest, versions: Versions) -> bool:
    """Whether the bare name stands for this version."""
    return manifest.version == Reference(manifest.name).choose(versions.there, versions.notices.deprecated)


def ways_to_load(
    manifest: Manifest,
    columns: list[dict[str, Any]],
    place: Folder,
    *,
    backends: Sequence[str] = ("pandas", "dask", "numpy"),
    pinned: bool = False,
) -> dict[str, str]:
    """A line of code for each way: a backend's name, or "tfds" for plain TensorFlow Datasets without this package.

    Args:
        manifest: of the version.
        columns: its columns.
        place: the data directory.
        backends: those to name.
        pinned: whether the lines name the version, else they take the newest one.
    """
    split = next(iter(manifest.splits))
    name = f"{manifest.name}:{manifest.version}" if pinned else manifest.name
    arguments = f'"{name}", split="{split}"'
    free = [one["name"] for one in columns if not one["pii"]]
    if len(free) < len(columns):
        arguments += f", columns={free[:3]!r}".replace("'", '"') if free else ", allow_pii=True"
    used = [one for one in columns if len(free) == len(columns) or one["name"] in free[:3] or not free]
    masked = ', nulls="mask"' if any(one["nullable"] for one in used) else ""
    lines = {
        name: f'adp.load({arguments}, backend="{name}"{masked if name in _WITHOUT_NULLS else ""})' for name in backends
    }
    if "tfrecord" in manifest.formats:
        above, _, last = manifest.name.rpartition("/")
        folder = f"{place.url}/{above}".rstrip("/")
        version = manifest.version if pinned else f"{manifest.version.split('.')[0]}.*.*"
        lines["tfds"] = f'tfds.load("{last}:{version}", data_dir="{folder}", split="{split}")'
    return lines


def complete_names(start: str, settings: Settings) -> list[str]:
    """The names that begin so, defined or prepared."""
    place = storage.folder(settings.data_dir, settings.storage_options)
    return sorted(name for name in {*catalog.definitions(settings), *list_names(place)} if name.startswith(start))


def _row(name: str, definition: Definition | None, place: Folder, prepared: bool) -> dict[str, Any]:
    defined, problem = _define(definition)
    manifest, notices = None, Notices()
    try:
        if prepared:
            versions = read_versions(place, name)
            notices = versions.notices
            manifest = read_manifest(place / name / Reference(name).choose(versions.there, notices.deprecated))
    except AilabError as error:
        problem = str(error)
    words = _words(manifest, defined)
    return {
        "name": name,
        "version": manifest.version if manifest else None,
        "rows": sum(manifest.rows.values()) if manifest else None,
        "defined_version": defined.version if defined else None,
        "owner": words["owner"],
        "description": words["description"].strip().split("\n", 1)[0],
        "where": definition.origin if definition else None,
        "package": definition.package or None if definition else None,
        "deprecated": {version: str(notice) for version, notice in notices.deprecated.items()},
        "problem": problem,
    }


def _define(definition: Definition | None) -> tuple[Dataset | None, str | None]:
    """The dataset, or what is wrong with its definition."""
    try:
        return (definition.load() if definition else None), None
    except AilabError as error:
        return None, str(error)


def _words(manifest: Manifest | None, defined: Dataset | None) -> dict[str, str]:
    """The texts: of the version that is shown; of the definition where none is prepared."""
    told = manifest or defined
    keys = ("description", "owner", "license", "citation", "homepage", "arrangement")
    return {key: str(getattr(told, key)) if told else "" for key in keys}


def _columns(manifest: Manifest | None, defined: Dataset | None) -> list[dict[str, Any]]:
    if manifest:
        return manifest.columns
    return describe_columns(defined.schema) if defined else []


def _checks(place: Folder, manifest: Manifest | None, defined: Dataset | None) -> list[dict[str, Any]]:
    """The checks with what they found in the version that is shown; those of the definition where none is prepared."""
    if manifest:
        return read_checks(Prepared(place / manifest.name / manifest.version, manifest, manifest.schema_))
    return [one.describe() for one in defined.checks] if defined else []


def _splits(manifest: Manifest | None, defined: Dataset | None) -> dict[str, int | None]:
    """Rows by split; None where they aren't known before the dataset is prepared."""
    if manifest:
        return dict(manifest.rows)
    return dict.fromkeys(defined.splits) if defined else {}


def _defined(definition: Definition | None, defined: Dataset | None) -> dict[str, Any] | None:
    if definition is None:
        return None
    return {
        "version": defined.version if defined else None,
        "path": str(definition.path),
        "where": definition.origin,
        "package": definition.package or None,
    }


def _prepared(manifest: Manifest, place: Folder) -> dict[str, Any]:
    return {
        "version": manifest.version,
        "rows": manifest.rows,
        "shards": sum(len(shards) for shards in manifest.splits.values()),
        "bytes": manifest.bytes,
        "location": (place / manifest.name / manifest.version).url,
        "package": manifest.provenance.get("package"),
    }


@dataclass(frozen=True, slots=True)
class Head:
    """The first rows of a dataset."""

    dataset: str  # name:version
    split: str
    columns: list[str]  # all that were asked for
    hidden: list[str]  # those whose values are personal data and not in `rows`
    rows: list[dict[str, Any]]


def first_rows(
    reference: str,
    settings: Settings,
    *,
    count: int,
    columns: list[str] | None,
    allow_pii: bool,
    seed: int | None = None,
    **selecting: Any,
) -> Head:
    """Read the first rows of a split, or some at random; personal data is left out unless it is allowed.

    Args:
        reference: ``name``, ``name:1.2.0`` or ``name:1.*``.
        settings: where to look.
        count: how many rows.
        columns: of these columns; all by default.
        allow_pii: whether to show personal data.
        seed: of random rows; None for the first ones.
        **selecting: split and filters, as `load` takes them.
    """
    from ailab_dataproc.loading import load, open_known, plan

    prepared = open_known(reference, settings)
    schema = prepared.schema
    asked = list(columns) if columns is not None else list(schema.names)
    hidden = [] if allow_pii else [n for n in asked if n in schema.names and is_pii(schema.field(n))]
    wanted = [one for one in asked if one not in hidden]
    draw = {"limit": count} if seed is None else {"sample": count, "seed": seed}
    options: dict[str, Any] = {"data_dir": settings.data_dir, "backend": "arrow", **draw, **selecting}
    if wanted or not hidden:
        found = load(prepared.name, columns=wanted, allow_pii=allow_pii, **options).to_pylist()
    else:  # the rows are still counted
        filters = selecting.get("filters")
        read = [filters[0][0]] if filters else hidden
        found = [{}] * plan(prepared.name, columns=read, allow_pii=not filters, **options).need.rows
    return Head(prepared.name, str(selecting.get("split", "all")), asked, hidden, found)
