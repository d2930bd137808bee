"""Results as Markdown tables: a table a case, a line a way."""

from __future__ import annotations

from collections.abc import Iterable

from results import Result, by_case
from spread import mad

from ailab_dataproc.report import count_bytes


def tables(results: list[Result]) -> str:
    """A table for each case: seconds with their spread, times the fastest, CPU time and peak memory."""
    return "\n\n".join("\n".join(_table(case, of)) for case, of in by_case(results))


def seconds(value: float) -> str:
    """A time for people, with three digits: ``12.3 s``, ``4.56 ms``."""
    if value >= 100:
        return f"{value:,.0f} s"
    if value >= 1:
        return f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def fastest(results: Iterable[Result]) -> dict[int | None, float]:
    """The least median of the seconds for each number of rows."""
    found: dict[int | None, float] = {}
    for one in results:
        if one.typical is not None:
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
        times = f"{one.typical / best[one.rows]:.2f}" if best[one.rows] else ""
        cpu = seconds(sum(one.cpu_seconds) / len(one.cpu_seconds)) if one.cpu_seconds else ""
        memory = count_bytes(int(one.memory)) if one.memory else ""
        yield f"| {label} | {seconds(one.typical)} | ± {seconds(mad(one.seconds))} | {times} | {cpu} | {memory} |"
