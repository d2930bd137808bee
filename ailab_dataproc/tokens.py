"""Texts as token lists without a vocabulary to fit: a token is a byte of UTF-8. And lists as blocks of one length."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ailab_dataproc.errors import InvalidRequest

BYTES = 256  # tokens of bytes are below; 256 and more are free for ends, pads, …


def encode(texts: pa.Array | pa.ChunkedArray, *, end: int | None = None) -> pa.ListArray:
    """The bytes of each text as a list of int32; a null is a text without any.

    Args:
        texts: strings.
        end: a token behind each text, such as 256, which no byte is; None for none.
    """
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    plain = whole.cast(pa.large_string()).fill_null("").cast(pa.large_binary())
    rows = len(plain)
    offsets = (
        np.frombuffer(plain.buffers()[1], np.int64)[plain.offset : plain.offset + rows + 1] if rows else np.zeros(1)
    )
    data = np.frombuffer(plain.buffers()[2] or b"", np.uint8)[int(offsets[0]) : int(offsets[-1])]
    ends = (offsets - offsets[0]).astype(np.int64)
    if end is None:
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(data, pa.int32()))
    ends = ends + np.arange(rows + 1)
    values = np.full(ends[-1], end, np.int32)
    of_text = np.ones(len(values), bool)
    of_text[ends[1:] - 1] = False
    values[of_text] = data
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values))


def decode(tokens: np.ndarray) -> str:
    """The text that tokens of bytes stand for; others are left out, and a letter that was cut is marked."""
    values = np.asarray(tokens)
    return values[(values >= 0) & (values < BYTES)].astype(np.uint8).tobytes().decode("utf-8", "replace")


def pack(lists: pa.ListArray, length: int, *, pad: int | None = None) -> pa.FixedSizeListArray:
    """Lists one after another, cut into blocks of one length.

    Args:
        lists: tokens; mark where a text ends before.
        length: tokens of a block.
        pad: fills up the last block; None leaves out what makes no whole block.

    Raises:
        InvalidRequest: a length below 1.
    """
    if length < 1:
        raise InvalidRequest(f"length={length}: wanted at least 1 token a block.")
    values = lists.flatten()
    missing = -len(values) % length
    if missing and pad is None:
        values = values[: len(values) - len(values) % length]
    elif missing:
        values = pa.concat_arrays([values, pa.array([pad] * missing, values.type)])
    return pa.FixedSizeListArray.from_arrays(values, length)
