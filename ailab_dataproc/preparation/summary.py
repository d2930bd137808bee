"""From the profiles of all tasks to the statistics of a version, in the order of the tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.columns import is_pii
from ailab_dataproc.preparation.moments import Lengths, Moments, has_length, is_number
from ailab_dataproc.preparation.sketches import Points, count_distinct, histogram, most_frequent, quantiles

_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_BARS = 20  # of a histogram
_MANY = 10  # most frequent values that are told


def statistics_file(schema: pa.Schema, parts: Mapping[str, Sequence[bytes]], index: pa.Table) -> bytes:
    """The content of a version's statistics: by split, then by column, what `merge` tells.

    Args:
        schema: the stored columns, with the declared ones' metadata.
        parts: for each split what the profiles of its tasks wrote, in the order of the tasks.
        index: of the version; it knows the bounds of texts, from the Parquet files' footers.
    """
    found = {split: merge(schema, ours) for split, ours in parts.items()}
    shards = index.filter(pc.field("format") == "parquet")
    for split, columns in found.items():
        ours = shards.filter(pc.field("split") == split)
        for one in schema:
            if t.is_string(one.type) and not is_pii(one):
                columns[one.name] |= _text_bounds(ours, one.name)
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False).encode()


def merge(schema: pa.Schema, parts: Iterable[bytes]) -> dict[str, Any]:
    """The statistics of a split from the profiles of its tasks.

    Args:
        schema: the stored columns, with the declared ones' metadata.
        parts: from `Profile.to_bytes`, in the order of the tasks.

    Returns:
        By column its ``type``, ``count`` (rows that hold a value), ``nulls`` and, where they have a meaning, ``nan``,
        ``min``, ``max``, ``mean``, ``std`` (or ``std_seconds``), ``lengths`` and ``approximate``. JSON can hold it.
    """
    states = [json.loads(part) for part in parts]
    return {one.name: _merged(one, [state[i] for state in states]) for i, one in enumerate(schema)}


def _text_bounds(shards: pa.Table, column: str) -> dict[str, str]:
    """Min and max of a text; empty where the index doesn't know them, or there is no value."""
    if shards.schema.field("columns").type.field(column).type.get_field_index("min") < 0:
        return {}  # a dictionary
    nulls, low, high = (pc.struct_field(shards["columns"], [column, one]) for one in ("nulls", "min", "max"))
    filled = pc.less(nulls, shards["rows"])
    if not pc.any(filled).as_py() or pc.any(pc.and_(filled, pc.is_null(low))).as_py():
        return {}
    return {"min": pc.min(low).as_py(), "max": pc.max(high).as_py()}


def _merged(field: pa.Field, states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    moments, lengths, points = Moments(), Lengths(), Points()
    for state in states:
        moments.merge(Moments(**state["moments"]))
        lengths.merge(Lengths(**state["lengths"]))
        points.merge(Points(**state["points"] or {}))
    found: dict[str, Any] = {
        "type": str(field.type),
        "count": sum(state["count"] for state in states),
        "nulls": sum(state["nulls"] for state in states),
    }
    if is_number(field.type) and not is_pii(field):
        found |= moments.told(field.type)
    if has_length(field.type):
        found["lengths"] = lengths.told()
    found["approximate"] = _approximate(field, states, points, found["count"] + found["nulls"])
    return {key: value for key, value in found.items() if value != {}}


def _approximate(field: pa.Field, states: Sequence[dict[str, Any]], points: Points, rows: int) -> dict[str, Any]:
    distinct = [state["distinct"] for state in states if state["distinct"]]
    frequent = [state["frequent"] for state in states if state["frequent"]]
    looked = sum(state["looked"] for state in states)
    found: dict[str, Any] = {"sampled_rows": looked} if looked else {}
    if distinct:
        among = rows if t.is_integer(field.type) else looked
        found |= {"distinct": min(count_distinct(distinct), among), "distinct_of_rows": among}
    found["frequent"] = most_frequent(frequent, _MANY)
    found["quantiles"] = quantiles(points, _QUANTILES, field.type)
    found["histogram"] = histogram(points, _BARS, field.type)
    return {key: value for key, value in found.items() if value not in ({}, [])}
