"""One shard of a prepared TFDS version -> Arrow record batches; runs in workers, without TensorFlow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ailab_dataproc import urls
from ailab_dataproc.bridge.assembling import Rows, arrow, assemble, keys
from ailab_dataproc.bridge.examples import parse
from ailab_dataproc.bridge.layout import Columns, split_name
from ailab_dataproc.dataset import Source
from ailab_dataproc.errors import InvalidData, require
from ailab_dataproc.preparation.framing import Block, DamagedFrame, blocks

_ROWS = 8192  # parsed at once, at most
_BYTES = 16 << 20  # of records parsed at once, about
_SHARD = re.compile(r"-(\d{5,})-of-\d{5,}(\.\w+)?$")


def read_shard(columns: Columns, source: Source) -> Iterator[pa.RecordBatch]:
    """The rows of a shard, in order.

    Args:
        columns: of the version.
        source: the shard's file, beside its dataset_info.json.

    Raises:
        InvalidData: the file is damaged, doesn't fit the features, or holds another number of rows than TFDS says.
    """
    wanted = [key for _, node in columns for key in keys(node)]
    schema = pa.schema([pa.field(name, arrow(node)) for name, node in columns])
    form = next((one for one in _READERS if f".{one}" in source.name), "tfrecord")
    count = 0
    for block in _READERS[form](source):
        for part in _parts(block):
            try:
                values = parse(part, wanted)
            except InvalidData as error:
                raise InvalidData(f"{source.name}, after row {count}: {error}. Prepare it with TFDS again.") from error
            rows = Rows(values, len(part.starts), source.name, count)
            yield pa.RecordBatch.from_arrays([assemble(node, rows) for _, node in columns], schema=schema)
            count += rows.count
    told = rows_told(source)
    if told is not None and told != count:
        raise InvalidData(
            f"{source.name}: holds {count:,} rows, its dataset_info.json says {told:,}. Prepare it with TFDS again"
            + (", as tfrecord: TFDS 4.9 loses rows as it writes Parquet." if form == "parquet" else ".")
        )


def rows_told(source: Source) -> int | None:
    """The rows that dataset_info.json gives a shard; None where it stands alone."""
    number = _SHARD.search(source.url)
    place = source.place or source.url
    path = place.rsplit("/", 1)[0] + "/dataset_info.json"
    if not number or not urls.expand(path, dict(source.options)):
        return None
    with urls.open_url(path, dict(source.options)) as file:
        told = json.load(file)
    split = next((one for one in told.get("splits", ()) if split_name(one.get("name", "")) == source.split), None)
    lengths = split.get("shardLengths", ()) if split else ()
    index = int(number[1])
    return int(lengths[index]) if index < len(lengths) else None


def _tfrecord(source: Source) -> Iterator[Block]:
    require("google_crc32c", "beam")
    try:
        with source.open() as file:
            yield from blocks(file)
    except DamagedFrame as error:
        raise InvalidData(f"{source.name}: {error}. Get the file again, or prepare it with TFDS again.") from error


def _array_record(source: Source) -> Iterator[Block]:
    require("array_record", "tensorflow")
    from array_record.python.array_record_module import ArrayRecordReader

    path = source.local_path
    if path is None:
        raise InvalidData(f"{source.name}: an array_record file is read from a disk only. Copy the folder to one.")
    reader = ArrayRecordReader(path)
    try:
        total = reader.num_records()
        step = max(1, min(_ROWS, _BYTES * total // max(1, source.size)))
        for first in range(0, total, step):
            yield _joined(reader.read(first, min(first + step, total)))
    finally:
        reader.close()


def _parquet(source: Source) -> Iterator[Block]:
    with source.open() as file:
        for batch in pq.ParquetFile(file).iter_batches(_ROWS, columns=["data"]):
            column = batch.column(0).cast(pa.large_binary())
            ends = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
            yield Block(memoryview(column.buffers()[2] or b""), ends[:-1], ends[1:])


def _joined(records: list[bytes]) -> Block:
    ends = np.concatenate([[0], np.cumsum([len(one) for one in records])]).astype(np.int64)
    return Block(b"".join(records), ends[:-1], ends[1:])


def _parts(block: Block) -> Iterator[Block]:
    """A block in parts that can be parsed at once."""
    size = int(block.stops[-1] - block.starts[0]) if len(block.starts) else 0
    step = max(1, min(_ROWS, _BYTES * len(block.starts) // max(1, size)))
    for first, stop in pairwise([*range(0, len(block.starts), step), len(block.starts)]):
        yield Block(block.data, block.starts[first:stop], block.stops[first:stop])


_READERS = {"tfrecord": _tfrecord, "array_record": _array_record, "parquet": _parquet}
FORMATS = tuple(_READERS)  # that are read
