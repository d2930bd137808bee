"""What Hugging Face says of a column (its features) as a column of ours: type, shape, labels, meaning."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.columns import column
from ailab_dataproc.errors import MissingLibrary, require
from ailab_dataproc.preparation.inferring import plain

Feature = Any  # a dict as JSON has it; of a struct, one a member
_ENCODED = {"Image": "image", "Audio": "sound", "Video": "video", "Pdf": "PDF file"}
_LOOKED = 100_000  # images, whose sizes are compared
_CHANNELS = {"1": 1, "L": 1, "I;16": 1, "RGBA": 4, "LA": 4, "PA": 4}  # by Pillow's modes; others are shown in colour


def of_schema(schema: pa.Schema) -> dict[str, Feature]:
    """The features that a file carries in its schema, by column; empty where it has none."""
    text = (schema.metadata or {}).get(b"huggingface")
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:  # another library's key of this name
        return {}
    features = found.get("info", {}).get("features") if isinstance(found, dict) else None
    return features if isinstance(features, dict) else {}


def of_readme(listed: Any) -> dict[str, Feature]:
    """The features that a dataset card lists: classes with names, images and sounds; the files tell the other types."""
    found: dict[str, Feature] = {}
    for one in listed if isinstance(listed, list) else []:
        kind = one.get("dtype") if isinstance(one, dict) else None
        if isinstance(kind, dict) and "class_label" in kind:
            names = (kind["class_label"] or {}).get("names") or {}
            ordered = [names[key] for key in sorted(names, key=int)] if isinstance(names, dict) else names
            found[one["name"]] = {"_type": "ClassLabel", "names": [str(name) for name in ordered]}
        elif isinstance(kind, str) and kind.capitalize() in _ENCODED:
            found[one["name"]] = {"_type": kind.capitalize()}
    return found


def declared(
    field: pa.Field, feature: Feature, *, nullable: bool, pii: bool | None, images: Iterable[bytes | None]
) -> pa.Field:
    """The column for a field of a file.

    Args:
        field: the file's; its name is the column's.
        feature: what Hugging Face says of it; None where it says nothing.
        nullable: whether there are rows without a value.
        pii: whether it looks personal.
        images: of a column that holds encoded ones, one a row.
    """
    type_ = _type(field.type, feature)
    kind = str(feature.get("_type")) if isinstance(feature, dict) else ""
    shape: tuple[int | None, ...] | None = None
    if kind == "Image" and _is_bytes(type_):
        shape = image_shape(images)
    elif kind.startswith("Array") and t.is_fixed_size_list(type_):
        shape = tuple(feature["shape"])
    words = _meaning(feature)
    return column(field.name, type_, words, nullable=nullable, pii=pii, shape=shape, labels=_labels(feature))


def is_image(feature: Feature) -> bool:
    """Whether a column holds images."""
    return isinstance(feature, dict) and feature.get("_type") == "Image"


def image_shape(images: Iterable[bytes | None]) -> tuple[int | None, int | None, int]:
    """Height, width and channels of encoded images, as far as they are the same; three channels where that is unknown.

    Only the heads of the first images are decoded; the sizes of others, and of those that aren't there, may differ.
    """
    try:
        require("PIL", "images")
    except MissingLibrary:
        return (None, None, 3)
    from PIL import Image, UnidentifiedImageError

    found, whole = set(), True
    for number, one in enumerate(images):
        if number == _LOOKED or one is None:
            whole = False
        if number == _LOOKED:
            break
        if one is None:
            continue
        try:
            with Image.open(io.BytesIO(one)) as image:
                found.add((image.height, image.width, _CHANNELS.get(image.mode, 3)))
        except (UnidentifiedImageError, OSError):  # told when it is decoded; here it says nothing of the shape
            continue
    channels = {shape[2] for shape in found}
    if len(found) == 1 and whole:
        return found.pop()
    return (None, None, channels.pop() if len(channels) == 1 else 3)


def _type(type_: pa.DataType, feature: Feature) -> pa.DataType:
    """The type of our column: encoded files are bytes, arrays of one shape lists of a fixed size."""
    if isinstance(type_, pa.BaseExtensionType):
        type_ = type_.storage_type
    if isinstance(feature, list):  # as old versions write a list's
        feature = {"_type": "List", "feature": feature[0]}
    if not isinstance(feature, dict):
        return plain(type_)
    kind = feature.get("_type")
    if kind in _ENCODED and t.is_struct(type_) and {"bytes", "path"} == set(type_.names):
        return plain(type_.field("bytes").type)
    if str(kind).startswith("Array") and None not in feature["shape"]:
        return pa.list_(plain(_innermost(type_)), math.prod(feature["shape"]))
    if t.is_list(type_) and not str(kind).startswith("Array"):
        return pa.list_(_type(type_.value_type, feature.get("feature")))
    if t.is_struct(type_) and kind not in _ENCODED:
        return pa.struct([(one.name, _type(one.type, _member(feature, one.name))) for one in type_])
    return plain(type_)


def _member(feature: Feature, name: str) -> Feature:
    """What is said of a struct's member; the older `Sequence` of a dict is a struct of lists."""
    inner = feature.get("feature") if feature.get("_type") == "Sequence" else None
    if isinstance(inner, Mapping) and "_type" not in inner:
        return {"_type": "List", "feature": inner.get(name)}
    return feature.get(name)


def _innermost(type_: pa.DataType) -> pa.DataType:
    while t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_):
        type_ = type_.value_type
    return type_


def _is_bytes(type_: pa.DataType) -> bool:
    return bool(t.is_binary(type_) or t.is_large_binary(type_))


def _labels(feature: Feature) -> Sequence[str]:
    """The names of classes, also of those in lists."""
    while isinstance(feature, dict) and feature.get("_type") in ("List", "LargeList", "Sequence"):
        feature = feature.get("feature")
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
        return list(feature.get("names") or ())
    return ()


def _meaning(feature: Feature) -> str:
    if not isinstance(feature, dict):
        return ""
    kind = feature.get("_type")
    if kind == "Audio" and feature.get("sampling_rate"):
        return f"encoded sound, to be played at {feature['sampling_rate']} Hz"
    if kind in _ENCODED:
        return f"encoded {_ENCODED[kind]}"
    if kind in ("Translation", "TranslationVariableLanguages") and feature.get("languages"):
        return f"the same text in {', '.join(feature['languages'])}"
    return ""
