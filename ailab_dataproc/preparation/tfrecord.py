"""Arrow record batches -> framed TFRecord bytes of tf.train.Example. The same rows give the same bytes; no TensorFlow.

A row's Example is the join of a header and a payload for each field in the order of the keys, as protobuf's
deterministic serialization writes them. The header depends on the payload's length only, so it is taken from a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ailab_dataproc.errors import InvalidData
from ailab_dataproc.preparation.example import Field, Values, binary, fields

_TAGS = {"bytes": b"\x0a", "float": b"\x12", "int64": b"\x1a"}  # of Feature.bytes_list, float_list, int64_list
_TAG = pa.scalar(b"\x0a", pa.large_binary())  # of the first field of a message, where it has a length
_DENSE = 4096  # shorter payloads find their header in one table
_CHUNK_BYTES = 1 << 21  # of Arrow encoded at a time, so that the temporaries stay in the cache
_CHUNK_ROWS = 8192


class Encoder:
    """Turns record batches of one schema into TFRecord bytes. Safe to share between threads.

    Args:
        schema: the columns of every batch.
        where: the dataset's name, for messages.

    Raises:
        InvalidDefinition: a column that a tf.train.Example can't hold.
    """

    def __init__(self, schema: pa.Schema, where: str) -> None:
        self._types = [(column.name, column.type) for column in schema]
        self._where = where
        self._writers = [_Writer(one) for one in fields(schema, where)]

    def encode(self, batch: pa.RecordBatch) -> bytes:
        """All rows as framed records; raises `InvalidData` for a null that can't be held, by column and row."""
        found = [(column.name, column.type) for column in batch.schema]
        if found != self._types:
            raise InvalidData(f"{self._where}: a batch of {found}, wanted {self._types}. Cast it to the schema first.")
        try:
            return b"".join(_framed(self._examples(chunk)) for chunk in _chunks(batch))
        except InvalidData:
            for writer in self._writers:  # the row in the message is the batch's, not the chunk's
                writer.field.values(batch)
            raise

    def _examples(self, batch: pa.RecordBatch) -> pa.Array:
        """Each row's serialized Example, large_binary (n,)."""
        parts: list[pa.Array] = []
        lengths = np.zeros(batch.num_rows, dtype=np.int64)
        for writer in self._writers:
            pieces, added = writer.write(batch)
            parts += pieces
            lengths += added
        return _glue([_TAG, _binary_varints(lengths), *parts])


class _Writer:
    """Writes one field's entry of the map in Features."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._tables: dict[int, tuple[pa.Array, np.ndarray]] = {}  # by size: headers and their lengths

    def write(self, batch: pa.RecordBatch) -> tuple[list[pa.Array], np.ndarray]:
        """The header and the payload of each row, null where the value is, and the bytes of both, int64 (n,)."""
        values = self.field.values(batch)
        payload, lengths = _payload(values, self.field)
        (table, sizes), index = self._headers(lengths)
        total = lengths + sizes[index]
        if not values.array.null_count:
            return [table.take(pa.array(index)), payload], total
        absent = values.array.is_null().to_numpy(zero_copy_only=False)
        header = table.take(pa.array(index, mask=absent))
        none = pa.scalar(None, pa.large_binary())
        return [header, pc.if_else(pa.array(~absent), payload, none)], np.where(absent, 0, total)

    def _headers(self, lengths: np.ndarray) -> tuple[tuple[pa.Array, np.ndarray], np.ndarray]:
        """A table of headers and, for each row, its place there."""
        largest = int(lengths.max(initial=0))
        if largest >= _DENSE:
            unique, index = np.unique(lengths, return_inverse=True)
            return self._table(unique.tolist()), index
        size = 1 << largest.bit_length()
        if size not in self._tables:
            self._tables[size] = self._table(range(size))
        return self._tables[size], lengths

    def _table(self, lengths: range | list[int]) -> tuple[pa.Array, np.ndarray]:
        headers = [_header(self.field, length) for length in lengths]
        return pa.array(headers, pa.large_binary()), np.array([len(one) for one in headers], dtype=np.int64)


def _header(field: Field, length: int) -> bytes:
    """What stands before a payload of `length` bytes: the entry's tag and length, the key, the feature's."""
    framed = length or (field.kind == "bytes" and field.scalar)
    inner = b"\x0a" + _varint(length) if framed and (field.kind != "bytes" or field.scalar) else b""
    listed = _TAGS[field.kind] + _varint(len(inner) + length) + inner
    key = field.key.encode()
    entry = b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(listed) + length) + listed
    return b"\x0a" + _varint(len(entry) + length) + entry


def _payload(values: Values, field: Field) -> tuple[pa.Array, np.ndarray]:
    """What a row's list holds, as large_binary (n,), and its bytes, int64 (n,)."""
    if field.kind == "bytes" and field.scalar:
        return values.array, np.diff(_ends(values.array))
    data: np.ndarray | pa.Buffer
    if field.kind == "bytes":
        framed = _glue([_TAG, _binary_varints(np.diff(_ends(values.array))), values.array])
        data, ends = framed.buffers()[2] or pa.py_buffer(b""), _ends(framed)
    elif field.kind == "float":
        numbers = _numbers(values.array)
        data, ends = numbers.view(np.uint8), np.arange(len(numbers) + 1, dtype=np.int64) * 4
    else:
        data, ends = _varints(_numbers(values.array).view(np.uint64))
    if values.offsets is not None:
        ends = ends[values.offsets]
    return binary(data, ends), np.diff(ends)


def _numbers(array: pa.Array) -> np.ndarray:
    numbers: np.ndarray = pc.fill_null(array, 0).to_numpy()
    return numbers


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varints(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The varints of uint64 (m,) one after the other, uint8, and where each ends, int64 (m + 1,)."""
    width = max(1, -(-int(numbers.max(initial=0)).bit_length() // 7))
    if width == 1:
        return numbers.astype(np.uint8), np.arange(len(numbers) + 1, dtype=np.int64)
    lengths = np.ones(len(numbers), dtype=np.int64)
    matrix = np.empty((len(numbers), width), dtype=np.uint8)
    rest = numbers
    for place in range(width):
        matrix[:, place] = rest  # the low 8 bits
        rest = rest >> np.uint64(7)
        lengths += rest != 0
    matrix |= 128
    matrix[np.arange(len(numbers)), lengths - 1] &= 127
    ends = np.zeros(len(numbers) + 1, dtype=np.int64)
    np.cumsum(lengths, out=ends[1:])
    if ends[-1] == matrix.size:
        return matrix.ravel(), ends
    return matrix[np.arange(width) < lengths[:, None]], ends


def _binary_varints(numbers: np.ndarray) -> pa.Array:
    """The varints of int64 (n,) that aren't negative, as large_binary (n,)."""
    return binary(*_varints(numbers.view(np.uint64)))


def _framed(examples: pa.Array) -> bytes:
    """Records with their lengths and masked checksums around them."""
    ends = _ends(examples).tolist()
    data = examples.buffers()[2].to_pybytes()
    value = google_crc32c.value
    sums = np.array([value(data[a:b]) for a, b in pairwise(ends)], dtype=np.uint32)
    before = np.empty((len(examples), 12), dtype=np.uint8)
    before[:, :8] = np.diff(ends).astype("<i8")[:, None].view(np.uint8)
    before[:, 8:] = _masked(_length_sums(before[:, :8]))
    framed = _glue([_rows(before), examples, _rows(_masked(sums))])
    return bytes(framed.buffers()[2])


def _masked(sums: np.ndarray) -> np.ndarray:
    """crc32c values, uint32 (n,), as TFRecord stores them, uint8 (n, 4)."""
    masked = ((sums >> np.uint32(15)) | (sums << np.uint32(17))) + np.uint32(0xA282EAD8)
    return masked.astype("<u4")[:, None].view(np.uint8)


def _length_sums(lengths: np.ndarray) -> np.ndarray:
    """The crc32c, uint32 (n,), of each row of uint8 (n, 8): a crc is linear, so bytes have their share by place."""
    sums = np.full(len(lengths), google_crc32c.value(bytes(8)), dtype=np.uint32)
    for place in range(8):
        column = lengths[:, place]
        if column.any():
            sums ^= _shares()[place][column]
    return sums


@cache
def _shares() -> np.ndarray:
    """By place and byte, uint32 (8, 256): what the byte changes in the crc32c of eight bytes."""
    sums = [[google_crc32c.value(bytes(p) + bytes([b]) + bytes(7 - p)) for b in range(256)] for p in range(8)]
    return np.array(sums, dtype=np.uint32) ^ np.uint32(google_crc32c.value(bytes(8)))


def _glue(parts: list[pa.Array | pa.Scalar]) -> pa.Array:
    """Join large_binary (n,) row by row; a null adds nothing."""
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()), null_handling="skip")


def _rows(matrix: np.ndarray) -> pa.Array:
    """The rows of uint8 (n, width) as large_binary (n,)."""
    return binary(matrix.ravel(), np.arange(len(matrix) + 1, dtype=np.int64) * matrix.shape[1])


def _ends(array: pa.Array) -> np.ndarray:
    """Where each value of large_binary (n,) ends in its buffer, int64 (n + 1,)."""
    if not len(array):  # it may have no buffer at all
        return np.zeros(1, dtype=np.int64)
    return np.frombuffer(array.buffers()[1], dtype=np.int64)[array.offset : array.offset + len(array) + 1]


def _chunks(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    rows = min(_CHUNK_ROWS, max(1, _CHUNK_BYTES * batch.num_rows // max(1, batch.nbytes)))
    return (batch.slice(first, rows) for first in range(0, batch.num_rows, rows))
