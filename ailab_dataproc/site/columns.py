"""A column as its page shows it: words, types, statistics and a picture. Of personal data, no value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ailab_dataproc.schema import contract
from ailab_dataproc.site import pictures
from ailab_dataproc.statistics_page import facts

BACKENDS = {
    "numpy": "NumPy",
    "pandas": "pandas, Dask",
    "polars": "Polars",
    "cudf": "cuDF",
    "tf": "tf",
    "torch": "torch",
}
_WITHOUT_VALUES = ("type", "count", "nulls", "nan", "lengths", "unit")  # of statistics, what holds no value of a row
_FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}  # Arrow's names, and everybody's
_PICTURES = 400  # columns of a page that get a histogram; a page of thousands would be too long to open


@dataclass(frozen=True, slots=True)
class Column:
    """A line of the page's table of columns."""

    name: str
    type: str
    nullable: bool
    meaning: str
    unit: str
    pii: bool
    shape: str  # such as "28 x 28 x 1"
    labels: tuple[str, ...]  # names of the classes
    facts: tuple[str, ...]  # of the values, a line each
    histogram: str | None  # SVG
    types: tuple[str, ...]  # on each of BACKENDS


def columns_of(
    told: Sequence[Mapping[str, Any]],
    schema: pa.Schema | None,
    statistics: Mapping[str, Any] | None,
    personal: Iterable[str],
) -> list[Column]:
    """The columns of one version.

    Args:
        told: as the manifest or the definition describes them.
        schema: the same as Arrow; None where it isn't known.
        statistics: of one split: its ``rows`` and ``columns``; None where there are none.
        personal: the columns that hold personal data.
    """
    hidden = set(personal)
    return [
        _column(one, schema, statistics, hidden=one["name"] in hidden, drawn=i < _PICTURES)
        for i, one in enumerate(told)
    ]


def _column(
    told: Mapping[str, Any],
    schema: pa.Schema | None,
    statistics: Mapping[str, Any] | None,
    *,
    hidden: bool,
    drawn: bool,
) -> Column:
    name = told["name"]
    known = dict(statistics["columns"].get(name) or {}) if statistics else {}
    if hidden:
        known = {key: value for key, value in known.items() if key in _WITHOUT_VALUES}
    lines = facts(known, statistics["rows"]) if statistics and "nulls" in known else []
    return Column(
        name=name,
        type=told["type"],
        nullable=told["nullable"],
        meaning=told["meaning"],
        unit=told["unit"],
        pii=hidden,
        shape=" x ".join("?" if part is None else str(part) for part in told.get("shape") or ()),
        labels=tuple(map(str, told.get("labels") or ())),
        facts=tuple(" · ".join(line).replace("length · ", "length ") for line in lines if line[0] != "≈ below"),
        histogram=_histogram(known, told, hidden=hidden) if known and drawn else None,
        types=types_of(schema.field(name).type) if schema is not None else (),
    )


def _histogram(known: Mapping[str, Any], told: Mapping[str, Any], *, hidden: bool) -> str | None:
    labels = told.get("labels") or ()
    return pictures.histogram({**known, "pii": hidden}, name=told["name"], labels=labels) if "nulls" in known else None


def types_of(type_: pa.DataType) -> tuple[str, ...]:
    """What a column of an Arrow type becomes on each of `BACKENDS`, with the type's name in place of "the same"."""
    line = contract(type_)
    if line is None:
        return ("",) * len(BACKENDS)
    return tuple(_named(getattr(line, backend), type_) for backend in BACKENDS)


def _named(text: str, type_: pa.DataType) -> str:
    name = _FLOATS.get(str(type_), str(type_))
    return text.replace("the same integer", name).replace("the same float", name).replace("of the same", f"of {name}")
