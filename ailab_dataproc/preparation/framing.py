"""The frames of a TFRecord file: its records, block by block, their checksums compared."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

_HEADER = struct.Struct("<QI")  # a record's length, and the checksum of these 8 bytes
_SUM = struct.Struct("<I")
_BLOCK = 16 << 20  # bytes read at a time


class DamagedFrame(ValueError):
    """What is wrong with a file, and at which record."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some records that lie in one buffer."""

    data: bytes | memoryview
    starts: np.ndarray  # int64 (n,): the first byte of each
    stops: np.ndarray  # int64 (n,)


def blocks(file: BinaryIO) -> Iterator[Block]:
    """Read the records of a TFRecord file one after the other, in the memory of a few blocks.

    Raises:
        DamagedFrame: a record is cut off, or has another checksum than is written beside it.
    """
    import google_crc32c

    crc, rest, count = google_crc32c.value, b"", 0
    wanted = _BLOCK
    while True:
        fresh = file.read(wanted)
        data = rest + fresh
        place, starts, stops = 0, [], []
        while place + _HEADER.size <= len(data):
            length, masked = _HEADER.unpack_from(data, place)
            body = place + _HEADER.size
            if _masked(crc(data[place : place + 8])) != masked:
                raise DamagedFrame(f"has a damaged header at record {count + 1:,}")
            if body + length + _SUM.size > len(data):
                break
            if _masked(crc(data[body : body + length])) != _SUM.unpack_from(data, body + length)[0]:
                raise DamagedFrame(f"has damaged bytes in record {count + 1:,}")
            starts.append(body)
            stops.append(body + length)
            place, count = body + length + _SUM.size, count + 1
        if starts:
            yield Block(data, np.array(starts, np.int64), np.array(stops, np.int64))
        rest = data[place:]
        if not fresh:
            break
        # A record that is longer than a block comes whole with the next read.
        wanted = max(_BLOCK, _HEADER.unpack_from(rest)[0] if len(rest) >= _HEADER.size else 0)
    if rest:
        where = "header" if len(rest) < _HEADER.size else "bytes"
        raise DamagedFrame(f"is cut off in the {where} of record {count + 1:,}")


def _masked(value: int) -> int:
    """As TFRecord stores a checksum: rotated, with a constant added (tensorflow/core/lib/hash/crc32c.h)."""
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF
