"""Make one HTML page of results, which needs nothing else: words, pictures, tables, and a comparison with a baseline.

python benchmarks/report.py RESULTS… [--output report.html] [--baseline RESULTS] [--png FOLDER]
"""

from __future__ import annotations

import argparse
import ast
import base64
import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import findings
import gpu_findings
import gpu_pictures
import pictures
from compare import Comparison, Line, compare, hardware
from results import Result, by_case, open_output, read_all
from shown import fastest, hours, seconds
from spread import mad
from svg import SETTINGS, inline
from verdicts import sentences, verdicts

from ailab_dataproc.errors import AilabError, InvalidRequest, StorageFailed, require
from ailab_dataproc.report import count_bytes

_HERE = Path(__file__).parent
_BAD_INPUT = 2


def main(arguments: list[str] | None = None) -> int:
    """Write the page, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="*", type=Path, default=[_HERE / "results"], help="files or folders")
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"))
    parser.add_argument("--baseline", type=Path, help="an earlier run")
    parser.add_argument("--png", type=Path, help="a folder that gets the pictures, too")
    asked = parser.parse_args(arguments)
    try:
        for module in ("jinja2", "matplotlib"):
            require(module, "bench")
        results, skipped = read_all(asked.results)
        baseline = read_all([asked.baseline])[0] if asked.baseline else None
        text = page(results, baseline, skipped, asked.png)
        with open_output(asked.output) as file:
            file.write(text)
    except AilabError as error:
        print(f"error: {error}", file=sys.stderr)
        return _BAD_INPUT
    for one in skipped:
        print(f"left out: {one}", file=sys.stderr)
    print(asked.output)
    return 0


def page(
    results: Sequence[Result],
    baseline: Sequence[Result] | None = None,
    skipped: Sequence[str] = (),
    png: Path | None = None,
) -> str:
    """The page as text.

    Args:
        results: what it shows.
        baseline: what it is compared with.
        skipped: sentences on files that were left out.
        png: a folder for the pictures.

    Raises:
        InvalidRequest: there are no results.
        StorageFailed: the pictures can't be written.
    """
    import jinja2
    from markupsafe import Markup

    if not results:
        raise InvalidRequest(f"no results of this format: {' '.join(skipped) or 'the files are empty.'}")
    paper = [one for one in results if one.on_paper]
    results = [one for one in results if not one.on_paper]
    css = (_HERE / "report.css").read_text(encoding="utf-8")
    loader = jinja2.FileSystemLoader(_HERE)
    template = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template(
        "report.html.jinja"
    )
    compared = compare(baseline, results) if baseline is not None else None
    dates = sorted({one.date for one in results}) or [paper[0].date]
    commits = sorted({one.commit for one in results if one.commit})
    return template.render(
        title="Benchmarks of ailab_dataproc",
        subtitle=f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"
        + (f", commit {' and '.join(commits)}" if commits else "")
        + f"; {len(results)} lines of {len({one.suite for one in results})} suites.",
        css=Markup(css),  # noqa: S704 - our own file
        css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        summary=_summary(results, compared),
        comparison=compared,
        changed=[*compared.worse, *compared.better] if compared else [],
        show=lambda line, value: seconds(value) if line.measure == "time" else count_bytes(int(value)),
        suites=[_suite(name, of, png) for name, of in _by_suite(results)],
        paper=_paper(paper),
        has_gpu=any(gpu_findings.on_gpu(one) for one in results),
        machines=_machines(results or paper),
        skipped=skipped,
    )


def _summary(results: Sequence[Result], compared: Comparison | None) -> list[tuple[str, list[str]]]:
    """What was found, by heading; regressions first."""
    found = [("Against the baseline", list(_changes(compared)))]
    found += [
        (name, [*findings.sentences(of), *gpu_findings.sentences(of), *sentences(verdicts(of))])
        for name, of in _by_suite(results)
    ]
    found += [("How sure", [*findings.noise(results), *_refusals(results)])]
    return [(name, sentences) for name, sentences in found if sentences]


def _by_suite(results: Sequence[Result]) -> Iterator[tuple[str, list[Result]]]:
    for name in dict.fromkeys(one.suite for one in results):
        yield name, [one for one in results if one.suite == name]


def _suite(name: str, results: list[Result], png: Path | None) -> dict[str, Any]:
    return {
        "name": name,
        "about": _about(name),
        "count": len(results),
        "rows": list(_rows(results)),
        "verdicts": _verdicts(results),
        "pictures": [_picture(one, png) for one in _drawn(results)],
    }


def _drawn(results: list[Result]) -> list[pictures.Picture]:
    import matplotlib as mpl

    with mpl.rc_context(SETTINGS):
        return [*pictures.of_suite(results), *gpu_pictures.of_suite(results)]


def _picture(one: pictures.Picture, png: Path | None) -> dict[str, Any]:
    import matplotlib as mpl
    from markupsafe import Markup

    with mpl.rc_context(SETTINGS | {"svg.hashsalt": one.name}):
        if png:
            try:
                png.mkdir(parents=True, exist_ok=True)
                one.figure.savefig(png / f"{one.name}.png", dpi=150)
            except OSError as error:
                raise StorageFailed(f"{png}: can't be written ({error.strerror}). Name another folder.") from error
        drawn = inline(one.figure, one.name, one.title, one.alt)
    return {"title": one.title, "look": one.look, "svg": Markup(drawn)}  # noqa: S704 - its texts are escaped


def _about(suite: str) -> str:
    """The first line of the docstring of a suite's script; nothing for a suite that isn't here."""
    file = _HERE / f"{suite}.py"
    if not file.exists():
        return ""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.split("\n", maxsplit=1)[0].replace("`", "")


def _rows(results: list[Result]) -> Iterator[dict[str, Any]]:
    for case, of in by_case(results):
        yield {"case": case}
        best = fastest(of)
        for one in of:
            if one.typical is None:
                yield {"way": one.label, "refused": one.refused or "nothing was measured"}
                continue
            least = best.get(one.rows)
            cells = [
                f"{one.rows:,}" if one.rows else "",
                seconds(one.typical),
                f"± {seconds(mad(one.seconds))}" if len(one.seconds) > 1 else "",
                str(len(one.seconds)),
                f"{one.typical / least:.2f}" if least else "",
                seconds(sum(one.cpu_seconds) / len(one.cpu_seconds)) if one.cpu_seconds else "",
                count_bytes(int(one.memory)) if one.memory else "",
            ]
            told = {"way": one.label, "refused": None, "cells": cells}
            yield told | {"ours": findings.is_ours(one), "best": one.typical == least}


def _verdicts(results: list[Result]) -> dict[str, Any] | None:
    """What "auto" took at each size beside what its ladder would have taken."""
    found = verdicts(results)
    if not found:
        return None
    names = list(dict.fromkeys(name for one in found for name in one.times))
    rows = [
        {
            "size": f"{one.asked.rows:,}",
            "ladder": one.asked.extra["ladder"].replace(",", ", "),
            "choice": one.choice or one.asked.refused,
            "right": one.right,
            "cells": [one.cell(name) for name in names],
        }
        for one in found
    ]
    return {"head": names, "rows": rows}


def _paper(results: list[Result]) -> dict[str, Any] | None:
    """What a model says of clusters that nobody has seen: the table, and what it assumes."""
    if not results:
        return None
    assumed = results[0].extra["assumed"]
    told = f"{assumed['cores'] // assumed['workers']} cores and {assumed['network'] / 1e9:g} GB/s of network a worker"
    workers = sorted({one.workers or 0 for one in results})
    return {
        "assumed": f"{told}, {assumed['bucket'] / 1e9:g} GB/s of the bucket for all together, "
        f"{assumed['scheduler'] * 1e3:.1f} ms of the scheduler for each task",
        "head": [f"{one} workers" for one in workers],
        "rows": [(case.removeprefix("on paper: "), [_paper_cell(one) for one in of]) for case, of in by_case(results)],
    }


def _paper_cell(one: Result) -> str:
    return f"{hours(one.typical or 0)}, cores {one.extra['efficiency']:.0%} busy; {one.extra['bottleneck']}"


def _refusals(results: Sequence[Result]) -> Iterator[str]:
    refused = [one for one in results if one.refused]
    failed = [one for one in refused if one.extra.get("failed")]
    if failed:
        names = "; ".join(f"{one.suite}, {one.case}, {one.label}" for one in failed[:5])
        yield f"Failed, or returned a wrong answer: {len(failed)} ways ({names})."
    if len(refused) > len(failed):
        yield f"Not measured: {len(refused) - len(failed)} ways; the tables say why (such as a missing peer)."


def _changes(found: Comparison | None) -> Iterator[str]:
    if found is None:
        return
    counted = f"{len(found.worse)} worse and {len(found.better)} better, of {len(found.lines)} measures"
    yield f"{counted}."
    if found.worse:
        more = f" and {len(found.worse) - 5} more, below" if len(found.worse) > 5 else ""
        yield f"Become worse, the most first: {'; '.join(map(_change, found.worse[:5]))}{more}."


def _change(one: Line) -> str:
    return f"{one.suite}, {one.case}, {one.way}: {one.ratio.value:.2f} times the {one.measure}"


def _machines(results: Sequence[Result]) -> dict[str, Any]:
    """A column for each machine with its versions, and the suites that were measured there."""
    found: dict[str, list[Result]] = {}
    for one in results:
        key = repr((hardware(one.machine), one.machine.get("python"), sorted(one.machine.get("versions", {}).items())))
        found.setdefault(key, []).append(one)
    firsts = [of[0].machine for of in found.values()]
    names = sorted({name for one in firsts for name in one.get("versions", {})})
    rows = [("suites", [", ".join(dict.fromkeys(one.suite for one in of)) for of in found.values()])]
    rows += [("machine", [hardware(one) for one in firsts]), ("disk", [str(one.get("disk", "")) for one in firsts])]
    rows += [("Python", [str(one.get("python", "")) for one in firsts])]
    rows += [(name, [one.get("versions", {}).get(name, "") for one in firsts]) for name in names]
    return {"columns": [f"machine {number + 1}" for number in range(len(firsts))], "rows": rows}


if __name__ == "__main__":
    sys.exit(main())
