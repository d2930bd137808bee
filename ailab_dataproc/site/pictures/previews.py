"""The first images of a column as small files for a page, each with its label; never of personal data."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc import columns
from ailab_dataproc.columns import is_pii, shape
from ailab_dataproc.decoding import is_image
from ailab_dataproc.drawing import plain
from ailab_dataproc.errors import require
from ailab_dataproc.wording import cut, value

if TYPE_CHECKING:
    from PIL.Image import Image

MANY = 12  # images of a column that are shown
_SIDE = 128  # pixels of the longer side
_SMALL = 64  # pixels: images with no longer side are scaled up, each pixel a square
_MOST_PIXELS = 64_000_000  # of an image that is opened
_LETTERS = 40  # of a label
_LABELS = ("label", "class", "target", "category")  # names of columns that say what an image shows


@dataclass(frozen=True, slots=True)
class Preview:
    """One image, small enough for a page."""

    row: int  # in the table, from 0
    file: str  # a name that its content decides; nothing where the image can't be shown
    content: bytes
    width: int  # pixels
    height: int
    size: str  # of the image itself, such as "640 x 480"
    label: str  # what it shows, or nothing where no column says so
    problem: str  # why it can't be shown; else nothing


def can_preview(field: pa.Field) -> bool:
    """Whether a column's rows are images that may be shown: encoded ones, or numbers with the shape of one."""
    return not is_pii(field) and (is_image(field) or _is_pixels(field))


def preview(table: pa.Table, column: str, *, most: int = MANY) -> list[Preview]:
    """The first images of a column; none of what `can_preview` refuses.

    An image that can't be decoded has a `problem` and no content. What the file carried beside its pixels (place, time,
    camera) is left out. Pixels that are no plain 0 to 255 are stretched from the least to the greatest of those shown.

    Args:
        table: the first rows, with the declared schema, and the labels' column if they are to be shown.
        column: its name.
        most: how many images.

    Raises:
        MissingLibrary: Pillow isn't installed.
    """
    field = table.schema.field(column)
    if not can_preview(field):
        return []
    require("PIL", "images")
    rows = [row for row, one in enumerate(table[column].is_valid().to_pylist()) if one][:most]
    labels = _labels(table)
    if is_image(field):
        return [_decoded(row, table[column][row].as_buffer(), labels[row]) for row in rows]
    whole = np.asarray([table[column][row].values.to_numpy(zero_copy_only=False) for row in rows])
    pixels = _stretched(whole).reshape(len(rows), *(shape(field) or ()))
    return [_shown(row, _image(one), labels[row]) for row, one in zip(rows, pixels, strict=True)]


def _is_pixels(field: pa.Field) -> bool:
    if not t.is_fixed_size_list(field.type):
        return False
    sides = shape(field) or ()
    inner = field.type.value_type
    numbers = t.is_integer(inner) or t.is_floating(inner)
    return numbers and (len(sides) == 2 or (len(sides) == 3 and sides[2] in (1, 3, 4)))


def _labels(table: pa.Table) -> list[str]:
    """What the rows' images show, by a column with the names of its values, or one that is called so."""
    known = [one for one in table.schema if not is_pii(one) and not is_image(one)]
    named = [one for one in known if t.is_integer(one.type) and columns.labels(one)]
    called = [one for name in _LABELS for one in known if one.name == name]
    if not (named or called):
        return [""] * len(table)
    field = (named or called)[0]
    names = columns.labels(field)
    return [_label(one, names) for one in table[field.name].to_pylist()]


def _label(one: Any, names: Sequence[str]) -> str:
    if one is None or isinstance(one, bytes | list | dict):
        return ""
    known = isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(names)
    told = names[one] if known else value(one) if isinstance(one, str | bool | int | float) else str(one)
    return cut(plain(told), _LETTERS)


def _decoded(row: int, encoded: pa.Buffer, label: str) -> Preview:
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS:
                return _broken(row, label, f"too large to be shown ({width:,} x {height:,} pixels)")
            image.draft(None, (2 * _SIDE, 2 * _SIDE))  # a JPEG is decoded at a smaller scale
            drafted = image.size
            ImageOps.exif_transpose(image, in_place=True)
            if image.size != drafted:
                width, height = height, width
            return _shown(row, _eight_bits(image), label, (width, height))
    except Exception as error:  # whatever a decoder makes of a stranger's bytes: the page tells it
        return _broken(row, label, f"can't be decoded ({type(error).__name__})")


def _broken(row: int, label: str, problem: str) -> Preview:
    return Preview(row, "", b"", 0, 0, "", label, problem)


def _eight_bits(image: Image) -> Image:
    """Grey, colour, or colour with transparency, of 8 bits."""
    if image.mode.startswith(("I", "F")):
        return _image(_stretched(np.asarray(image)))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _stretched(values: np.ndarray) -> np.ndarray:
    """Numbers as 0 to 255; bytes that use more than half of the range stay as they are, NaN is black."""
    if values.dtype == np.uint8 and values.size and values.max() > 127:
        return values
    wide = values.astype(np.float64)
    known = wide[np.isfinite(wide)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    scale = 255 / (high - low) if high > low else 0.0
    return np.nan_to_num((np.clip(wide, low, high) - low) * scale).round().astype(np.uint8)


def _image(pixels: np.ndarray) -> Image:
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)


def _shown(row: int, image: Image, label: str, size: tuple[int, int] | None = None) -> Preview:
    """An image as a file: a few pixels as squares (PNG), more of them reduced (WebP)."""
    from PIL import Image as Pillow

    width, height = size or image.size
    few = max(width, height) <= _SMALL
    if few:
        times = _SIDE // max(width, height)
        image = image.resize((width * times, height * times), Pillow.Resampling.NEAREST)
    else:
        image.thumbnail((_SIDE, _SIDE))
    image.info = {}  # what the file said beside its pixels
    written = io.BytesIO()
    image.save(written, "PNG" if few else "WEBP", optimize=True)
    content = written.getvalue()
    file = f"{hashlib.blake2b(content, digest_size=8).hexdigest()}.{'png' if few else 'webp'}"
    return Preview(row, file, content, *image.size, f"{width:,} x {height:,}", label, "")
