"""TFDS's features -> Arrow columns, in one table. What has no mapping is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from ailab_dataproc.bridge.assembling import arrow
from ailab_dataproc.bridge.layout import SCALARS, Columns, Leaf, Node, Struct
from ailab_dataproc.columns import column
from ailab_dataproc.errors import InvalidDefinition, unknown


@dataclass(frozen=True, slots=True)
class Told:
    """What an author says of the columns, in place of what TFDS says or beside it."""

    where: str  # the dataset's name, for messages
    meanings: Mapping[str, str] = field(default_factory=dict)
    pii: Collection[str] = ()
    binary: Collection[str] = ()  # text that is bytes, such as "title" or "answers.text"


@dataclass(frozen=True, slots=True)
class _At:
    """Where in the features a feature stands."""

    told: Told
    key: str = ""  # of the tf.train.Example
    column: str = ""  # for messages, such as "objects.bbox"
    levels: int = 0  # sequences around it

    def below(self, name: str) -> _At:
        """A member of a dict."""
        mine = _column_name(name)
        key, path = (f"{self.key}/{name}", f"{self.column}.{mine}") if self.key else (name, mine)
        return replace(self, key=key, column=path)

    def refuse(self, feature: Any, why: str) -> InvalidDefinition:
        """The error for a feature that has no mapping."""
        return InvalidDefinition(
            f"{self.told.where}: feature {self.column!r} is {_article(type(feature).__name__)}, {why}. "
            "Write a read= function for this dataset."
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a feature becomes."""

    node: Node
    labels: tuple[str, ...] = ()
    shape: tuple[int | None, ...] | None = None
    remark: str = ""  # added to the meaning
    inner: Mapping[str, _Found] = field(default_factory=dict)  # of a dict


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A line of the table."""

    feature: str  # the name of TFDS's class
    arrow: str  # the type, in words
    note: str  # what becomes of it
    make: Callable[[Any, _At], _Found]


def columns(features: Any, told: Told) -> tuple[pa.Schema, Columns]:
    """The columns of a builder's features, and where their values lie.

    Args:
        features: ``builder.info.features``.
        told: by the author.

    Raises:
        InvalidDefinition: a feature that has no mapping.
        UnknownName: a meaning, or a column with personal data, of no column.
    """
    if type(features).__name__ not in ("FeaturesDict", "Translation"):
        raise _At(told, "", "features").refuse(features, "but rows are dicts")
    found = _members(features, _At(told))
    for name in (*told.meanings, *told.pii):
        if name not in found:
            raise unknown("column", name, found, where=told.where)
    paths = [path for name, one in found.items() for path in _text_paths(one.node, name)]
    for name in told.binary:
        if name not in paths:
            raise unknown("column of text", name, paths, where=told.where)
    schema = pa.schema([_declared(name, one, features[_original(features, name)], told) for name, one in found.items()])
    return schema, tuple((name, one.node) for name, one in found.items())


def _declared(name: str, found: _Found, feature: Any, told: Told) -> pa.Field:
    said = told.meanings.get(name) or _doc(feature, found)
    return column(
        name,
        _type(found),
        said,
        nullable=isinstance(found.node, Leaf) and found.node.nullable,
        pii=name in told.pii,
        shape=found.shape,
        labels=found.labels,
    )


def _doc(feature: Any, found: _Found) -> str:
    doc = feature.doc
    parts = [(doc.desc or "").strip(), (doc.value_range or "").strip(), found.remark]
    return "; ".join(part for part in parts if part)


def _type(found: _Found) -> pa.DataType:
    """The Arrow type, whose members have labels and shapes of their own."""
    if not found.inner:
        return arrow(found.node)
    return pa.struct(
        [
            column(
                name,
                _type(one),
                one.remark,
                nullable=isinstance(one.node, Leaf) and one.node.nullable,
                shape=one.shape,
                labels=one.labels,
            )
            for name, one in found.inner.items()
        ]
    )


def _members(features: Mapping[str, Any], at: _At) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for name in features:
        here = at.below(name)
        mine = _column_name(name)
        if mine in found:
            raise InvalidDefinition(
                f"{at.told.where}: two features become the column {here.column!r}. Write a read= function for it."
            )
        found[mine] = _convert(features[name], here)
    return found


def _convert(feature: Any, at: _At) -> _Found:
    name = type(feature).__name__
    known = type(feature).__module__.startswith("tensorflow_datasets.core.features")
    line = next((one for one in FEATURES if one.feature == name), None) if known else None
    if line is None:
        raise at.refuse(feature, "which isn't one of TFDS's own features" if not known else "which has no mapping")
    return line.make(feature, at)


def _tensor(feature: Any, at: _At) -> _Found:
    info = feature.get_tensor_info()
    shape, packed = tuple(info.shape), feature._encoding.value
    kind = _kind(np.dtype(info.np_dtype), feature, at)
    if kind == "string" and at.column in at.told.binary:
        kind = "binary"
    if 0 in shape:
        raise at.refuse(feature, f"whose shape {shape} holds nothing")
    if at.levels and None in shape:
        raise at.refuse(feature, f"of shape {shape} in a Sequence, which TFDS can't read either")
    if shape.count(None) > 1 and packed == "none":
        raise at.refuse(feature, f"of shape {shape} without an encoding, which TFDS can't read either")
    leaf = Leaf(at.key, at.column, kind, at.levels, shape, packed.replace("none", ""), bool(info.optional))
    return _Found(leaf, shape=shape if leaf.fixed else None)


def _kind(dtype: np.dtype, feature: Any, at: _At) -> str:
    name = "string" if dtype.kind in "OSU" else dtype.name
    if name not in SCALARS:
        raise at.refuse(feature, f"of {name}, which Arrow has no type for")
    return name


def _label(feature: Any, at: _At) -> _Found:
    return replace(_tensor(feature, at), labels=_names(feature))


def _names(feature: Any) -> tuple[str, ...]:
    """The names of classes, where they are more than their numbers."""
    names = tuple(feature.names) if feature.num_classes else ()
    return () if names == tuple(str(number) for number in range(len(names))) else names


def _image(feature: Any, at: _At) -> _Found:
    shape, dtype = tuple(feature.shape), np.dtype(feature.np_dtype)
    if dtype == np.float32:
        raise at.refuse(feature, "of float32, which TFDS hides in the four channels of a PNG")
    leaf = Leaf(at.key, at.column, "binary", at.levels)
    pixels = len(shape) == 3 and shape[2] in (1, 3, 4) and dtype == np.uint8 and not at.levels
    remark = "" if pixels else f"encoded image of {dtype.name}, shape {_spoken(shape)}"
    return _Found(leaf, shape=shape if pixels else None, remark=remark)


def _labeled_image(feature: Any, at: _At) -> _Found:
    return replace(_image(feature, at), labels=_names(feature))


def _audio(feature: Any, at: _At) -> _Found:
    rate = f"{feature.sample_rate:,} samples a second" if feature.sample_rate else ""
    if feature._lazy_decode:
        form = feature._file_format or "any format"
        return _Found(
            Leaf(at.key, at.column, "binary", at.levels), remark="; ".join(filter(None, (f"audio file, {form}", rate)))
        )
    return replace(_tensor(feature, at), remark=rate)


def _box(feature: Any, at: _At) -> _Found:
    order = getattr(feature.bbox_format, "value", None)
    return replace(_tensor(feature, at), remark=f"box, {order}" if order else "box")


def _sequence(feature: Any, at: _At) -> _Found:
    found = _convert(feature.feature, replace(at, levels=at.levels + 1))
    shape = feature.feature.shape if isinstance(found.node, Leaf) and found.node.shape else None
    return replace(found, remark=found.remark or (f"each of shape {_spoken(shape)}" if shape else ""))


def _dict(feature: Any, at: _At) -> _Found:
    inner = _members(feature, at)
    if not inner:
        raise at.refuse(feature, "without members")
    return _Found(Struct(tuple((name, one.node) for name, one in inner.items())), inner=inner)


def _spoken(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("?" if one is None else str(one) for one in shape) + ")"


def _column_name(name: str) -> str:
    return name.replace("/", "_").replace(".", "_")


def _original(features: Any, name: str) -> str:
    return next(one for one in features if _column_name(one) == name)


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "AEIO" else f"a {name}"


def _text_paths(node: Node, path: str) -> Iterator[str]:
    if isinstance(node, Struct):
        for name, child in node.children:
            yield from _text_paths(child, f"{path}.{name}")
    elif node.kind in ("string", "binary"):
        yield path


FEATURES: tuple[Mapped, ...] = (
    Mapped(feature="Scalar", arrow="its dtype; text: string", note="optional: nullable", make=_tensor),
    Mapped(
        feature="Tensor",
        arrow="a fixed-size list with its shape; unknown dimensions: lists of lists",
        note="each encoding (none, bytes, zlib); a float64 without one lies as float32, as TFDS wrote it",
        make=_tensor,
    ),
    Mapped(feature="Text", arrow="string", note="bytes that are no UTF-8: binary=[…]", make=_tensor),
    Mapped(feature="ClassLabel", arrow="int64", note="its names are the column's labels", make=_label),
    Mapped(
        feature="Image",
        arrow="binary",
        note="the file as it is (PNG, JPEG), with its shape; of uint16 without; float32 is refused",
        make=_image,
    ),
    Mapped(feature="LabeledImage", arrow="binary", note="as an Image; its names are the labels", make=_labeled_image),
    Mapped(feature="Video", arrow="list of binary", note="a list of encoded frames", make=_sequence),
    Mapped(
        feature="Audio",
        arrow="list of its dtype",
        note="the samples; with lazy_decode the file, as binary",
        make=_audio,
    ),
    Mapped(feature="BBoxFeature", arrow="fixed-size list of 4 float32", note="ymin, xmin, ymax, xmax", make=_box),
    Mapped(
        feature="Sequence",
        arrow="list",
        note="of a dict: a struct of lists, as TFDS gives it; of arrays: lists of lists",
        make=_sequence,
    ),
    Mapped(feature="Dataset", arrow="struct of lists, or list", note="as a Sequence", make=_sequence),
    Mapped(feature="FeaturesDict", arrow="struct", note="at the top: columns; / and . in names become _", make=_dict),
    Mapped(feature="Translation", arrow="struct of string", note="a member a language", make=_dict),
    Mapped(
        feature="TranslationVariableLanguages",
        arrow="struct of two lists of string",
        note="language and translation",
        make=_sequence,
    ),
)
