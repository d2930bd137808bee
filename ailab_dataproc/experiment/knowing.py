"""What can be known of data that were used: from a frame, a plan, a report or a name to the version and its rows."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from ailab_dataproc import filters as filtering
from ailab_dataproc.columns import is_pii
from ailab_dataproc.errors import InvalidRequest, UnknownName
from ailab_dataproc.lineage import Lineage
from ailab_dataproc.loaded import recall
from ailab_dataproc.loading import open_known
from ailab_dataproc.planning import Plan
from ailab_dataproc.report import Report, last_report
from ailab_dataproc.selecting import Request, Selected, select
from ailab_dataproc.settings import Settings, load_settings

HIDDEN = "<not shown: PII>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A version of a dataset, and what of it was read."""

    dataset: str  # name:version
    location: str
    fingerprint: str
    split: str
    selected: Selected
    all_columns: int
    lineage: Lineage | None
    plan: Plan | None = None  # None for a name
    report: Report | None = None  # None where nothing was loaded

    @property
    def rows_of(self) -> str:
        """What `load` takes to give the same rows of the split again, as JSON: filters, limit, sample, seed.

        Filters that aren't plain values are Arrow's own bytes of the expression.
        """
        return _json({**_filters(self.selected.filters), **_draw(self.selected)})


def know(data: Any, split: str = "all", settings: Settings | None = None) -> Known:
    """What can be known.

    Args:
        data: what `load` or `batches` returned, a `Plan`, a `Report`, a name, or None for what was loaded last.
        split: of a name: which rows.
        settings: where prepared data lies; None reads them.

    Raises:
        InvalidRequest: it is something else.
        NotPrepared, UnknownName: there is no such version.
    """
    if isinstance(data, str):
        return _named(data, split, settings)
    if split != "all":
        raise InvalidRequest(f"split={split!r} goes with a name; a {type(data).__name__} knows its rows. Leave it out.")
    if data is None:
        data = last_report()
    if data is None:
        raise InvalidRequest("nothing has been loaded in this thread yet. Load first, or pass 'name:version'.")
    if isinstance(data, Plan):
        return _planned(data)
    found = recall(data)
    if found:
        return _planned(found.plan, found.report)
    if isinstance(data, Report) and data.step != "load":
        given = replace(settings or load_settings(), data_dir=root(data.location, data.dataset))
        return _named(data.dataset, "all", given, data)
    raise InvalidRequest(
        f"found a {type(data).__name__} that neither `load` nor `batches` returned in this process, wanted one that "
        "they did. Pass what they returned, not what was made of it, or the plan, or 'name:version' with split=."
    )


def shown(filters: filtering.Filters | None) -> str:
    """Filters for people, without the values that columns with personal data are compared with."""
    if filters is None or not any(map(is_pii, filters.rows.columns)):
        return filters.text if filters else ""
    if not filters.rows.groups:
        return f"{HIDDEN} of {', '.join(filters.rows.columns.names)}"
    groups = [" and ".join(_condition(one, filters.rows.columns) for one in group) for group in filters.rows.groups]
    return " or ".join(f"({text})" if len(groups) > 1 else text for text in groups)


def expression(text: str) -> Any:
    """The Arrow expression that `Known.rows_of` holds as bytes."""
    import pyarrow.compute as pc

    return pc.Expression._deserialize(pa.py_buffer(base64.b64decode(text)))


def root(location: str, dataset: str) -> str:
    """The data directory in which a version lies.

    Args:
        location: the folder of the version.
        dataset: its ``name:version``.
    """
    return location.rstrip("/").removesuffix(f"/{dataset.replace(':', '/')}")


def short_hash(text: str) -> str:
    """32 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _planned(plan: Plan, report: Report | None = None) -> Known:
    return Known(
        dataset=plan.dataset,
        location=plan.location,
        fingerprint=plan.fingerprint,
        split=plan.split,
        selected=plan.selected,
        all_columns=plan.all_columns,
        lineage=plan.lineage,
        plan=plan,
        report=report,
    )


def _named(name: str, split: str, settings: Settings | None, report: Report | None = None) -> Known:
    prepared = open_known(name, settings or load_settings())
    return Known(
        dataset=prepared.name,
        location=prepared.folder.url,
        fingerprint=prepared.manifest.fingerprint,
        split=split,
        selected=select(prepared, Request(split=split, allow_pii=True)),  # no row is read
        all_columns=len(prepared.schema),
        lineage=prepared.manifest.lineage,
        report=report,
    )


def _condition(one: filtering.Predicate, columns: pa.Schema) -> str:
    hidden = is_pii(columns.field(one.column)) and one.value is not None
    return f"{one.column} {one.operator} {HIDDEN}" if hidden else str(one)


def _filters(filters: filtering.Filters | None) -> dict[str, Any]:
    if filters is None:
        return {}
    plain = [[[one.column, one.operator, _value(one.value)] for one in group] for group in filters.rows.groups]
    if plain and _same(plain, filters.rows):
        return {"filters": plain}
    raw = filters.rows.expression.__reduce__()[1][0]
    return {"expression": base64.b64encode(raw).decode()}


def _value(value: Any) -> Any:
    """As JSON gives it back; where that is another one, `_same` sees it."""
    found = value.to_pylist() if isinstance(value, pa.Array) else value.as_py() if value is not None else None
    return json.loads(json.dumps(found, default=str))


def _same(plain: list[Any], rows: filtering.RowFilter) -> bool:
    try:
        return filtering.parse(plain, rows.columns, "").rows == rows
    except (InvalidRequest, UnknownName):  # such as a text that stands for bytes
        return False


def _draw(selected: Selected) -> dict[str, Any]:
    draw = selected.draw
    if draw is None:
        return {}
    if draw.seed is None:
        return {"limit": draw.rows}
    return {"sample": draw.fraction if draw.rows is None else draw.rows, "seed": draw.seed}


def _json(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, sort_keys=True) if found else ""
