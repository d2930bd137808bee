"""A comparison of two versions as a page for people. ≈ marks what is no exact number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from ailab_dataproc.comparing.columns import Drift
from ailab_dataproc.comparing.comparison import ColumnChange, Comparison
from ailab_dataproc.comparing.drift import MOVED, MUCH
from ailab_dataproc.report import count_bytes
from ailab_dataproc.statistics_page import wrapped
from ailab_dataproc.tables import bare_table, console
from ailab_dataproc.wording import number as number_text

_STYLES = {"moved much": "bold red", "moved": "yellow", "stable": ""}
_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
_SHOWN = 5  # sources of a kind
_LEGEND = (
    f"PSI is the population stability index: below {MOVED} a column counts as stable, from {MUCH} on as moved much "
    "(Siddiqi 2006); what chance alone may do counts as stable, too. KS is the Kolmogorov-Smirnov distance, with its "
    "bounds. ≈ is an estimate from what statistics keep."
)


def comparison(found: Comparison, *, every: bool = False) -> None:
    """What `comparing.diff` found.

    Args:
        found: the comparison.
        every: show each column, also those that are stable.
    """
    out = console()
    out.print(Text(f"{found.dataset} {found.old} → {found.new}", style="bold"), soft_wrap=True)
    for version, why in found.deprecated.items():
        out.print(Text(f"! {version} is deprecated: {why}", style="yellow"), soft_wrap=True)
    for version, note in found.release_notes.items():
        out.print(f"new in      {version}: {note}", soft_wrap=True)
    out.print(f"made        {_made(found)}", soft_wrap=True)
    if found.made_from:
        before, after = (one or "plain sources" for one in found.made_from)
        out.print(f"made from   {before}, then {after}", soft_wrap=True)
    _amounts(out, found)
    _columns(out, found.columns)
    _sources(out, found)
    _drift(out, found, every)


def _made(found: Comparison) -> str:
    return f"with other {' and '.join(found.changed)}" if found.changed else "of the same"


def _amounts(out: Console, found: Comparison) -> None:
    """Rows by split and bytes by format, in one table."""
    table = bare_table("", f"{found.old}>", f"{found.new}>", "change>")
    for split, (old, new) in found.rows.items():
        table.add_row(f"{split} rows", *_cells(old, new, lambda count: f"{count:,}"))
    for kind, (old, new) in found.bytes.items():
        table.add_row(kind, *_cells(old, new, count_bytes))
    out.print()
    out.print(table)


def _cells(old: int | None, new: int | None, text: Any) -> tuple[str, str, str]:
    if old is None or new is None:
        change = "added" if old is None else "removed"
    elif old == new:
        change = ""
    else:
        change = f"{(new - old) / old:+.1%}" if old else "added"
    return ("-" if old is None else text(old), "-" if new is None else text(new), change)


def _columns(out: Console, changes: Sequence[ColumnChange]) -> None:
    if changes:
        out.print()
        out.print(Text("columns", style="bold"))
    for one in changes:
        mark, style = _MARKS[one.kind]
        line = Text.assemble(f"  {mark} {one.name}", style=style)
        place = {"added": 1, "removed": 0}.get(one.kind)
        if place is None:
            line.append("  " + "; ".join(f"{key}: {_said(a)} → {_said(b)}" for key, (a, b) in one.what.items()))
        else:
            line.append(f"  {one.what['type'][place]}" + ("  PII" if one.what.get("pii", (0, 0))[place] else ""))
        out.print(line, soft_wrap=True)


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "none" if value in (None, "") else str(value)


def _sources(out: Console, found: Comparison) -> None:
    if found.sources is None:
        out.print("\nsources     one of the versions kept no list of them")
        return
    kinds = {"added": found.sources.added, "removed": found.sources.removed, "changed": found.sources.changed}
    told = [f"{len(names):,} {kind}" for kind, names in kinds.items() if names]
    out.print(f"\nsources     {', '.join([*told, f'{found.sources.same:,} the same'])}", soft_wrap=True)
    for kind, names in kinds.items():
        mark, style = _MARKS[kind]
        for name in names[:_SHOWN]:
            out.print(Text(f"  {mark} {name}", style=style), soft_wrap=True)
        if len(names) > _SHOWN:
            out.print(Text(f"  {mark} … and {len(names) - _SHOWN:,} more", style=style))


def _drift(out: Console, found: Comparison, every: bool) -> None:
    if found.problem:
        out.print(f"\ndrift       {found.problem}", soft_wrap=True)
    shown = [one for one in found.drift if every or one.level != "stable"]
    for one in shown:
        out.print()
        for line in _block(one, out.width):
            out.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    rest = [f"{one.split} {one.column}" for one in found.drift if one not in shown]
    if rest:
        names = ", ".join(rest[:_SHOWN]) + (", …" if len(rest) > _SHOWN else "")
        out.print(f"\nstable      {len(rest):,} of {len(found.drift):,} columns: {names}", soft_wrap=True)
    if found.drift:
        out.print()
        out.print(Text(_LEGEND, style="dim"))


def _block(one: Drift, width: int) -> Iterator[Text]:
    """The lines of one column."""
    style = _STYLES[one.level]
    yield Text.assemble(
        (one.column, "bold"), f"  {one.split}  ", (one.level, style), f"  PSI {_about(one)}{one.psi:.3f}"
    )
    yield from wrapped(list(_facts(one)), width)
    most = one.moved_most
    if most.old != most.new:
        text = f"{most.name}: {_about(one)}{most.old:.1%} → {_about(one)}{most.new:.1%} of the rows"
        yield from wrapped([" ".join(text.split())], width)


def _facts(one: Drift) -> Iterator[str]:
    if one.ks:
        yield f"KS ≈ {one.ks.value:.3f} ({one.ks.least:.3f} to {one.ks.most:.3f})"
    if one.mean:
        shift = "" if one.mean_shift is None else f" ({one.mean_shift:+.2f} std)"
        yield f"mean {number_text(one.mean[0])} → {number_text(one.mean[1])}{shift}"
    if one.length and one.length[0] != one.length[1]:
        yield f"mean length {number_text(one.length[0])} → {number_text(one.length[1])}"
    nulls = [next((getattr(bin, which) for bin in one.bins if bin.name == "null"), 0.0) for which in ("old", "new")]
    if any(nulls):
        yield f"nulls {nulls[0]:.1%} → {nulls[1]:.1%}"
    if one.distinct and one.distinct[0] != one.distinct[1]:
        yield f"distinct ≈ {one.distinct[0]:,} → {one.distinct[1]:,}"
    if one.note:
        yield f"values aren't compared: {one.note}"


def _about(one: Drift) -> str:
    return "" if one.exact else "≈ "
