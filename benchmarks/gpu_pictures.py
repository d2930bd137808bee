"""The pictures of the gpu suite: GB/s of every way, beside what the machine reaches at best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gpu_findings as findings
from pictures import Picture, file_name, grouped, key, log_sizes
from results import Result
from svg import COLOURS, PAGE, TEXT

_GPU, _CPU, _PEER = COLOURS[0], COLOURS[7], COLOURS[2]
_LINES = (  # a limit, its colour, and the kinds of cases that it can bound
    ("disk", COLOURS[4], ("from files", "TPC-H", "spilling")),
    ("host to device, pageable", COLOURS[6], ("from files", "TPC-H", "spilling")),
    ("host to device, pinned", COLOURS[1], ("from files", "TPC-H", "spilling")),
    ("device to host, pinned", COLOURS[3], ("spilling",)),
    ("host to host", TEXT, ("from files", "TPC-H", "spilling", "in memory")),
    ("device to device", COLOURS[1], ("in memory",)),
)
_BOX = {"facecolor": PAGE, "edgecolor": "none", "alpha": 0.85, "pad": 0.6}  # behind texts that a line crosses


def of_suite(results: Sequence[Result]) -> Iterator[Picture]:
    """A picture for each kind of case; none for other suites."""
    limits, rest = findings.split(results)
    for kind in dict.fromkeys(one.extra.get("kind", "") for one in rest):
        yield _speeds(kind, [one for one in rest if one.extra.get("kind", "") == kind], limits)


def _speeds(kind: str, of: list[Result], limits: Sequence[Result]) -> Picture:
    def text(one: Result) -> str:
        part = findings.share(one, limits)
        return f"{findings.gb_per_second(one) or 0:,.3g}" + (f"  ({findings.percent(part)})" if part else "")

    figure, axes = grouped(of, lambda one: findings.gb_per_second(one) or 0, text, _colour)
    for colour, label in ((_GPU, "GPUs"), (_PEER, "GPUs, the library's own read_parquet"), (_CPU, "CPUs")):
        if any(_colour(one) == colour for one in of):
            axes.bar(0, 0, color=colour, label=label)
    told = "; ".join(_lines(axes, kind, limits)) or "not measured"
    axes.set_xscale("log")
    log_sizes(axes.xaxis, lambda value: f"{value:,.10g}")
    axes.set_xlabel("GB of Arrow a second, log scale")
    key(figure, axes)
    words = " ".join(["gpu: GB/s", *([kind] if kind else [])])
    best = max(of, key=lambda one: findings.gb_per_second(one) or 0)
    most = findings.speed(findings.gb_per_second(best) or 0)
    return Picture(
        file_name("gpu", kind, "limits"),
        f"{words}, beside the limits of the machine",
        "Longer bars are faster. Lines are what copies and the disk of this machine reach; in brackets, the part that "
        "a way reaches of its own limit: over the bus and from the disk the compressed bytes of the files count.",
        f"GB/s of {len(of)} ways, at most {most} ({best.case}, {best.label}); limits: {told}.",
        figure,
    )


def _lines(axes: Any, kind: str, limits: Sequence[Result]) -> Iterator[str]:
    """Draw the limits that can bound a kind of cases, and name them."""
    for name, colour, kinds in _LINES:
        for value in (findings.gb_per_second(one) or 0 for one in limits if one.way == name and kind in (*kinds, "")):
            told = f"{name}: {findings.speed(value)}"
            axes.axvline(value, color=colour, linestyle="--", linewidth=1.4, label=told)
            yield told
    for one in axes.texts:
        one.set_bbox(_BOX)


def _colour(one: Result) -> str:
    if not findings.on_gpu(one):
        return _CPU
    return _GPU if one.extra.get("ours") else _PEER
