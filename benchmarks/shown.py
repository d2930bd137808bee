"""Results as Markdown tables: a table a case, a line a way."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from results import Result, by_case
from spread import mad

from ailab_dataproc.report import count_bytes


def tables(results: list[Result]) -> str:
    """A table for each case: seconds with their spread, times the fastest, CPU time and peak memory."""
    return "\n\n".join("\n".join(_table(case, of)) for case, of in by_case(results))


def grid(corner: str, rows: Iterable[str], columns: Iterable[str], cell: Callable[[str, str], str]) -> str:
    """A table of rows by columns; `cell` gets the names of both."""
    names = list(columns)
    lines = [f"| {' | '.join([corner, *names])} |", "| --- " * (len(names) + 1) + "|"]
    lines += [f"| {' | '.join([row, *(cell(row, name) for name in names)])} |" for row in rows]
    return "\n".join(lines)


def seconds(value: float) -> str:
    """A time for people, with three digits: ``12.3 s``, ``4.56 ms``."""
    number, unit = (value, "s") if value >= 1 else (value * 1e3, "ms") if value >= 1e-3 else (value * 1e6, "µs")
    digits = 0 if number >= 100 else 1 if number >= 10 else 2
    return f"{number:,.{digits}f} {unit}"


def hours(value: float) -> str:
    """A long time for people: ``2.5 h``, ``7.0 min``, ``12 s``."""
    for unit, size in (("h", 3600), ("min", 60)):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:.0f} s"


def fastest(results: Iterable[Result]) -> dict[int | None, float]:
    """The least median of the seconds for each number of rows; what is no way but a floor below all doesn't count."""
    found: dict[int | None, float] = {}
    for one in results:
        if one.typical is not None and not one.extra.get("floor"):
            found[one.rows] = min(found.get(one.rows, one.typical), one.typical)
    return found


def _table(case: str, results: list[Result]) -> Iterable[str]:
    yield f"| {case} | median | spread | times the fastest | CPU | peak memory |"
    yield "| --- " * 6 + "|"
    best = fastest(results)
    several = len({one.rows for one in results if one.rows}) > 1
    for one in results:
        label = f"{one.label}, {one.rows:,} rows" if several and one.rows else one.label
        if one.typical is None:
            yield f"| {label} | {one.refused or 'nothing measured'} | | | | |"
            continue
        times = f"{one.typical / best[one.rows]:.2f}" if best.get(one.rows) else ""
        cpu = seconds(sum(one.cpu_seconds) / len(one.cpu_seconds)) if one.cpu_seconds else ""
        memory = count_bytes(int(one.memory)) if one.memory else ""
        spread = f"± {seconds(mad(one.seconds))}" if len(one.seconds) > 1 else ""
        yield f"| {label} | {seconds(one.typical)} | {spread} | {times} | {cpu} | {memory} |"
