"""Rows of one split become shards of both formats, hashed while they are written."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.preparation.job import Job
from ailab_dataproc.preparation.parquet import ParquetShard, stored
from ailab_dataproc.preparation.profile import Profile
from ailab_dataproc.preparation.statistics import ColumnStatistics, struct_type
from ailab_dataproc.storage import HashingFile

ENDINGS = {"parquet": ".parquet", "tfrecord": ".tfrecord"}


def index_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of the index and of a receipt."""
    return pa.schema(
        [
            ("split", pa.string()),
            ("format", pa.string()),
            ("shard", pa.int32()),
            ("path", pa.string()),
            ("rows", pa.int64()),
            ("bytes", pa.int64()),
            ("checksum", pa.string()),
            ("crc32c", pa.uint32()),  # of Parquet, for loads: a third of the time that the checksum takes
            ("columns", struct_type(schema)),
        ]
    )


def stored_columns(schema: pa.Schema) -> pa.Schema:
    """The columns as the files hold them, with the declared ones' metadata."""
    return pa.schema([one.with_metadata(schema.field(one.name).metadata) for one in stored(schema)])


@dataclass(slots=True)
class _Shard:
    """One shard while it is written: an open file a format."""

    rows: int = 0
    bytes: int = 0  # as Arrow
    writers: dict[str, Any] = field(default_factory=dict)
    files: dict[str, HashingFile] = field(default_factory=dict)
    statistics: list[ColumnStatistics] = field(default_factory=list)


class ShardWriter:
    """Takes batches of any size; the same rows give the same shards however they come.

    Use it as a context: where the block raises, no file appears.
    """

    def __init__(self, job: Job, split: str, label: str, *, shard_bytes: int | None = None) -> None:
        """Begin.

        Args:
            job: says where, in which formats and sizes.
            split: what the rows belong to.
            label: of the item that they come from; begins the names of the files.
            shard_bytes: Arrow bytes after which a shard is closed; by default as the layout says.
        """
        self._job = job
        self._schema = job.schema
        self._split = split
        self._label = label
        self._limit = shard_bytes or job.layout.shard_bytes
        self._pending: list[pa.RecordBatch] = []
        self._count = 0  # rows pending
        self._shard: _Shard | None = None
        self._files = contextlib.ExitStack()
        self._entries: list[dict[str, Any]] = []
        self._profile = Profile(stored_columns(self._schema))

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._files.__exit__(*raised)

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows; they are written in chunks of exactly the layout's number."""
        size, start = self._job.layout.chunk_rows, 0
        while self._count + batch.num_rows - start >= size:
            piece = batch.slice(start, size - self._count)
            start += piece.num_rows
            self._write_chunk(pa.concat_batches([*self._pending, piece]) if self._pending else piece)
            self._pending, self._count = [], 0
        if start < batch.num_rows:
            self._pending.append(batch.slice(start))
            self._count += batch.num_rows - start

    def close(self, *, at_least_one: bool) -> list[dict[str, Any]]:
        """Write what is pending.

        Args:
            at_least_one: whether to write an empty shard where there were no rows.

        Returns:
            The shards as rows of the index.
        """
        if self._pending:
            self._write_chunk(pa.concat_batches(self._pending))
        if at_least_one and not self._entries and self._shard is None:
            self._shard = self._open(None)
        self._close_shard()
        return self._entries

    def profile(self) -> tuple[str, bytes]:
        """The split, and what its statistics need of all rows that were written."""
        return self._split, self._profile.to_bytes()

    def _write_chunk(self, chunk: pa.RecordBatch) -> None:
        if self._shard is not None and self._shard.bytes >= self._limit:
            self._close_shard()
        shard = self._shard = self._shard or self._open(chunk)
        self._profile.add(chunk)
        for writer in shard.writers.values():
            writer.write(chunk)
        for one, column in zip(shard.statistics, chunk.columns, strict=True):
            one.add(column)
        shard.rows += chunk.num_rows
        shard.bytes = sum(one.bytes for one in shard.statistics)

    def _open(self, first: pa.RecordBatch | None) -> _Shard:
        columns = stored_columns(self._schema)
        shard = _Shard(statistics=[ColumnStatistics(one) for one in columns])
        for kind in self._job.formats:
            file = HashingFile(self._files.enter_context(self._job.stage.create(self._path(kind))))
            shard.files[kind] = file
            if kind == "parquet":
                shard.writers[kind] = ParquetShard(file, first, stored(self._schema), self._job.layout)
            else:
                shard.writers[kind] = _TFRecordShard(file, columns, self._job.dataset)
        return shard

    def _close_shard(self) -> None:
        shard = self._shard
        if shard is None:
            return
        for writer in shard.writers.values():
            writer.close()
        for one in shard.statistics:
            if t.is_string(one.column.type):
                one.text = shard.writers["parquet"].text_bounds(one.column.name)
        self._files.close()  # the files appear
        columns: Mapping[str, Any] = {one.column.name: one.to_struct() for one in shard.statistics}
        number = len(self._entries) // len(self._job.formats)
        self._entries += [
            {
                "split": self._split,
                "format": kind,
                "shard": number,
                "path": self._path(kind),
                "rows": shard.rows,
                "bytes": shard.files[kind].count,
                "checksum": shard.files[kind].checksum,
                "crc32c": shard.writers[kind].crc32c if kind == "parquet" else None,
                "columns": columns,
            }
            for kind in self._job.formats
        ]
        self._shard = None

    def _path(self, kind: str) -> str:
        number = len(self._entries) // len(self._job.formats)
        return f"{kind}/{self._label}-{number:05d}{ENDINGS[kind]}"


class _TFRecordShard:
    """The twin of `ParquetShard`; nothing is buffered."""

    def __init__(self, file: HashingFile, schema: pa.Schema, where: str) -> None:
        from ailab_dataproc.preparation.tfrecord import Encoder

        self._file = file
        self._encoder = Encoder(schema, where)

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write(self._encoder.encode(batch))

    def close(self) -> None:
        """Nothing is pending."""
