"""Shards to Arrow tables at the speed of decoding: an explicit list of files, one thread a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, overload

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as t

from ailab_dataproc import cache
from ailab_dataproc.backends import dictionaries
from ailab_dataproc.errors import AilabError, DamagedData
from ailab_dataproc.filters import RowFilter
from ailab_dataproc.schema import in_parquet
from ailab_dataproc.storage import Folder

_MADE = 1024  # parts that are made at a time


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


class Parts(Sequence[Part]):
    """Parts that are made when they are looked at: a million of them take the memory of their numbers and paths."""

    def __init__(self, folder: Folder, files: pa.Table, filter: RowFilter | None = None) -> None:
        self._folder = folder
        self._files = files  # path, rows, size, bytes, skip, take, and in a bucket checksum: as in `Part`
        self._filter = filter

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, at: int) -> Part: ...
    @overload
    def __getitem__(self, at: slice) -> Parts: ...
    def __getitem__(self, at: int | slice) -> Part | Parts:
        if isinstance(at, slice):
            return Parts(self._folder, self._files.take(pa.array(range(len(self))[at], pa.int64())), self._filter)
        row = self._files.slice(range(len(self))[at], 1).to_pylist()[0]
        return Part(folder=self._folder, filter=self._filter, **row)

    def __iter__(self) -> Iterator[Part]:
        for batch in self._files.to_batches(max_chunksize=_MADE):
            for row in batch.to_pylist():
                yield Part(folder=self._folder, filter=self._filter, **row)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a backend reads: parts of shards, in order, and the declared columns."""

    parts: Sequence[Part]
    schema: pa.Schema
    nulls: str = "refuse"  # or "mask": as in `Need`
    dtypes: str = "arrow"  # or "numpy": as in `Need`


def read_table(selection: Selection) -> pa.Table:
    """All selected rows as one table of the declared schema."""
    tables = map_parts(lambda part: read_part(part, selection.schema), selection.parts)
    return pa.concat_tables(tables) if tables else selection.schema.empty_table()


def map_parts(function: Callable[[Part], Any], parts: Sequence[Part]) -> list[Any]:
    """Call a function for each part, in a pool of one thread a core; results in order."""
    with ThreadPoolExecutor(max_workers=min(len(os.sched_getaffinity(0)), len(parts)) or 1) as pool:
        return list(pool.map(function, parts))


def read_part(part: Part, schema: pa.Schema) -> pa.Table:
    """The selected rows and columns of one shard.

    Raises:
        InvalidRequest: the filter meets a value that it can't compare.
        DamagedData: the file is missing, has another size, other rows or columns, or a page that fails its checksum.
    """
    if part.filter is not None:
        whole = read_part(replace(part, filter=None), part.filter.with_columns(schema))
        return part.filter.keep(whole).select(schema.names)
    where = part.folder.path(part.path)
    try:
        table = _read(part, schema)
    except AilabError:
        raise
    except FileNotFoundError as error:
        raise DamagedData(
            f"{where}: the shard is missing. Run verify, and restore or prepare the version again."
        ) from error
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:  # also names in the footer that are no text
        raise DamagedData(f"{where}: the shard can't be read ({error}). Run verify.") from error
    return _declared(table, schema, where)


def _read(part: Part, schema: pa.Schema) -> pa.Table:
    declared = [one.name for one in schema if t.is_dictionary(one.type) and _text(one.type.value_type)]
    with _opened(part) as opened:
        metadata = pq.read_metadata(opened)
        if metadata.num_rows != part.rows:
            raise DamagedData(
                f"{part.folder.path(part.path)}: the shard has {metadata.num_rows:,} rows, "
                f"the index says {part.rows:,}. Run verify."
            )
        groups, skip = _touched(metadata, part)
        with pq.ParquetFile(
            opened,
            metadata=metadata,
            pre_buffer=not isinstance(opened, pa.MemoryMappedFile),
            read_dictionary=[*declared, *dictionaries.small(metadata, schema, groups)],
            page_checksum_verification=True,
        ) as file:
            table = file.read_row_groups(groups, columns=schema.names)
    return table.slice(skip, part.take)


def _opened(part: Part) -> Any:
    """The shard's file: mapped from the disk or the cache, or read by ranges from its bucket."""
    if not part.folder.is_local:
        cached = cache.shard(part.folder, part.path, part.size, part.checksum)
        return cached or part.folder.open(part.path, part.size)
    where = part.folder.path(part.path)
    found = os.stat(where).st_size
    if found != part.size:
        raise DamagedData(f"{where}: the shard has {found:,} bytes, the index says {part.size:,}. Run verify.")
    return pa.memory_map(where)


def _touched(metadata: pq.FileMetaData, part: Part) -> tuple[list[int], int]:
    """The row groups that hold the wanted rows, and how many rows of the first to skip."""
    groups: list[int] = []
    first = skip = 0
    for number in range(metadata.num_row_groups):
        count = metadata.row_group(number).num_rows
        if first < part.skip + part.take and first + count > part.skip:
            if not groups:
                skip = part.skip - first
            groups.append(number)
        first += count
    return groups, skip


def _declared(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """The table with exactly the declared types: dictionaries as declared, the rest as it was written."""
    if table.schema.names != schema.names:
        raise DamagedData(f"{where}: the shard lacks columns that the manifest declares. Run verify.")
    columns = []
    for field, found in zip(schema, table.columns, strict=True):
        column = found
        if found.type != field.type:
            if t.is_dictionary(field.type):
                column = found if t.is_dictionary(found.type) else found.dictionary_encode()
            elif t.is_dictionary(found.type):
                column = dictionaries.decoded(found)
            elif found.type != in_parquet(field.type, nullable=field.nullable):
                raise DamagedData(f"{where}: column {field.name!r} is {column.type}, the manifest says {field.type}.")
            column = column.cast(field.type)
        columns.append(column)
    return pa.table(columns, schema=schema)


def _text(type_: pa.DataType) -> bool:
    return bool(t.is_string(type_) or t.is_binary(type_))
