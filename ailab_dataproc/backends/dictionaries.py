"""Repetitive text that lies in a file by a small dictionary: its codes come faster than its values."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

_ROWS = 16  # for each byte of a packed dictionary: it gains down to 2, and a dictionary that was given up is larger
_LEAST = 50_000  # rows of a file; with fewer nothing is gained


def small(metadata: pq.FileMetaData, fields: Sequence[pa.Field], groups: Sequence[int]) -> list[str]:
    """Which columns of text lie in a file as codes into a small dictionary in each of some row groups."""
    texts = {one.name for one in fields}
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
