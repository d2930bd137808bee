"""What was prepared. Written last: a version whose manifest exists is complete."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ailab_dataproc import schema as contract
from ailab_dataproc.dataset import check_name
from ailab_dataproc.errors import DamagedData, NotPrepared, UnknownName
from ailab_dataproc.lineage import Lineage
from ailab_dataproc.notices import NOTICES, Notice, Notices
from ailab_dataproc.references import Reference, listed, number, split
from ailab_dataproc.storage import Folder, checksum_of, explained

MANIFEST = "manifest.json"
INDEX = "index.parquet"
SOURCES = "sources.parquet"
STATISTICS = "statistics.json"
CHECKS = "checks.json"
DEFINITION = "definition.py"  # the text of the definition's module
_FORMAT_VERSION = 1
_SHARD = r"^[a-z]+/[A-Za-z0-9_-][A-Za-z0-9_.-]*$"  # a shard's path in the version's folder
_NAME_PART = re.compile(r"[a-z0-9][a-z0-9_]*")
_VERSION_FOLDER = re.compile(r"\d+\.\d+\.\d+")


class Manifest(BaseModel):
    """One prepared version: its schema, sizes and provenance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = _FORMAT_VERSION
    name: str
    version: str
    fingerprint: str  # of all that decides the bytes of the shards
    parts: dict[str, str]  # the fingerprint's parts: schema, code, sources, layout
    arrow_schema: str  # Arrow's own serialization, base64
    columns: list[dict[str, Any]]  # the same for people: name, type, nullable, meaning, unit, pii
    splits: dict[str, list[int]]  # rows of each shard
    formats: list[str]
    bytes: dict[str, int]  # as stored, by format
    index_checksum: str
    files: dict[str, str] = Field(default_factory=dict)  # checksum of each file beside index and shards
    lineage: Lineage | None = None  # None where it was read from plain sources
    arrangement: str = ""  # how rows are arranged, in words; nothing where they stand as in the sources
    owner: str = ""
    description: str = ""
    citation: str = ""
    license: str = ""
    homepage: str = ""
    release_notes: dict[str, str] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)  # versions, git commit, runner, seconds; not hashed

    @property
    def schema_(self) -> pa.Schema:
        """The declared Arrow schema."""
        return contract.decode(self.arrow_schema, f"{self.name}:{self.version}")

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each split."""
        return {split: sum(shards) for split, shards in self.splits.items()}


@dataclass(frozen=True, slots=True)
class Versions:
    """The finished versions of a dataset."""

    there: tuple[str, ...]  # oldest first
    notices: Notices  # what is said of them, and of those that are gone


@dataclass(frozen=True, slots=True)
class Prepared:
    """A finished version in a data directory."""

    folder: Folder
    manifest: Manifest
    schema: pa.Schema
    notice: Notice | None = None  # why it is deprecated, if it is

    @property
    def name(self) -> str:
        """``name:version``."""
        return f"{self.manifest.name}:{self.manifest.version}"

    def index(self, format_: str = "parquet", columns: Sequence[str] | None = None) -> pa.Table:
        """A row a shard of one format, ordered by split and number.

        Columns: split, format, shard, path, rows, bytes, checksum, crc32c and ``columns``, with, for each column,
        its Arrow ``bytes``, ``nulls`` and (where the type has an order and isn't PII) ``min`` and ``max``.

        Args:
            format_: of which shards.
            columns: only these are read, such as ``"rows"`` and ``"columns.price.min"``; those that the index lacks
                are left out.
        """
        wanted = None if columns is None else ["format", *columns]
        with self.open_index() as file:
            groups = [i for i in range(file.num_row_groups) if _may_hold(file.metadata.row_group(i), format_)]
            table = file.read_row_groups(groups, columns=wanted)
        if "path" in table.schema.names:
            _check_paths(table["path"], self.folder.path(INDEX))
        mine = pc.equal(table["format"], format_)  # its shards stand together
        return table.slice(max(pc.index(mine, True).as_py(), 0), pc.sum(mine).as_py() or 0)

    def open_index(self) -> pq.ParquetFile:
        """The index's file, after one look at every byte of it; the caller closes it.

        Raises:
            DamagedData: it is missing, or not what the manifest was written with.
        """
        where = self.folder.path(INDEX)
        try:
            with explained(where, "read"):  # from a bucket every byte comes anyway, so it comes once
                source = pa.OSFile(where) if self.folder.is_local else pa.BufferReader(self.folder.read(INDEX))
        except FileNotFoundError as error:
            raise DamagedData(
                f"{where}: the index is missing. Prepare the version again in an empty folder."
            ) from error
        if checksum_of(source) != self.manifest.index_checksum:
            raise DamagedData(
                f"{where}: the index is not the one that the manifest was written with. Restore the file."
            )
        source.seek(0)
        return pq.ParquetFile(source, read_dictionary=["split", "format"])


def read_beside(prepared: Prepared, name: str, what: str) -> bytes:
    """The content of a small file beside the index, such as the statistics.

    Args:
        prepared: the version; its manifest knows the file.
        name: of the file.
        what: it holds, in the plural, for messages.

    Raises:
        DamagedData: it is missing, or not the one that was written.
    """
    where = prepared.folder.path(name)
    try:
        content = prepared.folder.read(name)
    except FileNotFoundError as error:
        raise DamagedData(f"{where}: {what} are missing. Restore the file; the data load without it.") from error
    if checksum_of(io.BytesIO(content)) != prepared.manifest.files[name]:
        raise DamagedData(
            f"{where}: is not the file that the manifest was written with. Restore it; the data load without it."
        )
    return content


def _check_paths(paths: pa.ChunkedArray, where: str) -> None:
    """Raise `DamagedData` for a path that leaves the version's folder; we never write such a one."""
    bad = pc.filter(paths, pc.invert(pc.match_substring_regex(paths, _SHARD)))
    if len(bad):
        raise DamagedData(
            f"{where}: names the file {bad[0].as_py()!r}, wanted one such as 'parquet/train-00000-of-00001.parquet'. "
            "Restore the file, and don't trust its source."
        )


def _may_hold(group: pq.RowGroupMetaData, format_: str) -> bool:
    """Whether a row group of the index may hold shards of a format; they are sorted by it."""
    column = next(one for one in map(group.column, range(group.num_columns)) if one.path_in_schema == "format")
    known = column.statistics
    return known is None or not known.has_min_max or bool(known.min <= format_ <= known.max)


def list_names(data_dir: Folder) -> list[str]:
    """The names that have at least one finished version in a data directory, sorted. Shards are never listed."""
    return sorted(name for name, members in walk(data_dir) if _finished(data_dir / name, members))


def walk(data_dir: Folder) -> Iterator[tuple[str, list[str]]]:
    """Each folder of a data directory that may be a dataset's, as its name, with what stands directly in it."""
    below = [part for part in data_dir.names() if _NAME_PART.fullmatch(part)]
    while below:
        name = below.pop()
        members = (data_dir / name).names()
        yield name, members
        below += [f"{name}/{part}" for part in members if _NAME_PART.fullmatch(part)]


def list_versions(data_dir: Folder, name: str) -> list[str]:
    """The finished versions of a dataset, oldest first."""
    return list(read_versions(data_dir, name).there)


def read_versions(data_dir: Folder, name: str) -> Versions:
    """The finished versions of a dataset with what is said of them, in one listing and one round of reading."""
    check_name(name)
    folder = data_dir / name
    members = folder.names()
    manifests = _manifests(members)
    found = folder.read_many([*manifests, NOTICES] if NOTICES in members else manifests)
    there = sorted((manifests[one] for one in found if one in manifests), key=number)
    return Versions(tuple(there), Notices.of(found.get(NOTICES), folder.path(NOTICES)))


def _finished(folder: Folder, members: Iterable[str]) -> bool:
    """Whether any of a dataset's folders holds a manifest; in a bucket they are asked side by side."""
    return bool(folder.read_many(_manifests(members)))


def _manifests(members: Iterable[str]) -> dict[str, str]:
    """Where the manifests of versions stand in a dataset's folder, with the versions."""
    return {f"{one}/{MANIFEST}": one for one in members if _VERSION_FOLDER.fullmatch(one)}


def open_prepared(data_dir: Folder, reference: str, version: str | None = None) -> Prepared:
    """Open a finished version: the newest of those that are asked for; a deprecated one only if there is no other.

    Raises:
        NotPrepared: nothing is prepared under this name, with the command that prepares it.
        InvalidRequest: the version is neither one nor a pattern.
        UnknownName: the name or the version doesn't exist, with the ones that do.
        DamagedData: the manifest can't be read.
    """
    name, _ = split(reference)
    versions = read_versions(data_dir, name)
    wanted = Reference.parse(reference, version, versions.there)
    if not versions.there:
        raise not_prepared(name, data_dir)
    _check_not_retired(wanted, versions)
    found = wanted.choose(versions.there, versions.notices.deprecated)
    folder = data_dir / name / found
    manifest = read_manifest(folder)
    if manifest.name != name or manifest.version != found:
        raise DamagedData(
            f"{folder.path(MANIFEST)}: is of {manifest.name}:{manifest.version}. Move it where it belongs."
        )
    return Prepared(folder, manifest, manifest.schema_, versions.notices.deprecated.get(found))


def not_prepared(name: str, data_dir: Folder) -> NotPrepared:
    """Build the error for a dataset without a finished version."""
    return NotPrepared(f"{name}: nothing is prepared in {data_dir.url}. Run: ailab-dataproc prepare {name}")


def _check_not_retired(wanted: Reference, versions: Versions) -> None:
    notices = versions.notices
    if wanted.version in notices.retired and wanted.version not in versions.there:
        why = notices.deprecated.get(wanted.version)
        raise UnknownName(
            f"{wanted}: was retired on {notices.retired[wanted.version].at[:10]}{f', {why}' if why else ''}. "
            f"{listed(versions.there)}"
        )


def read_all(data_dir: Folder) -> Iterator[Manifest]:
    """The manifests of all finished versions of all datasets."""
    for name, members in walk(data_dir):
        folder = data_dir / name
        for file, content in folder.read_many(_manifests(members)).items():
            yield parse_manifest(content, folder.path(file))


def read_manifest(folder: Folder) -> Manifest:
    """Read and check the manifest of a version's folder."""
    return parse_manifest(folder.read(MANIFEST), folder.path(MANIFEST))


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Check the content of a manifest.

    Args:
        content: of the file.
        where: its path, for messages.

    Raises:
        DamagedData: it isn't what we write.
    """
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DamagedData(f"{where}: {place} can't be read ({first['msg']}). Restore the file.") from error
