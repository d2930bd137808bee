"""Repetitive text comes faster as codes into a small dictionary, decoded afterwards, than value by value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as t

_ROWS = 16  # for each byte of a packed dictionary: it gains down to 2, and a dictionary that was given up is larger
_LEAST = 50_000  # rows of a file; with fewer nothing is gained
_LONGEST = 2**31 - 1  # bytes of text in one array, whose offsets have 32 bits


def small(metadata: pq.FileMetaData, schema: pa.Schema, groups: Sequence[int]) -> list[str]:
    """The declared text columns of a file that lie as codes into a small dictionary in each of some row groups."""
    texts = {one.name for one in schema if t.is_string(one.type) or t.is_binary(one.type)}
    if not texts or not groups or metadata.num_rows < _LEAST:
        return []
    first = metadata.row_group(groups[0])
    places = {first.column(i).path_in_schema: i for i in range(metadata.num_columns)}
    return [
        name
        for name in texts & places.keys()
        if all(_is_small(metadata.row_group(group).column(places[name])) for group in groups)
    ]


def _is_small(chunk: pq.ColumnChunkMetaData) -> bool:
    """A dictionary that would have become too large is followed by plain text, but then it is no small one."""
    if not chunk.has_dictionary_page:
        return False
    return bool((chunk.data_page_offset - chunk.dictionary_page_offset) * _ROWS < chunk.num_values)


def decoded(column: pa.ChunkedArray, longest: int = _LONGEST) -> pa.ChunkedArray:
    """A dictionary column of text by its values.

    Args:
        column: of strings or bytes.
        longest: bytes of text in one array; what is longer becomes several.
    """
    values = column.type.value_type
    pieces = [piece.cast(values) for chunk in column.chunks for piece in _fitting(chunk, longest)]
    return pa.chunked_array(pieces, values)


def _fitting(chunk: pa.DictionaryArray, longest: int) -> Iterator[pa.DictionaryArray]:
    """Slices whose text fits one array: pyarrow (25) casts a longer one into offsets that are wrong."""
    text = pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0
    rows = max(1, longest // max(1, text))
    for start in range(0, len(chunk), rows):
        yield chunk.slice(start, rows)
