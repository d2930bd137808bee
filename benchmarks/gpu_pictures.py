"""The pictures of the gpu suite: GB/s of every way, beside what the machine reaches at best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import gpu_findings as findings
from pictures import Picture, file_name, grouped, key, log_sizes
from results import Result
from svg import COLOURS, TEXT

_GPU, _CPU, _PEER = COLOURS[0], COLOURS[7], COLOURS[2]
_INSIDE = ("device to device", "host to host")  # limits of what is in memory already
_DASHES = ("--", ":", "-.", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))


def of_suite(results: Sequence[Result]) -> Iterator[Picture]:
    """A picture for each kind of case; none for other suites."""
    limits, rest = findings.split(results)
    for kind in dict.fromkeys(one.extra.get("kind", "") for one in rest):
        inside = kind == "in memory"
        lines = [one for one in limits if inside == (one.way in _INSIDE) or one.way == "host to host"]
        yield _speeds(kind, [one for one in rest if one.extra.get("kind", "") == kind], limits, lines)


def _speeds(kind: str, of: list[Result], limits: Sequence[Result], lines: Sequence[Result]) -> Picture:
    def text(one: Result) -> str:
        part = findings.share(one, limits)
        return f"{findings.gb_per_second(one) or 0:,.3g}" + (f"  ({part:.1%})" if part else "")

    figure, axes = grouped(of, lambda one: findings.gb_per_second(one) or 0, text, _colour)
    for colour, label in ((_GPU, "GPUs"), (_PEER, "GPUs, the library's own read_parquet"), (_CPU, "CPUs")):
        if any(_colour(one) == colour for one in of):
            axes.bar(0, 0, color=colour, label=label)
    for dashes, one in zip(_DASHES, lines, strict=False):
        value = findings.gb_per_second(one) or 0
        axes.axvline(value, color=TEXT, linestyle=dashes, linewidth=1.2, label=f"{one.way}: {findings.speed(value)}")
    axes.set_xscale("log")
    log_sizes(axes.xaxis, lambda value: f"{value:,.10g}")
    axes.set_xlabel("GB of Arrow a second, log scale")
    key(figure, axes)
    title = f"gpu: GB/s {kind}, beside the limits of the machine".replace("  ", " ")
    best = max(of, key=lambda one: findings.gb_per_second(one) or 0)
    most = findings.speed(findings.gb_per_second(best) or 0)
    told = "; ".join(f"{one.way} {findings.speed(findings.gb_per_second(one) or 0)}" for one in lines)
    return Picture(
        file_name("gpu", kind, "limits"),
        title.replace(" ,", ","),
        "Longer bars are faster. Lines are what copies and the disk of this machine reach; in brackets, the part that "
        "a way reaches of its own limit: over the bus and from the disk the compressed bytes of the files count.",
        f"GB/s of {len(of)} ways, at most {most} ({best.case}, {best.label}); limits: {told or 'not measured'}.",
        figure,
    )


def _colour(one: Result) -> str:
    if not findings.on_gpu(one):
        return _CPU
    return _GPU if one.extra.get("ours") else _PEER
