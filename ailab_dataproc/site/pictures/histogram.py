"""One column's statistics as a small picture: the distribution of numbers, the most frequent of other values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from ailab_dataproc.drawing import draw, plain
from ailab_dataproc.wording import cut, number, share, value

_TEMPLATE = Path(__file__).with_name("histogram.svg.jinja")
WIDTH, HEIGHT = 220, 56  # pixels
_TOP, _BASE = 2.0, 40.0  # where the highest bar ends, and where all begin
_MANY = 4  # frequent values that are shown
_END = 17  # columns of the number at an end
_LABEL, _BAR = 16, 76.0  # columns of a value's text, and pixels of the longest bar beside it
_RARE = 0.005  # of the rows: where even the most frequent value is rarer, bars say nothing
_TIME = re.compile(r"(-?\d{4,}-\d\d-\d\d)T(\d\d:\d\d)[\d:.]*Z?")


def histogram(column: Mapping[str, Any], *, name: str = "", labels: Sequence[str] = ()) -> str | None:
    """A column's picture as SVG, 220 x 56 pixels; None where there is nothing to draw.

    It has no colours of its own: bars (``class="bar"``) and text take the current one, so it belongs into the page.

    Args:
        column: what `statistics.read_statistics` tells of it.
        name: of the column, for its title.
        labels: the names of the values 0, 1, 2, … of a column of classes.
    """
    rows = column["count"] + column["nulls"]
    if not rows:
        return None
    found = {} if column.get("pii") else column.get("approximate", {})
    frequent = [one for one in found.get("frequent", []) if one["rows"] >= _RARE * rows]
    given: dict[str, Any] | None = None
    if "histogram" in found and not labels:
        given = _distribution(found, column)
    elif frequent:
        named = [_named(one["value"], labels, text="string" in column["type"]) for one in frequent]
        given = _values(named, frequent, rows)
    if given is None and not column["nulls"]:
        return None
    given = given or {"kind": "fill", "told": f"{share(column['count'], rows)} of the rows hold a value"}
    given["missing"] = f"{share(column['nulls'], rows)} null" if column["nulls"] else ""
    given["told"] += f"; {given['missing']}" if given["missing"] else ""
    filled = round(WIDTH * column["count"] / rows, 1)
    return draw(_TEMPLATE, width=WIDTH, height=HEIGHT, name=plain(name), filled=filled, **given)


def _distribution(found: Mapping[str, Any], column: Mapping[str, Any]) -> dict[str, Any]:
    """Bars from the 1 % to the 99 % quantile."""
    counts = found["histogram"]["rows"]
    low, high = (_short(found["histogram"][key]) for key in ("from", "to"))
    unit = f" {column['unit']}" if column.get("unit") else ""
    told = f"98 % of the values lie between {low} and {high}{unit}"
    middle = found.get("quantiles", {}).get("0.5")
    if middle is not None:
        told += f", half of them below {_short(middle)}"
    return {"kind": "numbers", "path": _outline(counts), "low": low, "high": high, "told": told}


def _outline(counts: Sequence[int]) -> str:
    """All bars as one path; a range that has any row can be seen."""
    wide, highest = WIDTH / len(counts), max(*counts, 1)
    bars = []
    for place, rows in enumerate(counts):
        tall = max((_BASE - _TOP) * rows / highest, 1.0) if rows else 0
        if tall:
            bars.append(f"M{place * wide:.1f} {_BASE:g}v{-tall:.1f}h{wide - 1:.1f}v{tall:.1f}z")
    return "".join(bars)


def _values(names: Sequence[str], frequent: Sequence[Mapping[str, Any]], rows: int) -> dict[str, Any]:
    """A bar a value, the most frequent first."""
    shown = _beginnings_left_out(names[:_MANY])
    bars = [
        {
            "text": cut(name, _LABEL),
            "wide": round(max(_BAR * one["rows"] / frequent[0]["rows"], 1.0), 1),
            "share": share(one["rows"], rows),
        }
        for name, one in zip(shown, frequent, strict=False)
    ]
    told = ", ".join(f"{cut(name, 2 * _LABEL)} {bar['share']}" for name, bar in zip(names, bars, strict=False))
    return {"kind": "values", "bars": bars, "told": f"Most frequent: {told}"}


def _beginnings_left_out(names: Sequence[str]) -> Sequence[str]:
    """Names without what all begin with, such as https://, where they would be cut before they differ."""
    common = len(os.path.commonprefix(list(names)))  # noqa: RUF071 - letters are meant, not folders
    if len(names) < 2 or common < _LABEL // 2 or max(map(cell_len, names)) <= _LABEL:
        return names
    return [f"…{name[common:]}" for name in names]


def _named(one: Any, labels: Sequence[str], *, text: bool) -> str:
    if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(labels):
        return plain(labels[one])
    return plain(value(one)) if text else _short(one)


def _short(one: Any) -> str:
    """A number as short as can be; a time to the minute, a midnight as its day."""
    time = _TIME.fullmatch(one) if isinstance(one, str) else None
    if time:
        return time[1] if time[2] == "00:00" else f"{time[1]} {time[2]}"
    told = plain(number(one))
    if len(told) > _END and isinstance(one, int):
        return f"{one:.6g}"
    return cut(told, _END)
