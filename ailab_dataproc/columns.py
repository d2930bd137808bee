"""The columns that an author declares: Arrow fields whose metadata carry meaning, unit, sensitivity and shape."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ailab_dataproc.errors import InvalidDefinition


def column(  # noqa: PLR0913 - all but the first three have a name and a default
    name: str,
    type: pa.DataType,
    meaning: str = "",
    *,
    nullable: bool = False,
    unit: str = "",
    pii: bool | None = None,
    shape: Sequence[int | None] | None = None,
    labels: Sequence[str] = (),
) -> pa.Field:
    """Declare one column.

    Args:
        name: any text without ``/``, ``.`` and control characters.
        type: an Arrow type.
        meaning: what a value says, for people.
        nullable: whether a row may have no value. A null in a column that isn't nullable stops the preparation.
        unit: of the values, such as ``"JPY"`` or ``"s"``.
        pii: whether it holds personal data; such a column is loaded only with ``allow_pii=True``. False says that
            somebody has looked and found none; None, which loads the same, that nobody has said so.
        shape: for a fixed-size list, the shape of the array that a row holds, such as ``(28, 28)``; for bytes that are
            encoded images, that of the pixels: ``(28, 28, 1)``, or ``(None, None, 3)`` where sizes differ.
        labels: of integers (also in lists, or the pixels of encoded images), what 0, 1, 2, … stand for.

    Returns:
        A ``pa.field`` whose metadata carry the meaning.
    """
    if not isinstance(type, pa.DataType):
        raise InvalidDefinition(f"column {name!r}: its type is {type!r}, wanted an Arrow type such as pa.int64().")
    metadata = {"description": meaning, "unit": unit, "pii": "" if pii is None else str(bool(pii)).lower()}
    if shape is not None:
        metadata["shape"] = ",".join("?" if part is None else str(part) for part in _checked(shape, name, type))
    if labels:
        metadata["labels"] = json.dumps(_checked_labels(labels, name, type), ensure_ascii=False)
    return pa.field(name, type, nullable=nullable, metadata={k: v for k, v in metadata.items() if v})


def meaning(field_: pa.Field) -> str:
    """What a column's values say, for people."""
    return _meta(field_, "description")


def unit(field_: pa.Field) -> str:
    """The unit of a column's values, or an empty string."""
    return _meta(field_, "unit")


def is_pii(field_: pa.Field) -> bool:
    """Whether a column holds personal data."""
    return _meta(field_, "pii") == "true"


def stated_pii(field_: pa.Field) -> bool | None:
    """What the author says of personal data in a column; None where nothing is said."""
    return {"true": True, "false": False}.get(_meta(field_, "pii"))


def shape(field_: pa.Field) -> tuple[int | None, ...] | None:
    """The shape of the array in each row of a column of fixed-size lists or images; None for other columns."""
    text = _meta(field_, "shape")
    if text:
        return tuple(None if part == "?" else int(part) for part in text.split(","))
    return (field_.type.list_size,) if pa.types.is_fixed_size_list(field_.type) else None


def labels(field_: pa.Field) -> tuple[str, ...]:
    """What the integers 0, 1, 2, … of a column stand for; nothing where they stand for themselves."""
    text = _meta(field_, "labels")
    return tuple(json.loads(text)) if text else ()


def describe_columns(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns for people and scripts."""
    return [
        {
            "name": one.name,
            "type": str(one.type),
            "nullable": one.nullable,
            "meaning": meaning(one),
            "unit": unit(one),
            "pii": is_pii(one),
            "shape": list(shape(one) or ()) or None,
            "labels": list(labels(one)) or None,
        }
        for one in schema
    ]


def _checked(shape: Sequence[int | None], name: str, type: pa.DataType) -> Sequence[int | None]:
    if pa.types.is_binary(type) or pa.types.is_large_binary(type):
        if len(shape) != 3 or shape[2] not in (1, 3, 4):
            raise InvalidDefinition(
                f"column {name!r}: {tuple(shape)} can't be the shape of an image, wanted height, width and 1, 3 or 4 "
                "channels. Write (28, 28, 1), or (None, None, 3) where sizes differ."
            )
    elif not pa.types.is_fixed_size_list(type) or None in shape or type.list_size != math.prod(shape):  # type: ignore[arg-type]
        raise InvalidDefinition(
            f"column {name!r}: shape {tuple(shape)} doesn't fit its type, {type}. "
            "Declare pa.list_(value_type, size) with the shape's number of values, or pa.binary() for encoded images."
        )
    return shape


def _checked_labels(labels: Sequence[str], name: str, type: pa.DataType) -> list[str]:
    found = list(labels)
    if isinstance(labels, str) or not all(isinstance(one, str) and one.strip() and "\n" not in one for one in found):
        raise InvalidDefinition(
            f"column {name!r}: labels={labels!r} are no list of names of one line. "
            "Write labels=['cat', 'dog']: 0 is a cat."
        )
    if len(set(found)) < len(found):
        twice = next(one for number, one in enumerate(found) if one in found[:number])
        raise InvalidDefinition(f"column {name!r}: two numbers have the label {twice!r}. Give each its own.")
    while pa.types.is_nested(type) and not pa.types.is_struct(type):
        type = type.value_type
    if not (pa.types.is_integer(type) or pa.types.is_binary(type) or pa.types.is_large_binary(type)):
        raise InvalidDefinition(
            f"column {name!r}: has labels and is {type}, wanted integers or encoded images. Leave the labels out."
        )
    return found


def _meta(field_: pa.Field, key: str) -> str:
    return (field_.metadata or {}).get(key.encode(), b"").decode()
