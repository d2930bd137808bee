"""Shards to Arrow tables at the speed of decoding: an explicit list of files, one thread a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as t

from ailab_dataproc import cache
from ailab_dataproc.backends import dictionaries
from ailab_dataproc.backends.parquet import Located, Rows, Wanted, stored_ranges, touched
from ailab_dataproc.errors import AilabError, DamagedData
from ailab_dataproc.filters import RowFilter
from ailab_dataproc.machine import processors
from ailab_dataproc.storage import Folder

_MADE = 1024  # parts that are made at a time
_BUCKET_THREADS = 16  # that wait for a bucket most of the time
_SMALL = 1 << 20  # bytes of a file that is fetched whole: another request would take as long
_BLOCK = 1 << 18  # bytes that a checksum takes at a time: they fit into a processor's cache
_Of = TypeVar("_Of")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one shard's file: `take` of them after `skip`."""

    folder: Folder
    path: str  # below the folder
    rows: int  # in the whole file
    size: int  # bytes of the file
    bytes: int  # of the taken rows of the selected columns, as Arrow
    skip: int
    take: int  # rows; before the filter
    filter: RowFilter | None = None  # what `read_part` keeps of them
    checksum: str = ""  # of the file; without it the file is not kept in the cache
    crc32c: int | None = None  # of a file on the disk; without it all is read by Arrow
    pick: int | None = None  # rows that `read_part` returns of those that the filter keeps; None for all
    seed: int | None = None  # of a random pick; None for the first ones

    @property
    def known_rows(self) -> int | None:
        """How many rows `read_part` returns, where that is known before."""
        if self.pick is not None:
            return self.pick
        return self.take if self.filter is None else None


class Parts(Sequence[Part]):
    """Parts that are made when they are looked at: a million of them take the memory of their numbers and paths."""

    def __init__(
        self, folder: Folder, files: pa.Table, filter: RowFilter | None = None, seed: int | None = None
    ) -> None:
        self._folder = folder
        self._files = files  # columns: those fields of `Part` that parts differ in
        self._filter = filter
        self._seed = seed

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, at: int) -> Part: ...
    @overload
    def __getitem__(self, at: slice) -> Parts: ...
    def __getitem__(self, at: int | slice) -> Part | Parts:
        if isinstance(at, slice):
            return Parts(
                self._folder, self._files.take(pa.array(range(len(self))[at], pa.int64())), self._filter, self._seed
            )
        row = self._files.slice(range(len(self))[at], 1).to_pylist()[0]
        return Part(folder=self._folder, filter=self._filter, seed=self._seed, **row)

    def rows(self) -> np.ndarray:
        """The rows of each part: what a limit or a sample picks of it, else those before the filter."""
        return self._files["pick" if "pick" in self._files.schema.names else "take"].to_numpy()

    def __iter__(self) -> Iterator[Part]:
        for batch in self._files.to_batches(max_chunksize=_MADE):
            for row in batch.to_pylist():
                yield Part(folder=self._folder, filter=self._filter, seed=self._seed, **row)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a backend reads: parts of shards, in order, and the declared columns."""

    parts: Sequence[Part]
    schema: pa.Schema
    nulls: str = "refuse"  # or "mask": as in `Need`
    dtypes: str = "arrow"  # or "numpy": as in `Need`


def read_table(selection: Selection) -> pa.Table:
    """All selected rows as one table of the declared schema."""
    parts = selection.parts
    alone = len(parts) == 1  # else the cores have other shards to read, and columns side by side would only take memory
    tables = map_parts(lambda part: read_part(part, selection.schema, side_by_side=alone), parts, threads(parts))
    return pa.concat_tables(tables) if tables else selection.schema.empty_table()


def map_parts(function: Callable[[_Of], _Made], parts: Sequence[_Of], at_a_time: int | None = None) -> list[_Made]:
    """Call a function for each part (or number, or table) in a pool of threads, one a core; results in order."""
    most = at_a_time or processors()
    with ThreadPoolExecutor(max_workers=min(most, len(parts)) or 1) as pool:
        return list(pool.map(function, parts))


def threads(parts: Sequence[Part]) -> int:
    """How many parts are read at a time: one a core, or more from a bucket."""
    cores = processors()
    return cores if not parts or parts[0].folder.is_local else max(cores, _BUCKET_THREADS)


def count_part(part: Part) -> int:
    """How many rows of a part the filter keeps; only its columns are read."""
    if part.filter is None:
        return part.take
    return read_part(part, pa.schema([part.filter.columns.field(0)])).num_rows


def read_part(part: Part, schema: pa.Schema, packed: Collection[str] = (), *, side_by_side: bool = False) -> pa.Table:
    """The selected rows and columns of one shard.

    Args:
        part: which rows.
        schema: the declared columns.
        packed: columns of text that may come as the dictionary that the file holds, for who needs no plain text.
        side_by_side: whether columns are decoded at once, by Arrow's threads.

    Raises:
        InvalidRequest: the filter meets a value that it can't compare.
        DamagedData: the file is missing, has another size, other rows or columns, or a page that fails its checksum.
    """
    names = packed if part.filter is None else [one for one in packed if one not in part.filter.columns.names]
    return _using(part, schema, lambda rows, wanted: rows.read(wanted, schema, names, side_by_side=side_by_side), names)


def first_of(part: Part, schema: pa.Schema) -> pa.Table:
    """The first rows of a shard, as many as the part takes; it checks and raises as `read_part` does."""
    return _using(part, schema, lambda rows, wanted: rows.first(wanted.take, schema))


def check_part(part: Part) -> None:
    """Raise unless a shard on the disk is there and, byte for byte, the one that was written."""
    import google_crc32c

    where, found = part.folder.path(part.path), 0
    with _told(where):
        _check_size(part)
        with pa.memory_map(where) as source:
            while block := source.read(_BLOCK):
                found = google_crc32c.extend(found, block)
    if found != part.crc32c:
        raise DamagedData(f"{where}: the shard has other bytes than were written. Run verify.")


def share_of(part: Part, schema: pa.Schema) -> float:
    """What part of a shard's bytes some columns take."""
    return float(_using(part, schema, lambda rows, _: rows.share(schema)))


def locate_part(part: Part, schema: pa.Schema) -> Located:
    """Where the rows lie that `read_part` returns; it checks and raises as that does."""
    return _using(part, schema, lambda rows, wanted: rows.locate(wanted, schema))


def _using(part: Part, schema: pa.Schema, use: Callable[[Rows, Wanted], Any], packed: Collection[str] = ()) -> Any:
    """What a function makes of the open shard; columns and dictionaries of the schema can be read from it."""
    with _told(part.folder.path(part.path)):
        return _opened_for(part, schema, use, packed)


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Name the shard in what is raised within."""
    try:
        yield
    except AilabError:
        raise
    except FileNotFoundError as error:
        raise DamagedData(
            f"{where}: the shard is missing. Run verify, and restore or prepare the version again."
        ) from error
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:  # also names in the footer that are no text
        raise DamagedData(f"{where}: the shard can't be read ({error}). Run verify.") from error


def _opened_for(part: Part, schema: pa.Schema, use: Callable[[Rows, Wanted], Any], packed: Collection[str]) -> Any:
    where = part.folder.path(part.path)
    asked = schema if part.filter is None else part.filter.with_columns(schema)
    declared = [one.name for one in asked if t.is_dictionary(one.type) and _text(one.type.value_type)]
    source, metadata = _opened(part, asked.names)
    with source:
        metadata = metadata or pq.read_metadata(source)
        if metadata.num_rows != part.rows:
            raise DamagedData(
                f"{where}: the shard has {metadata.num_rows:,} rows, the index says {part.rows:,}. Run verify."
            )
        groups = [span.group for span in touched(metadata, part.skip, part.take)]
        known = part.filter.columns.names if part.filter else ()
        some = part.filter is not None or part.pick is not None  # few rows may be left, and only these are unpacked
        texts = [one for one in schema if _text(one.type) and one.name not in known and (some or one.name in packed)]
        with pq.ParquetFile(
            source,
            metadata=metadata,
            read_dictionary=[*declared, *dictionaries.small(metadata, texts, groups)],
            page_checksum_verification=True,
        ) as file:
            wanted = Wanted(
                skip=part.skip,
                take=part.take,
                filter=part.filter,
                pick=part.pick,
                seed=part.seed,
                shard=(part.skip, *part.path.encode()),
            )
            return use(Rows(file, source, where), wanted)


def _opened(part: Part, columns: Sequence[str]) -> tuple[Any, pq.FileMetaData | None]:
    """The shard's file on the disk or in the cache, or read by ranges; and its footer where it is known."""
    where = part.folder.path(part.path)
    if part.folder.is_local:
        _check_size(part)
        return pa.OSFile(where), None  # mapping it takes 4 % longer where few columns are read
    if (cached := cache.known(part.size, part.checksum)) is not None:
        return cached, None
    if part.size <= _SMALL:
        cached = cache.shard(part.folder, part.path, part.size, part.checksum)
        return cached or part.folder.open(part.path, part.size), None
    source = part.folder.open(part.path, part.size)
    metadata = pq.read_metadata(source)
    groups = [span.group for span in touched(metadata, part.skip, part.take)]
    needed = sum(stop - start for start, stop in stored_ranges(metadata, groups, columns))
    if needed > part.size * cache.WHOLE and (cached := cache.shard(part.folder, part.path, part.size, part.checksum)):
        return cached, None
    return source, metadata


def _check_size(part: Part) -> None:
    where = part.folder.path(part.path)
    found = os.stat(where).st_size
    if found != part.size:
        raise DamagedData(f"{where}: the shard has {found:,} bytes, the index says {part.size:,}. Run verify.")


def _text(type_: pa.DataType) -> bool:
    return bool(t.is_string(type_) or t.is_binary(type_))
