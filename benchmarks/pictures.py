"""The pictures of the report, drawn with Matplotlib: each with a title, what to see in it, and words in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import findings
from findings import Predicted, Scaling, Sweep, Versus
from results import Result, by_case
from shown import seconds
from spread import mad
from svg import COLOURS, MARKERS, PAGE, TEXT

from ailab_dataproc.report import count_bytes

_WIDE = 8.6  # inches
_BARS = 60  # at most, in one picture
_TIE = 7  # the colour and marker of what the rounds can't tell
_FAR = 30  # times between the least and the most, from which an axis is logarithmic


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of the report."""

    name: str  # of its file, and of its ids
    title: str
    look: str  # one sentence: what to see
    alt: str  # in place of it
    figure: Any


def of_suite(results: Sequence[Result]) -> Iterator[Picture]:
    """The pictures that the results of one suite allow."""
    suite = results[0].suite
    pairs = findings.versus(results)
    if len(pairs) > 1:
        yield _versus(suite, pairs)
    sweeps = findings.sweeps(results)
    for sweep in sweeps:
        yield _throughput(sweep)
        if sum(one.memory is not None for of in sweep.ways.values() for one in of) > 2:
            yield _memory(sweep)
    scalings = findings.scalings(results)
    yield from map(_speed_up, scalings)
    predictions = findings.predictions(results)
    if predictions:
        yield _predicted(suite, predictions)
    drawn = {one.case for one in (*sweeps, *scalings)}
    others = [one for one in results if one.typical and one.case not in drawn]
    if 1 < len(others) <= _BARS and suite != "gpu" and not predictions:
        yield _bars(suite, others)


def _axes(height: float, columns: int = 1, wide: float = _WIDE) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide, height))
    return figure, figure.subplots(1, columns)


def file_name(*parts: str) -> str:
    """Of a picture, and of its ids."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")


def _line(axes: Any, number: int, x: Sequence[float], y: Sequence[float], **options: Any) -> None:
    style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "markersize": 6}
    axes.plot(x, y, **(style | {"linewidth": 1.8} | options))


def key(figure: Any, axes: Any) -> None:
    """The legend below the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels), default=1)
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, min(4, len(labels), 100 // (longest + 8))))


def log_sizes(axis: Any, show: Any) -> None:
    """Label an axis with what `show` makes of its values."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    least, most = axis.get_view_interval()
    if axis.get_scale() == "log" and most < 50 * least:  # powers of ten alone would be too few
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))
    axis.set_minor_formatter(NullFormatter())


def _bytes(value: float) -> str:
    return count_bytes(int(value)).replace(".0 ", " ")


def _sizes(sweep: Sweep) -> Any:
    return _bytes if sweep.unit == "bytes" else lambda value: f"{value:,.0f}"


def _versus(suite: str, pairs: Sequence[Versus]) -> Picture:
    pairs = sorted(pairs, key=lambda one: one.ratio.value)
    labels = [f"{one.case}  ({one.peer.label})" for one in pairs]
    figure, axes = _axes(1.1 + 0.27 * len(pairs), wide=_WIDE if max(map(len, labels)) < 45 else 11)
    for row, one in enumerate(pairs):
        low, high = one.ratio.low or one.ratio.value, one.ratio.high or one.ratio.value
        style = {"faster": 0, "slower": 1}.get(one.verdict, _TIE)
        axes.plot([low, high], [row, row], color=COLOURS[style], linewidth=2, alpha=0.6)
        axes.plot(one.ratio.value, row, MARKERS[style], color=COLOURS[style], markersize=7)
    axes.set_yticks(range(len(pairs)), labels, fontsize=9)
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.axvline(1, color=TEXT, linewidth=1)
    axes.set_xscale("log")
    values = [value for one in pairs for value in (one.ratio.low, one.ratio.high, one.ratio.value) if value]
    axes.set_xlim(max(min(*values, 0.5), 0.02) / 1.1, min(max(*values, 2), 50) * 1.1)
    log_sizes(axes.xaxis, lambda value: f"{value:g} x")
    low, high = axes.get_xlim()
    axes.set_xticks([one for one in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if low <= one <= high])
    axes.set_xlabel("our time over that of the fastest peer (in brackets), log scale")
    return Picture(
        file_name(suite, "versus"),
        f"{suite}: ailab_dataproc beside the fastest peer",
        "Left of the line we are faster (circles), right of it the peer is (squares); "
        "where the 95 % interval crosses the line, the rounds can't tell (stars).",
        f"Our time over the fastest peer's in {len(pairs)} cases, the least first. The table has all numbers.",
        figure,
    )


def _throughput(sweep: Sweep) -> Picture:
    figure, axes = _axes(4.4)
    for number, (way, of) in enumerate(sweep.ways.items()):
        _line(axes, number, [sweep.size(one) for one in of], [sweep.speed(one) for one in of], label=way)
    crossings = sweep.crossings()
    for one in crossings:
        axes.axvline(one.size, color=TEXT, linewidth=1, linestyle=":")
        text = f"{findings.size(one.size, sweep.unit)}: {one.after}"
        box = {"facecolor": PAGE, "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        place = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom", "rotation": 90}
        axes.annotate(text, (one.size, 0.03), fontsize=9, bbox=box, **place)
    axes.set_xscale("log")
    axes.set_yscale("log")
    log_sizes(axes.xaxis, _sizes(sweep))
    log_sizes(axes.yaxis, lambda value: f"{value:,.10g}")
    axes.set_xlabel("size as Arrow, log scale" if sweep.unit == "bytes" else "rows, log scale")
    axes.set_ylabel("GB/s, log scale" if sweep.unit == "bytes" else "rows/s, log scale")
    key(figure, axes)
    marked = " Dotted lines: where another way becomes the fastest." if crossings else ""
    words = "; ".join(f"from {findings.size(one.size, sweep.unit)} on {one.after}" for one in crossings)
    return Picture(
        file_name(sweep.suite, sweep.case, "throughput"),
        f"{sweep.suite}: throughput over size, {sweep.case}",
        f"Higher is faster.{marked}",
        f"Throughput of {', '.join(sweep.ways)} over size. Fastest changes: {words or 'never'}.",
        figure,
    )


def _memory(sweep: Sweep) -> Picture:
    figure, axes = _axes(4.2)
    for number, (way, of) in enumerate(sweep.ways.items()):
        there = [one for one in of if one.memory]
        _line(axes, number, [sweep.size(one) for one in there], [one.memory or 0 for one in there], label=way)
    axes.set_xscale("log")
    axes.set_yscale("log")
    log_sizes(axes.xaxis, _sizes(sweep))
    log_sizes(axes.yaxis, _bytes)
    axes.set_xlabel("size as Arrow, log scale" if sweep.unit == "bytes" else "rows, log scale")
    axes.set_ylabel("peak memory, log scale")
    if sweep.unit == "bytes":
        sizes = sorted({sweep.size(one) for of in sweep.ways.values() for one in of})
        axes.plot(sizes, sizes, color=TEXT, linestyle="--", linewidth=1, label="the data itself")
    key(figure, axes)
    return Picture(
        file_name(sweep.suite, sweep.case, "memory"),
        f"{sweep.suite}: memory over size, {sweep.case}",
        "Peak memory of all processes together; lower is better, and a flat line is a way that needn't hold the data.",
        f"Peak memory of {', '.join(sweep.ways)} over size.",
        figure,
    )


def _speed_up(scaling: Scaling) -> Picture:
    figure, (left, right) = _axes(4.2, columns=2)
    most = max(workers for of in scaling.ways.values() for workers in of)
    left.plot([1, most], [1, most], color=TEXT, linestyle="--", linewidth=1, label="ideal")
    right.axhline(100, color=TEXT, linestyle="--", linewidth=1)
    for number, (way, of) in enumerate(scaling.ways.items()):
        low = [one.value - (one.low or one.value) for one in of.values()]
        high = [(one.high or one.value) - one.value for one in of.values()]
        values = [one.value for one in of.values()]
        _line(left, number, list(of), values, label=way)
        left.errorbar(list(of), values, [low, high], fmt="none", ecolor=COLOURS[number % len(COLOURS)], alpha=0.5)
        _line(right, number, list(of), [100 * one.value / workers for workers, one in of.items()])
    for axes in (left, right):
        axes.set_xticks(sorted({workers for of in scaling.ways.values() for workers in of}))
        axes.set_xlabel("workers")
    shares = [100 * one.value / workers for of in scaling.ways.values() for workers, one in of.items()]
    right.set_ylim(0, 1.12 * max(100, *shares))
    left.set_ylim(0, most * 1.25)
    left.set_ylabel("speed-up, times")
    right.set_ylabel("efficiency, % of ideal")
    key(figure, left)
    ends = "; ".join(f"{way} {of[max(of)].value:.2f} times with {max(of)}" for way, of in scaling.ways.items())
    return Picture(
        file_name(scaling.suite, scaling.case, "speed-up"),
        f"{scaling.suite}: speed-up over workers, {scaling.case}",
        "The nearer to the dashed line, the more each further worker brings; thin bars are 95 % intervals.",
        f"Speed-up over workers: {ends}.",
        figure,
    )


def _predicted(suite: str, found: Sequence[Predicted]) -> Picture:
    figure, axes = _axes(5, wide=6.4)
    groups: dict[str, list[Predicted]] = {}
    for one in found:
        groups.setdefault(one.label.rsplit(", ", 1)[-1], []).append(one)
    for number, (way, of) in enumerate(groups.items()):
        measured, predicted = [one.measured for one in of], [one.predicted for one in of]
        _line(axes, number, measured, predicted, linewidth=0, label=way, alpha=0.85)
    ends = [min(one.measured for one in found) / 1.3, max(one.measured for one in found) * 1.3]
    axes.plot(ends, ends, color=TEXT, linewidth=1)
    axes.fill_between(ends, [0.75 * one for one in ends], [1.25 * one for one in ends], color=TEXT, alpha=0.08)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        log_sizes(axis, _bytes)
    axes.set_xlabel("measured peak, log scale")
    axes.set_ylabel("predicted peak, log scale")
    key(figure, axes)
    return Picture(
        file_name(suite, "predicted"),
        f"{suite}: memory, predicted and measured",
        "On the line a prediction is right; the band is 25 % to either side; below it memory was underestimated.",
        f"Predicted over measured peak memory of {len(found)} loads.",
        figure,
    )


def _bars(suite: str, results: list[Result]) -> Picture:
    scaled = {id(one): 1e6 / (one.rows or 1) for _, of in by_case(results) if _differ(of) for one in of}

    def of_one(one: Result) -> float:
        return (one.typical or 0) * scaled.get(id(one), 1)

    figure, axes = grouped(
        results,
        of_one,
        lambda one: seconds(of_one(one)) + " a million rows" * (id(one) in scaled),
        lambda one: COLOURS[0 if findings.is_ours(one) else 7],
        lambda one: mad(one.seconds) * scaled.get(id(one), 1),
    )
    values = [of_one(one) or 1 for one in results]
    far = max(values) > _FAR * min(values)
    if far:
        axes.set_xscale("log")
    log_sizes(axes.xaxis, seconds)
    axes.set_xlabel("median of the rounds" + (", log scale" if far else ""))
    return Picture(
        file_name(suite, "times"),
        f"{suite}: times",
        "Shorter is faster; the thin line is the spread of the rounds. Blue is ailab_dataproc.",
        f"Median times of {len(results)} ways. The table has all numbers.",
        figure,
    )


def _differ(of: Sequence[Result]) -> bool:
    """Whether the ways of a case got different numbers of rows: the slow ones get fewer."""
    return None not in (rows := {one.rows for one in of}) and len(rows) > 1


def grouped(results: list[Result], value: Any, text: Any, colour: Any, spread: Any = None) -> tuple[Any, Any]:
    """Horizontal bars, with the name of each case above its ways."""
    rows = len(results) + 1.4 * len({one.case for one in results})
    figure, axes = _axes(0.9 + 0.25 * rows)
    at, ticks, labels = 0.0, [], []
    for case, of in by_case(results):
        axes.text(0, at, f" {case}", transform=axes.get_yaxis_transform(), fontweight="bold", va="center")
        at += 1
        for one in of:
            number = value(one)
            axes.barh(at, number, 0.72, color=colour(one), xerr=spread(one) if spread else None, ecolor=TEXT)
            far = number + (spread(one) if spread else 0)
            axes.annotate(text(one), (far, at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
            ticks.append(at)
            labels.append(one.label)
            at += 1
        at += 0.4
    axes.set_yticks(ticks, labels, fontsize=9)
    axes.set_ylim(at, -0.7)
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)
    return figure, axes
