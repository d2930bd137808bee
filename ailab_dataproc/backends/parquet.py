"""Rows of one Parquet file: only the row groups and columns that hold them, the filter's columns first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as t

from ailab_dataproc import guarantees
from ailab_dataproc.errors import DamagedData
from ailab_dataproc.filters import RowFilter
from ailab_dataproc.machine import processors
from ailab_dataproc.sampling import places
from ailab_dataproc.schema import in_parquet
from ailab_dataproc.storage import RangeFile

_SLICED = 2  # times the kept rows are at least the table's, where they are a slice of it and keep all in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows of a file."""

    skip: int
    take: int  # rows; before the filter
    filter: RowFilter | None = None
    pick: int | None = None  # rows of those that the filter keeps; None for all
    seed: int | None = None  # of a random pick; None for the first ones
    shard: Sequence[int] = ()  # tells the file from others, for the random pick


@dataclass(frozen=True, slots=True)
class _Span:
    """Rows of one row group."""

    group: int
    skip: int
    take: int


@dataclass(frozen=True, slots=True)
class Located:
    """Where rows lie in a file."""

    numbers: range | np.ndarray  # of the rows, ascending
    groups: np.ndarray  # rows of each row group of the file


@dataclass(frozen=True, slots=True)
class _Columns:
    """What columns a result has, and how they are read."""

    schema: pa.Schema
    packed: Collection[str] = ()  # those of text that may come as dictionaries
    side_by_side: bool = False  # whether they are decoded at once


class Rows:
    """Reads rows of an open file, as declared types."""

    def __init__(self, file: pq.ParquetFile, source: Any, where: str) -> None:
        """Read from a file.

        Args:
            file: of pyarrow.
            source: what it reads from; a `RangeFile` is told beforehand what will be read.
            where: its path, for messages.
        """
        self._file = file
        self._source = source
        self._where = where

    def read(
        self, wanted: Wanted, schema: pa.Schema, packed: Collection[str] = (), *, side_by_side: bool = False
    ) -> pa.Table:
        """The rows, with the columns of a schema; packed ones may come as the dictionaries that the file holds."""
        asked = _Columns(schema, packed, side_by_side)
        if wanted.filter is None and wanted.pick is None:
            return self._spans(touched(self._file.metadata, wanted.skip, wanted.take), asked)
        return self._at(*self._kept(wanted, side_by_side=side_by_side), asked)

    def first(self, count: int, schema: pa.Schema) -> pa.Table:
        """The first rows; of the disk, only the pages that hold them are decoded."""
        found = next(self._file.iter_batches(count, columns=schema.names, use_threads=False), None)
        table = self._file.schema_arrow.empty_table() if found is None else pa.table(found)
        return _by_contract(table.select(schema.names), _Columns(schema), self._where)

    def share(self, schema: pa.Schema) -> float:
        """What part of the bytes of all columns those of a schema take."""
        metadata = self._file.metadata
        some, every = (
            sum(stop - start for start, stop in stored_ranges(metadata, range(metadata.num_row_groups), names))
            for names in (schema.names, metadata.schema.to_arrow_schema().names)
        )
        return some / max(every, 1)

    def locate(self, wanted: Wanted, schema: pa.Schema) -> Located:
        """Where the rows lie; the file is known to have the columns of a schema then."""
        self._spans([], _Columns(schema))
        metadata = self._file.metadata
        groups = np.array([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)], dtype=np.int64)
        if wanted.filter is None and wanted.pick is None:
            return Located(range(wanted.skip, wanted.skip + wanted.take), groups)
        spans, kept, _ = self._kept(wanted)
        starts = np.cumsum(groups) - groups
        firsts = [int(starts[span.group]) + span.skip for span in spans]
        pieces = [np.arange(first, first + span.take) for first, span in zip(firsts, spans, strict=True)]
        return Located(np.concatenate([np.zeros(0, np.int64), *pieces])[kept], groups)

    def _kept(self, wanted: Wanted, *, side_by_side: bool = False) -> tuple[list[_Span], np.ndarray, pa.Table | None]:
        """Spans, the sorted numbers of the rows within them that filter and pick keep, and the filter's columns."""
        spans = touched(self._file.metadata, wanted.skip, wanted.take)
        known: pa.Table | None = None
        if wanted.filter is None:
            kept = np.arange(sum(span.take for span in spans))
        else:
            groups = set(guarantees.row_groups(wanted.filter, self._file.metadata, [span.group for span in spans]))
            spans = [span for span in spans if span.group in groups]
            known = self._spans(spans, _Columns(wanted.filter.columns, side_by_side=side_by_side))
            mask = wanted.filter.mask(known).combine_chunks().fill_null(False)
            kept = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
        if wanted.pick is not None:
            kept = kept[places(len(kept), wanted.pick, wanted.seed, wanted.shard)]
        return spans, kept, known

    def _at(self, spans: Sequence[_Span], kept: np.ndarray, known: pa.Table | None, asked: _Columns) -> pa.Table:
        """Rows by their numbers within spans; columns that are known aren't read again, the others where there are any.

        Args:
            spans: of the file.
            kept: sorted numbers of rows.
            known: columns of all rows of the spans.
            asked: of the result.
        """
        schema = asked.schema
        mask = np.zeros(sum(span.take for span in spans), dtype=bool)
        mask[kept] = True
        there = [one for one in schema if known is not None and one.name in known.schema.names]
        other = pa.schema([one for one in schema if one not in there])
        read = self._masked(spans, mask, replace(asked, schema=other)).columns if len(other) else []
        columns = dict(zip(other.names, read, strict=True))
        if known is not None and there:
            found = known.select([one.name for one in there])
            found = _masked(found, mask)
            columns |= dict(zip(found.schema.names, found.columns, strict=True))
        return _table([columns[name] for name in schema.names], schema)

    def _masked(self, spans: Sequence[_Span], mask: np.ndarray, asked: _Columns) -> pa.Table:
        ends = np.cumsum([span.take for span in spans], dtype=np.int64)
        masks = np.split(mask, ends[:-1]) if spans else []
        hit = [(span, one) for span, one in zip(spans, masks, strict=True) if one.any()]
        tables = self._by_group([span for span, _ in hit], replace(asked, packed=asked.schema.names))
        kept = [_masked(table, one) for table, (_, one) in zip(tables, hit, strict=True)]
        return _unpacked(pa.concat_tables(kept), asked) if kept else asked.schema.empty_table()

    def _by_group(self, spans: Sequence[_Span], asked: _Columns) -> Iterable[pa.Table]:
        table = self._spans(spans, asked)
        first = 0
        for span in spans:
            yield table.slice(first, span.take)
            first += span.take

    def _spans(self, spans: Sequence[_Span], asked: _Columns) -> pa.Table:
        """All rows of spans. Only the first and the last row group may be cut, the others are whole."""
        groups = [span.group for span in spans]
        if isinstance(self._source, RangeFile):
            self._source.fetch(stored_ranges(self._file.metadata, groups, asked.schema.names))
        table = self._file.read_row_groups(groups, columns=asked.schema.names, use_threads=asked.side_by_side)
        rows = sum(span.take for span in spans)
        return _by_contract(table.slice(spans[0].skip if spans else 0, rows), asked, self._where)


def touched(metadata: pq.FileMetaData, skip: int, take: int) -> list[_Span]:
    """The row groups that hold the wanted rows."""
    spans: list[_Span] = []
    first = 0
    for number in range(metadata.num_row_groups):
        rows = metadata.row_group(number).num_rows
        start, stop = max(skip - first, 0), min(skip + take - first, rows)
        if stop > start:
            spans.append(_Span(number, start, stop - start))
        first += rows
    return spans


def stored_ranges(metadata: pq.FileMetaData, groups: Iterable[int], columns: Iterable[str]) -> list[tuple[int, int]]:
    """Where the bytes of columns lie, from start to stop."""
    names = set(columns)
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    leaves = [i for i, path in enumerate(paths) if path in names or path.split(".", 1)[0] in names]
    found = []
    for group in groups:
        row_group = metadata.row_group(group)
        for leaf in leaves:
            chunk = row_group.column(leaf)
            start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
            start = min(start, chunk.data_page_offset)
            found.append((start, start + chunk.total_compressed_size))
    return found


def _by_contract(table: pa.Table, asked: _Columns, where: str) -> pa.Table:
    """The table with exactly the declared types, but for what may stay packed."""
    schema, packed = asked.schema, asked.packed
    if table.schema.names != schema.names:
        raise DamagedData(f"{where}: the shard lacks columns that the manifest declares. Run verify.")
    return _table(
        [_declared(found, field, where, packed) for field, found in zip(schema, table.columns, strict=True)], schema
    )


def _declared(found: pa.ChunkedArray, field: pa.Field, where: str, packed: Collection[str]) -> pa.ChunkedArray:
    """A column of the file in its declared type: dictionaries as declared, the rest as it was written."""
    if found.type == field.type:
        return found
    if t.is_dictionary(field.type):
        return (found if t.is_dictionary(found.type) else found.dictionary_encode()).cast(field.type)
    if field.name in packed and t.is_dictionary(found.type) and found.type.value_type == field.type:
        return found
    if found.type != in_parquet(field.type, nullable=field.nullable):
        raise DamagedData(f"{where}: column {field.name!r} is {found.type}, the manifest says {field.type}.")
    return found.cast(field.type)


def _masked(table: pa.Table, mask: np.ndarray) -> pa.Table:
    """The rows that a mask keeps; not copied where they stand together and are most of the table."""
    if (count := int(np.count_nonzero(mask))) and count * _SLICED >= len(mask):
        first = int(mask.argmax())
        if mask[first : first + count].all():
            return table.slice(first, count)
    return table.filter(pa.array(mask))


def _unpacked(table: pa.Table, asked: _Columns) -> pa.Table:
    """The table with its texts as declared, but for what may stay packed."""

    def unpack(field: pa.Field, found: pa.ChunkedArray) -> pa.ChunkedArray:
        return found if field.name in asked.packed else found.cast(field.type)

    if not asked.side_by_side:
        return _table(list(map(unpack, asked.schema, table.columns)), asked.schema)
    with ThreadPoolExecutor(max_workers=processors()) as pool:
        return _table(list(pool.map(unpack, asked.schema, table.columns)), asked.schema)


def _table(columns: Sequence[pa.ChunkedArray], schema: pa.Schema) -> pa.Table:
    """Columns as a table of a schema, but for those that are still packed."""
    fields = [
        field if one.type == field.type else field.with_type(one.type)
        for field, one in zip(schema, columns, strict=True)
    ]
    return pa.table(list(columns), schema=pa.schema(fields, schema.metadata))
