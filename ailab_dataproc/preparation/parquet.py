"""One Parquet shard: settings that suit CPU and GPU readers, the same bytes for the same rows."""

from __future__ import annotations

import google_crc32c
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as t

from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.schema import in_parquet
from ailab_dataproc.storage import HashingFile

_PAGE_ROWS = 20_000  # DESIGN's sweep of settings: smaller row groups and pages cost up to 20 % in reading
_DISTINCT = 0.5  # a string column gets a dictionary where fewer of its first rows are distinct
_SAMPLE = 8_192  # those first rows


def stored(schema: pa.Schema) -> pa.Schema:
    """The schema of the files: dictionaries by their values, no metadata; the manifest keeps the declared one."""
    fields = [pa.field(one.name, _value_type(one.type), one.nullable) for one in schema]
    return pa.schema(fields)


class ParquetShard:
    """Writes one file; rows are buffered until a row group is full, the packed bytes until the end."""

    def __init__(self, file: HashingFile, first: pa.RecordBatch | None, schema: pa.Schema, layout: Layout) -> None:
        """Begin a file.

        Args:
            file: where the bytes go.
            first: the shard's first rows, which decide what gets a dictionary; None for an empty shard.
            schema: from `stored`.
            layout: rows of a row group.
        """
        self._schema = pa.schema([one.with_type(in_parquet(one.type, nullable=one.nullable)) for one in schema])
        self._layout = layout
        self._pending: list[pa.RecordBatch] = []
        self._rows = 0
        self._file = file
        self._sink = pa.BufferOutputStream()  # small writes to a Python file would wait for the interpreter's lock
        self._writer = pq.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=_repetitive(first) if first is not None else False,
            max_rows_per_page=_PAGE_ROWS,
            write_page_checksum=True,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows of the stored schema."""
        self._pending.append(batch if batch.schema.equals(self._schema) else batch.cast(self._schema))
        self._rows += batch.num_rows
        if self._rows >= self._layout.row_group_rows:
            self._flush()

    def close(self) -> None:
        """Write what is pending, and the footer."""
        self._flush()
        self._writer.close()
        packed = self._sink.getvalue()
        self._file.write(packed)
        self.crc32c = google_crc32c.value(packed)
        self._footer = pq.read_metadata(pa.BufferReader(packed))

    def text_bounds(self, name: str) -> tuple[str, str] | None:
        """Min and max of a string column of the closed file, from its footer; None where it doesn't say."""
        number = self._schema_leaf(name)
        bounds: list[str] = []
        for group in range(self._footer.num_row_groups):
            column = self._footer.row_group(group).column(number)
            found = column.statistics
            if found is not None and found.has_min_max:
                bounds += [found.min, found.max]
            elif found is None or found.null_count != column.num_values:
                return None
        return (min(bounds), max(bounds)) if bounds else None

    def _schema_leaf(self, name: str) -> int:
        return next(i for i in range(self._footer.num_columns) if self._footer.schema.column(i).path == name)

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending, self._schema)
            self._writer.write_table(table, row_group_size=self._layout.row_group_rows)
        self._pending, self._rows = [], 0


def _value_type(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if t.is_dictionary(type_) else type_


def _repetitive(batch: pa.RecordBatch) -> list[str]:
    names = []
    first = batch.slice(0, _SAMPLE)
    for field, column in zip(first.schema, first.columns, strict=True):
        text = t.is_string(field.type) or t.is_large_string(field.type) or t.is_binary(field.type)
        if text and pc.count_distinct(column).as_py() < _DISTINCT * len(column):
            names.append(field.name)
    return names
