"""What the command line shows to people: lists, tables, and values that fit into a cell."""

from __future__ import annotations

import base64
import json
import os
import sys
import textwrap
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ailab_dataproc.checked import PASSED, spoken
from ailab_dataproc.report import count_bytes

HIDDEN = "•••"  # stands for a value that is personal data
_PIPE = 160  # columns, where the output is no terminal
_CELL = 48  # characters of a cell in `rows`
_NARROW = 18  # characters that a row takes at least, where rows stand beside each other
_ITEMS = 4  # of a list that a cell shows


def console() -> Console:
    """Plain text: what data and descriptions hold is never taken for markup."""
    wide = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else _PIPE
    return Console(width=wide, markup=False, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """One JSON document; what JSON can't hold becomes text."""
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def datasets(rows: list[dict[str, Any]], problems: list[dict[str, Any]], data_dir: str) -> None:
    """The catalog, a line a dataset; what is wrong stands below. Narrow terminals get fewer columns."""
    out = console()
    heads = ["name", "prepared", "rows>", "owner", "defined in", "description"]
    cells = [_line(row) for row in rows]
    for least, left_out in ((30, "defined in"), (24, "owner")):
        if out.width - _width(heads[:-1], cells) < least:
            place = heads.index(left_out)
            heads.pop(place)
            cells = [[*line[:place], *line[place + 1 :]] for line in cells]
    room = max(out.width - _width(heads[:-1], cells), 10)
    table = bare_table(*heads)
    for line in cells:
        table.add_row(*line[:-1], _short(line[-1], room))
    out.print(table if rows else "No dataset is defined or prepared.")
    for row in rows:
        if row["problem"]:
            told = row["problem"].removeprefix(f"{row['name']}: ")
            out.print(Text(f"! {row['name']}: {told}", style="red"), soft_wrap=True)
        if row["version"] in row["deprecated"]:
            told = f"! {row['name']}:{row['version']} is deprecated: {row['deprecated'][row['version']]}"
            out.print(Text(told, style="yellow"), soft_wrap=True)
    for one in problems:
        out.print(Text(f"! {one['problem']}", style="red"), soft_wrap=True)
    out.print(Text(f"data directory: {_home(data_dir)}", style="dim"), soft_wrap=True)


def dataset(told: dict[str, Any]) -> None:
    """What `describing.describe` found."""
    out = console()
    out.print(Text(told["name"] + (f":{told['version']}" if told["version"] else ""), style="bold"))
    for paragraph in told["description"].split("\n\n"):
        out.print(" ".join(paragraph.split()))
    _warnings(out, told)
    facts = {key: told[key] for key in ("owner", "license", "homepage", "citation", "arrangement") if told[key]}
    if told["made_from"]:
        facts["made from"] = told["made_from"]
    if told["defined"]:
        facts["defined in"] = f"{_home(told['defined']['path'])} (version {told['defined']['version'] or '?'})"
        if told["defined"]["package"]:
            facts["package"] = told["defined"]["package"]
    out.print()
    for key, value in facts.items():
        out.print(f"{key:<11}  {value}", soft_wrap=True)
    columns = bare_table("column", "type", "null", "unit", "PII", "meaning")
    for one in told["columns"]:
        marks = ("null" if one["nullable"] else "", one["unit"], Text("PII" if one["pii"] else "", style="bold red"))
        columns.add_row(one["name"], one["type"], *marks, one["meaning"])
    columns.columns[5].overflow, columns.columns[5].no_wrap = "fold", False
    out.print()
    out.print(columns)
    _checks(out, told["checks"])
    _versions(out, told)
    if told["load"]:
        out.print("\nimport ailab_dataproc as adp")
        for way, line in told["load"].items():
            if way == "tfds":
                out.print("import tensorflow_datasets as tfds   # without ailab_dataproc")
            out.print(line, soft_wrap=True)
    elif told["defined"]:
        out.print(f"\nNot prepared yet. Run: ailab-dataproc prepare {told['name']}", soft_wrap=True)


def rows(names: list[str], hidden: list[str], found: list[dict[str, Any]]) -> None:
    """Rows of data: a line a row where it fits, otherwise a line a column."""
    out = console()
    cells = [[HIDDEN if name in hidden else cell(row[name]) for name in names] for row in found]
    widths = [max(cell_len(text) for text in (name, *(row[i] for row in cells))) + 2 for i, name in enumerate(names)]
    if sum(widths) <= out.width:
        table = bare_table(*names)
        for row in cells:
            table.add_row(*row)
        out.print(table)
        return
    beside = max(cell_len(name) for name in names) + 2
    many = min(max(1, (out.width - beside) // _NARROW), len(cells))
    room = min((out.width - beside) // many - 2, _CELL)
    for start in range(0, len(cells), many):
        block = cells[start : start + many]
        table = bare_table("column", *(f"row {start + i}" for i in range(len(block))))
        for i, name in enumerate(names):
            table.add_row(name, *(_short(row[i], room) for row in block))
        out.print(table)


def backends(measured: list[dict[str, Any]]) -> None:
    """The demo's table: how each backend did."""
    table = bare_table("backend", "returns", "rows>", "seconds>", "peak memory>")
    refused = [one for one in measured if one.get("refused")]
    for one in measured:
        if not one.get("refused"):
            numbers = (f"{one['rows']:,}", f"{one['seconds']:.2f}", count_bytes(one["peak"]))
            table.add_row(one["backend"], one["type"], *numbers)
    out = console()
    out.print(table)
    for one in refused:
        out.print(f"{one['backend']} refuses: {one['refused']}")


def findings(found: list[dict[str, Any]]) -> None:
    """What a review says, a row a finding."""
    table = bare_table("", "where", "found", "what to do")
    for name in range(1, 4):
        table.columns[name].overflow, table.columns[name].no_wrap = "fold", False
    for one in found:
        severity = Text(one["severity"], style="bold red" if one["severity"] == "error" else "yellow")
        table.add_row(severity, one["where"], one["what"], one["advice"])
    if found:
        console().print(table)


def plan(text: str) -> None:
    """A plan's explanation, its long lines hanging below their backend's name."""
    width = console().width
    first, *lines = text.split("\n")
    print(textwrap.fill(first, width, subsequent_indent="   "))
    for line in lines:
        indent = len(line) - len(line[3:].partition("  ")[2].lstrip())
        print(textwrap.fill(line, width, subsequent_indent=" " * indent))


def _checks(out: Console, checks: list[dict[str, Any]]) -> None:
    """What the rows were checked for, and what was found; before a version is prepared, what they will be."""
    if checks:
        table = bare_table("check", "level", "result", "rows that fail")
        for one in checks:
            result = one.get("result", "")
            found = spoken(one) if result else "not prepared yet"
            table.add_row(one["name"], one["level"], Text(result, style="" if result == PASSED else "bold red"), found)
        table.columns[3].overflow, table.columns[3].no_wrap = "fold", False
        out.print()
        out.print(table)


def _warnings(out: Console, told: dict[str, Any]) -> None:
    """What a reader should know before all else."""
    if told["version"] in told["deprecated"]:
        out.print(Text(f"! deprecated: {_why(told['deprecated'][told['version']])}", style="yellow"), soft_wrap=True)
    for name, why in told["made_from_deprecated"].items():
        out.print(Text(f"! made from {name}, which is deprecated: {why}", style="yellow"), soft_wrap=True)
    if told["problem"]:
        out.print(Text(f"! the definition fails: {told['problem']}", style="red"), soft_wrap=True)


def _versions(out: Console, told: dict[str, Any]) -> None:
    splits = ", ".join(f"{name}" if n is None else f"{name} {n:,} rows" for name, n in told["splits"].items())
    out.print(f"\nsplits      {splits}", soft_wrap=True)
    for one in told["prepared"]:
        size = ", ".join(f"{kind} {count_bytes(count)}" for kind, count in one["bytes"].items())
        out.print(f"prepared    {one['version']}: {sum(one['rows'].values()):,} rows, {size}", soft_wrap=True)
        out.print(f"            {_home(one['location'])}", soft_wrap=True)
    for version, notice in told["deprecated"].items():
        out.print(f"deprecated  {version}: {_why(notice)}", soft_wrap=True)
    for version, day in told["retired"].items():
        out.print(f"retired     {version}: {day[:10]}", soft_wrap=True)
    for version, note in told["release_notes"].items():
        out.print(f"new in      {version}: {note}", soft_wrap=True)


def _why(notice: dict[str, str]) -> str:
    return notice["reason"] + (f" (use {notice['use']})" if notice["use"] else "")


def bare_table(*names: str) -> Table:
    """A table without borders; a name that ends with > is a column of numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        justify: Any = "right" if name.endswith(">") else "left"
        table.add_column(name.rstrip(">"), justify=justify, no_wrap=True, overflow="ellipsis")
    return table


def _line(row: dict[str, Any]) -> list[str]:
    about = "(its definition fails, see below)" if row["problem"] else row["description"]
    rows_ = "-" if row["rows"] is None else f"{row['rows']:,}"
    where = _home(row["where"]) if row["where"] else "(only prepared)"
    return [row["name"], row["version"] or "-", rows_, row["owner"] or "-", where, about]


def _width(heads: list[str], cells: list[list[str]]) -> int:
    """Characters that these columns take, with the gaps."""
    return sum(max(cell_len(text) for text in (head, *(line[i] for line in cells))) + 2 for i, head in enumerate(heads))


def _short(text: str, room: int) -> Text:
    short = Text(text)
    short.truncate(room, overflow="ellipsis")
    return short


def cell(value: Any) -> str:
    """A value in one short line."""
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    if isinstance(value, list) and len(value) > _ITEMS:
        return f"[{', '.join(cell(one) for one in value[:_ITEMS])}, … {len(value)} values]"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = " ".join(str(value).split()) if value != "" else "''"
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # NaN and infinity aren't JSON
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)


def _home(path: str) -> str:
    """A path as people write it: from the home folder."""
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if home != "/" and path.startswith(home + "/") else path
