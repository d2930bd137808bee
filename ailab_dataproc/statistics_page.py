"""Statistics as a page for people: a block a column, with small bars. ≈ marks what is no exact number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ailab_dataproc.tables import HIDDEN, console
from ailab_dataproc.wording import cut, number, share, value

_BLOCKS = "▁▂▃▄▅▆▇█"
_HALVES = "▏▎▍▌▋▊▉█"
_INDENT = 2
_BAR = 20  # characters of the longest bar
_VALUE = 40  # characters of a value beside its bar
_MANY = 5  # most frequent values that are shown
_RARE = 0.005  # of the rows: where even the most frequent number is rarer, none is shown
_SHOWN = ("0.01", "0.25", "0.5", "0.75", "0.99")  # quantiles


def statistics(told: dict[str, Any]) -> None:
    """What `statistics.read_statistics` found."""
    out = console()
    for place, (split, one) in enumerate(told["splits"].items()):
        out.print("\n" if place else "", end="")
        out.print(Text(f"{told['dataset']} {split}: {one['rows']:,} rows", style="bold"), soft_wrap=True)
        for name, column in one["columns"].items():
            out.print()
            for line in _column(name, column, one["rows"], out.width):
                out.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    if any(one["rows"] for one in told["splits"].values()):
        out.print()
        _legend(out)


def _legend(out: Console) -> None:
    text = "≈ is an estimate: from a sketch of all rows, or from the sampled rows where their number stands."
    out.print(Text(text, style="dim"))


def _column(name: str, column: dict[str, Any], rows: int, width: int) -> Iterator[Text]:
    """The lines of one column."""
    head = Text.assemble((name, "bold"), f"  {column['type']}", f"  {column['unit']}" if column["unit"] else "")
    if column["pii"]:
        head.append(f"  PII {HIDDEN}", style="red")
    yield head
    for line in facts(column, rows):
        yield from wrapped(line, width)
    approximate = column.get("approximate", {})
    if "histogram" in approximate:
        yield _histogram(approximate["histogram"])
    yield from _frequent(column, rows, width)


def facts(column: dict[str, Any], rows: int) -> list[list[str]]:
    """What is told of a column in words: how far it is filled, bounds and mean, lengths, quantiles; a list a line."""
    approximate = column.get("approximate", {})
    exact = [f"{key} {number(column[key])}" for key in ("min", "mean", "max", "std") if key in column]
    exact += [f"std {number(column['std_seconds'])} s"] if "std_seconds" in column else []
    lengths = [f"{key} {number(one)}" for key, one in column.get("lengths", {}).items()]
    quantiles = approximate.get("quantiles", {})
    parts = [f"{float(part):.0%} {number(quantiles[part])}" for part in _SHOWN if part in quantiles]
    lines = [
        [_filled(column, rows), *_distinct(approximate, rows)],
        exact,
        ["length", *lengths] if lengths else [],
        ["≈ below", *parts] if parts else [],
    ]
    return [line for line in lines if line]


def _filled(column: dict[str, Any], rows: int) -> str:
    nan = f", {column['nan']:,} NaN" if column.get("nan") else ""
    if not rows:
        return "no rows"
    return (f"{column['nulls']:,} nulls ({share(column['nulls'], rows)})" if column["nulls"] else "no nulls") + nan


def _distinct(approximate: dict[str, Any], rows: int) -> list[str]:
    if "distinct" not in approximate:
        return []
    seen = approximate["distinct_of_rows"]
    among = f" in {seen:,} sampled rows" if seen < rows else ""
    return [f"≈ {approximate['distinct']:,} distinct{among}"]


def _histogram(found: dict[str, Any]) -> Text:
    highest = max(found["rows"])
    bars = "".join(_BLOCKS[min(rows * 8 // highest, 7)] if rows else " " for rows in found["rows"])
    return Text.assemble(" " * _INDENT, "≈ ", (bars, "cyan"), "  from 1% to 99%")


def _frequent(column: dict[str, Any], rows: int, width: int) -> Iterator[Text]:
    """The most frequent values with bars; nothing where a number is hardly ever met twice."""
    found = column.get("approximate", {}).get("frequent", [])[:_MANY]
    if not found or ("quantiles" in column["approximate"] and found[0]["rows"] < _RARE * rows):
        return
    room = min(_VALUE, width - _INDENT - _BAR - 12)
    texts = [cut(value(one["value"]), room) for one in found]
    beside = max(cell_len(text) for text in texts)
    for text, one in zip(texts, found, strict=True):
        gap = " " * (beside - cell_len(text) + 2)
        bar = _bar(one["rows"] / found[0]["rows"])
        yield Text.assemble(" " * _INDENT, text, gap, (bar, "cyan"), f" ≈ {share(one['rows'], rows)}")


def _bar(part: float) -> str:
    eighths = max(round(part * _BAR * 8), 1)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_HALVES[rest - 1] if rest else "")


def wrapped(facts: Sequence[str], width: int) -> Iterator[Text]:
    """Facts beside each other, in as many lines as it takes; a fact is never broken."""
    line = ""
    for fact in facts:
        if line and _INDENT + cell_len(line) + 3 + cell_len(fact) > width:
            yield Text(" " * _INDENT + line)
            line = " " * _INDENT + fact
        else:
            line = f"{line}   {fact}" if line else fact
    if line:
        yield Text(" " * _INDENT + line)
