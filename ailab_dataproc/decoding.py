"""Columns of encoded images (PNG, JPEG, …) become arrays of pixels."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.columns import shape
from ailab_dataproc.errors import BackendRefused, InvalidData

if TYPE_CHECKING:
    from PIL.Image import Image

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's words, by channels
_WIDE = re.compile(r";16[BLN]")  # in Pillow's word for pixels as they lie in a file; it would drop half of the bits


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
            found[i] = None if one is None else pixels(one, wanted, f"column {field.name!r}")
        return found, valid
    whole = np.zeros((len(encoded), *(part or 0 for part in wanted)), np.uint8)
    for i, one in enumerate(encoded):
        if one is not None:
            whole[i] = pixels(one, wanted, f"column {field.name!r}")
    return whole, valid


def pixels(encoded: pa.Buffer | bytes, wanted: tuple[int | None, ...], where: str) -> np.ndarray:
    """The pixels of one encoded image, upright as its EXIF says: ``(height, width, channels)`` of uint8.

    Args:
        encoded: a PNG, a JPEG, or what else Pillow reads.
        wanted: the declared shape; grey, colour and transparency become its number of channels.
        where: what the image is of, for messages.

    Raises:
        InvalidData: the bytes are no whole image, or one of another size or of more than 8 bits.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            deep = image.mode.startswith(("I", "F")) or any(_WIDE.search(str(one.args)) for one in image.tile)
            if not deep:
                ImageOps.exif_transpose(image, in_place=True)
                found = np.asarray(_plain(image).convert(_MODES[wanted[2] or 0]))
    except Exception as error:  # whatever a decoder makes of a stranger's bytes
        told = "no format that Pillow knows" if isinstance(error, UnidentifiedImageError) else error
        raise InvalidData(f"{where}: bytes can't be decoded as an image ({told}).") from error
    if deep:
        raise InvalidData(
            f"{where}: an image has pixels of more than 8 bits (Pillow's mode {image.mode!r}), which uint8 can't hold. "
            "Declare a fixed-size list, or pass decode=False."
        )
    found = found.reshape(*found.shape[:2], wanted[2] or 0)
    if any(size is not None and size != is_ for size, is_ in zip(wanted, found.shape, strict=True)):
        raise InvalidData(f"{where}: an image has the shape {found.shape}, the schema declares {wanted}.")
    return found


def _plain(image: Image) -> Image:
    """An image with a palette by its colours, so that none is lost on the way to grey; others as they are."""
    return image.convert("RGBA" if image.has_transparency_data else "RGB") if image.mode in ("P", "PA") else image
