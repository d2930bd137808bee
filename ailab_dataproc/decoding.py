"""Columns of encoded images (PNG, JPEG, …) become arrays of pixels."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.columns import shape
from ailab_dataproc.errors import BackendRefused, InvalidData

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's words, by channels


def is_image(field: pa.Field) -> bool:
    """Whether a column holds encoded images: bytes with a declared shape."""
    return bool(t.is_binary(field.type) or t.is_large_binary(field.type)) and shape(field) is not None


def decode(column: pa.ChunkedArray, field: pa.Field, nulls: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The pixels of encoded images, and of a nullable column where they are valid.

    Args:
        column: the encoded images.
        field: their declaration, with the shape.
        nulls: as in `Need`.

    Returns:
        An array of ``(n, height, width, channels)`` of uint8; where sizes differ, an object array of such arrays of one
        image each. A null is black, or None.

    Raises:
        InvalidData: bytes that are no image, or one of another size than declared.
        BackendRefused: a nullable column without ``nulls="mask"``.
    """
    if field.nullable and nulls != "mask":
        raise BackendRefused(f"column {field.name!r} is nullable, and arrays have no null. Pass nulls='mask'.")
    wanted = shape(field) or ()
    encoded = [one.as_buffer() for one in column]
    valid = np.array([one is not None for one in encoded]) if field.nullable else None
    if None in wanted:
        found = np.empty(len(encoded), dtype=object)
        for i, one in enumerate(encoded):
            found[i] = None if one is None else _pixels(one, field.name, wanted)
        return found, valid
    whole = np.zeros((len(encoded), *(part or 0 for part in wanted)), np.uint8)
    for i, one in enumerate(encoded):
        if one is not None:
            whole[i] = _pixels(one, field.name, wanted)
    return whole, valid


def _pixels(encoded: pa.Buffer, name: str, wanted: tuple[int | None, ...]) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            if image.mode.startswith(("I", "F")):
                raise InvalidData(
                    f"column {name!r}: an image has pixels of more than 8 bits (Pillow's mode {image.mode!r}), which "
                    "uint8 can't hold. Declare a fixed-size list, or pass decode=False."
                )
            found = np.asarray(image.convert(_MODES[wanted[2] or 0]))
    except (UnidentifiedImageError, OSError) as error:  # OSError: truncated
        raise InvalidData(f"column {name!r}: bytes can't be decoded as an image ({error}).") from error
    found = found.reshape(*found.shape[:2], wanted[2] or 0)
    if any(size is not None and size != is_ for size, is_ in zip(wanted, found.shape, strict=True)):
        raise InvalidData(f"column {name!r}: an image has the shape {found.shape}, the schema declares {wanted}.")
    return found
