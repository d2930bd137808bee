"""A column as a field of Croissant: its type, its shape, where its values lie, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc import columns
from ailab_dataproc.decoding import is_image


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a field stands in the document, and its values in the files."""

    id: str
    source: dict[str, Any]  # the file or files, and the column
    path: str = ""  # within the column's value, as JSONPath


def field(column: pa.Field, record_set: str, files: dict[str, Any]) -> dict[str, Any] | None:
    """The field of a column; None where Croissant has no words for its type.

    Args:
        column: as the version declares it.
        record_set: the id of the record set that gets the field.
        files: what a source says of its files.
    """
    place = _Place(identifier(record_set, column.name), {**files, "extract": {"column": column.name}})
    found = _field(column, place)
    if found and is_image(column):
        found["dataType"] = "sc:ImageObject"
    if found and names_classes(column):
        found["references"] = {"field": {"@id": f"{_labels_id(column)}/number"}}
    words = _words(column)
    if not found or not words:
        return found
    head = {key: found[key] for key in ("@type", "@id", "name")}
    return {**head, "description": words, **found}


def names_classes(column: pa.Field) -> bool:
    """Whether each row is one number that stands for a label."""
    return bool(columns.labels(column)) and t.is_integer(column.type)


def label_set(column: pa.Field) -> dict[str, Any]:
    """The record set that says what the numbers of a column stand for."""
    name = _labels_id(column)
    number, label = f"{name}/number", f"{name}/label"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": f"labels of {column.name}",
        "dataType": "sc:Enumeration",
        "key": {"@id": number},
        "field": [
            {"@type": "cr:Field", "@id": number, "name": "number", "dataType": "sc:Integer"},
            {"@type": "cr:Field", "@id": label, "name": "label", "dataType": "sc:Text"},
        ],
        "data": [{number: place, label: text} for place, text in enumerate(columns.labels(column))],
    }


def _labels_id(column: pa.Field) -> str:
    return f"{identifier(column.name)}-labels"


def identifier(*parts: str) -> str:
    """An ``@id`` of names that may hold anything."""
    return "/".join(quote(part, safe="") for part in parts)


def _field(one: pa.Field, place: _Place) -> dict[str, Any] | None:
    shape, type_ = _unpacked(one.type)
    found: dict[str, Any] = {"@type": "cr:Field", "@id": place.id, "name": one.name}
    if shape:
        found |= {"isArray": True, "arrayShape": ",".join(map(str, shape))}
    if t.is_struct(type_):
        below = _members(type_, place, shape)
        return None if below is None else {**found, "subField": below}
    plain = _data_type(type_)
    if plain is None:
        return None
    path = {"transform": {"jsonPath": place.path}} if place.path else {}
    return {**found, "dataType": plain, "source": {**place.source, **path}}


def _members(type_: pa.StructType, place: _Place, shape: list[int]) -> list[dict[str, Any]] | None:
    """The fields of a struct; None where one can't be said: a path leads through one list, and not to its middle."""
    if len(shape) > 1 or (shape and place.path):
        return None
    found = []
    for one in type_:
        step = _quoted(one.name)
        if step is None:
            return None
        path = f"{place.path}.{step}" if place.path else step
        found.append(_field(one, replace(place, id=f"{place.id}/{identifier(one.name)}", path=path)))
    return None if None in found else [one for one in found if one]


def _unpacked(type_: pa.DataType) -> tuple[list[int], pa.DataType]:
    """The shape of nested lists, -1 where sizes differ, and the type of their values."""
    shape = []
    while t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_):
        shape.append(type_.list_size if t.is_fixed_size_list(type_) else -1)
        type_ = type_.value_type
    return shape, type_.value_type if t.is_dictionary(type_) else type_


def _data_type(type_: pa.DataType) -> str | None:  # noqa: PLR0911 - one line a kind of type
    if t.is_boolean(type_):
        return "sc:Boolean"
    if t.is_integer(type_):
        return f"cr:{'Int' if t.is_signed_integer(type_) else 'UInt'}{type_.bit_width}"
    if t.is_floating(type_):
        return f"cr:Float{type_.bit_width}"
    if t.is_decimal(type_):
        return "sc:Float"
    if t.is_date(type_):
        return "sc:Date"
    if t.is_timestamp(type_):
        return "sc:DateTime"
    plain = t.is_string(type_) or t.is_large_string(type_) or t.is_binary(type_) or t.is_large_binary(type_)
    return "sc:Text" if plain else None  # a length of time has none


def _words(column: pa.Field) -> str:
    """What Croissant has no key for, behind the meaning."""
    shape, labels = columns.shape(column), columns.labels(column)
    _, inner = _unpacked(column.type)
    parts = [columns.meaning(column)]
    if columns.unit(column):
        parts.append(f"unit: {columns.unit(column)}")
    if shape and t.is_fixed_size_list(column.type) and len(shape) > 1:
        parts.append(f"an array of {' x '.join(map(str, shape))} in row-major order")
    if t.is_decimal(inner):
        parts.append(f"exact: {inner}")
    if (t.is_binary(inner) or t.is_large_binary(inner)) and not is_image(column):
        parts.append("bytes")
    if labels:
        parts.append("labels: " + ", ".join(f"{number} {label}" for number, label in enumerate(labels)))
    return "; ".join(part for part in parts if part)


def _quoted(name: str) -> str | None:
    """A name within JSONPath; None for one with both kinds of quotes, which none can hold."""
    mark = next((mark for mark in "'\"" if mark not in name), None)
    return None if mark is None or "\\" in name else f"{mark}{name}{mark}"
