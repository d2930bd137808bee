"""What an author writes: a Dataset. A value, not a class to inherit from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa

from ailab_dataproc import urls
from ailab_dataproc.download import Download
from ailab_dataproc.errors import InvalidDefinition, unknown
from ailab_dataproc.splitting import ByValue, Later, Pooled, arrangement, strings

_NAME = re.compile(r"[a-z][a-z0-9_]*(/[a-z0-9][a-z0-9_]*)*")
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
_SPLIT = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST = 200  # characters of a dataset's or column's name
ORDERS = ("source", "shuffled")


@dataclass(frozen=True, slots=True)
class Source:
    """One input of a split, as `read` gets it: a file, or whatever the dataset's `sources` made of its split."""

    url: str
    split: str
    size: int = 0  # bytes as stored; 0 where the source is no file, or a web server doesn't say
    identity: str | None = None  # changes when the content does; None: the content is hashed
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    part: tuple[int, int] | None = None  # the lines that begin in these bytes, or row groups of Parquet; None: all
    place: str | None = field(default=None, repr=False, compare=False)  # where the content lies, if not at the url

    def open(self) -> BinaryIO:
        """Open the source for reading, unpacked by its ending (.gz, .bz2, .xz, .zst); of a part, its lines."""
        file = urls.open_url(self.place or self.url, dict(self.options), compression="infer")
        return urls.lines_within(file, *self.part) if self.part else file

    @property
    def local_path(self) -> str | None:
        """The path on this machine's disk, or None where the source lies elsewhere."""
        return urls.local_path(self.place or self.url)

    @property
    def name(self) -> str:
        """The last part of the URL, for messages; of a part, with where it begins."""
        name = urls.file_name(self.url)
        if not self.part or not self.part[0]:
            return name
        unit = "row group" if name.endswith((".parquet", ".pq")) else "byte"
        return f"{name} (from {unit} {self.part[0]:,})"


Read = Callable[[Source], Iterable[Any]]
FindSources = Callable[[str, str], Iterable[Source]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset's definition.

    Args:
        name: lower-case path parts, such as ``products/product_a/clicks``.
        version: ``major.minor.patch``; raise it when rows or schema change.
        schema: the columns, made by `column` (a plain ``pa.field`` works too).
        splits: for each split the paths, URLs or globs of its sources; or `by_hash` or `by_value`, which share out the
            rows of one pool of sources.
        read: turns one source into Arrow tables or record batches, pandas frames, or dicts (one a row).
            It runs in workers, once for each source. By default CSV, JSON Lines and Parquet are read by their ending.
        sources: finds the sources of a split for what is no file: called with the split's name and each of its
            strings, but those that name a download.
        by_line: whether `read` takes each line by itself, so that a huge text file may be cut at line ends and
            read by several workers. The default readers cut what they can.
        order: ``"source"`` keeps the rows in the order of the sources (sorted by URL), ``"shuffled"`` mixes all rows of
            a split; the same order on any runner.
        seed: of the shuffle.
        key: the columns whose values name a row; two rows with the same stop the preparation.
        downloads: by a name, what is fetched (and unpacked) before preparing; a split names files of it as
            ``download://<name>/<path or glob inside an archive>``, or ``download://<name>`` for a single file.
        owner: the person or team to ask.
        description: what one row is, and where it comes from.
        citation: how to cite it.
        license: under which terms it may be used.
        homepage: where to read more.
        allow_empty: whether a source may hold no rows; by default that is an error.
        release_notes: what changed, by version.

    Raises:
        InvalidDefinition: a name, version, split or column that can't be right.
    """

    name: str
    version: str
    schema: pa.Schema
    splits: Mapping[str, str | Sequence[str]] | Pooled
    read: Read | None = None
    sources: FindSources | None = None
    by_line: bool = False
    order: str = "source"
    seed: int = 0
    key: str | Sequence[str] = ()
    downloads: Mapping[str, Download] = field(default_factory=dict)
    owner: str = ""
    description: str = ""
    citation: str = ""
    license: str = ""
    homepage: str = ""
    allow_empty: bool = False
    release_notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name)
        check_version(self.version, where=self.name)
        _check_schema(self.name, self.schema)
        if not self.splits:
            raise InvalidDefinition(f"{self.name}: no splits. Give one, such as splits={{'train': 'data/*.csv'}}.")
        for split in self.splits:
            if not _SPLIT.fullmatch(split) or split == "all":
                raise InvalidDefinition(
                    f"{self.name}: {split!r} can't be a split's name; wanted lower-case letters, digits and _, "
                    "and not 'all'."
                )
        if not isinstance(self.splits, Pooled | Later):
            object.__setattr__(self, "splits", {k: strings(v) for k, v in self.splits.items()})
        object.__setattr__(self, "key", strings(self.key))
        _check_arrangement(self)
        _check_downloads(self.name, self.downloads)
        object.__setattr__(self, "downloads", dict(self.downloads))
        object.__setattr__(self, "release_notes", dict(self.release_notes))
        object.__setattr__(self, "description", (self.description or "").strip())

    @property
    def arrangement(self) -> str:
        """How rows are arranged, in words; nothing where they stand as in the sources."""
        return arrangement(self.splits, order=self.order, seed=self.seed, key=self.key)


def check_name(name: str) -> None:
    """Raise `InvalidDefinition` for what can't be a dataset's name (or would leave the data directory)."""
    if not isinstance(name, str) or len(name) > _LONGEST or not _NAME.fullmatch(name):
        shown = name if not isinstance(name, str) or len(name) <= _LONGEST else name[:40] + "…"
        raise InvalidDefinition(
            f"{shown!r} can't be a dataset's name; wanted lower-case letters, digits and _ in parts "
            f"joined by /, at most {_LONGEST} characters, such as products/product_a/clicks."
        )


def check_version(version: str, where: str) -> None:
    """Raise `InvalidDefinition` for what isn't ``major.minor.patch``."""
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise InvalidDefinition(f"{where}: version {version!r} isn't major.minor.patch, such as '1.0.0'.")


def _check_arrangement(dataset: Dataset) -> None:
    """Order, key and shared-out splits: do they go with the schema?"""
    name, schema, splits = dataset.name, dataset.schema, dataset.splits
    if dataset.order not in ORDERS:
        raise InvalidDefinition(str(unknown("order", str(dataset.order), ORDERS, where=name)))
    for one in (*dataset.key, *(splits.columns if isinstance(splits, Pooled) else ())):
        if one not in schema.names:
            raise InvalidDefinition(str(unknown("column", str(one), schema.names, where=name)))
    by = splits.columns if isinstance(splits, Pooled) and not isinstance(splits, ByValue) else ()
    for one in (*dataset.key, *by):
        if not _names_rows(schema.field(one).type):
            raise InvalidDefinition(
                f"{name}: column {one!r} is {schema.field(one).type}, which can't be a key; wanted an integer, a "
                "string, bytes, a date, a time, a decimal or a boolean."
            )
    for one in dataset.key:
        if schema.field(one).nullable:
            raise InvalidDefinition(f"{name}: key column {one!r} is nullable. A key has a value in each row.")


def _names_rows(type_: pa.DataType) -> bool:
    t = pa.types
    plain = type_.value_type if t.is_dictionary(type_) else type_
    return not (t.is_floating(plain) or t.is_nested(plain) or t.is_null(plain))


def _check_downloads(name: str, downloads: Mapping[str, Download]) -> None:
    for key, value in downloads.items():
        if not _SPLIT.fullmatch(key):
            raise InvalidDefinition(f"{name}: {key!r} can't name a download; wanted lower-case letters, digits and _.")
        if not isinstance(value, Download):
            raise InvalidDefinition(f"{name}: download {key!r} is a {type(value).__name__}, wanted Download(url, …).")


def _check_schema(name: str, schema: pa.Schema) -> None:
    if not isinstance(schema, pa.Schema):
        raise InvalidDefinition(f"{name}: schema is a {type(schema).__name__}, wanted pa.schema([column(…), …]).")
    if not len(schema):
        raise InvalidDefinition(f"{name}: the schema has no columns.")
    seen: set[str] = set()
    for one in schema:
        bad = not one.name or len(one.name) > _LONGEST or re.search(r"[/.\x00-\x1f\x7f]", one.name)
        if bad:
            raise InvalidDefinition(
                f"{name}: {one.name!r} can't be a column's name; wanted 1 to {_LONGEST} characters without / . "
                "and control characters."
            )
        if one.name in seen:
            raise InvalidDefinition(f"{name}: column {one.name!r} is declared twice. Rename or remove one.")
        seen.add(one.name)
