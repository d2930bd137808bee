"""Results of the gpu suite in the terminal: GB/s, the share of the machine's limits, the GPU's memory."""

from __future__ import annotations

from collections.abc import Iterator

import gpu_findings as findings
from results import Result, by_case
from shown import seconds
from spread import mad

from ailab_dataproc.report import count_bytes


def show(results: list[Result]) -> str:
    """A Markdown table for each case."""
    limits, _ = findings.split(results)
    return "\n\n".join("\n".join(_table(case, of, limits)) for case, of in by_case(results))


def _table(case: str, results: list[Result], limits: list[Result]) -> Iterator[str]:
    yield f"| {case} | median | spread | GB/s of Arrow | of what is possible | memory of GPUs |"
    yield "| --- " * 6 + "|"
    for one in results:
        if one.typical is None:
            yield f"| {one.label} | {one.refused or 'nothing measured'} | | | | |"
            continue
        share, memory = findings.share(one, limits), one.number("device_memory")
        cells = [
            seconds(one.typical),
            f"± {seconds(mad(one.seconds))}",
            f"{findings.gb_per_second(one) or 0:.3g}",
            f"{findings.percent(share)} of {one.extra['limit']}" if share else "",
            count_bytes(int(memory)) if memory else "",
        ]
        yield f"| {one.label} | {' | '.join(cells)} |"
