"""What runs a suite: each measurement in a fresh process, the ways of a case in turns, a line of results for each.

A suite is a script of this form; `ailab-dataproc bench run NAME` finds it by its line ``SUITE =``.

    SUITE = Suite(name="sort", file=__file__, about=__doc__, rows={"small": …, …}, points=points, measure=measure)
    if __name__ == "__main__":
        main(SUITE)

pytest-benchmark measures in its own process, one case after the other; pyperf's runner makes fresh processes, but lets
no two ways take turns, and sees the memory of one process only. Statistics are pyperf's: median and median deviation.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from machine import stamp
from process import Failed, fresh
from results import UNFINISHED, Result, open_output, read, write_line
from shown import tables
from space import check_space

from ailab_dataproc.errors import AilabError, InvalidRequest, require

SCALES = ("small", "medium", "large")
_FAILED, _BAD_INPUT, _LACKING, _INTERRUPTED = 1, 2, 3, 130  # exit codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one line of results is of; in each round a fresh process measures it once."""

    case: str
    way: str
    workers: int | None = None
    rows: int | None = None  # where a suite goes over sizes; else what `measure` returns
    needs: tuple[str, ...] = ()  # modules without which the point is refused
    extra: str = "bench"  # of this package, that brings them
    once: bool = False  # too slow for more than one round
    given: Mapping[str, Any] = field(default_factory=dict)  # what else `measure` must know: texts and numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What is measured: the functions of a script. Folders are empty at first, and their own of the number of rows."""

    name: str
    file: str  # of the script
    about: str | None  # its docstring
    rows: Mapping[str, int]  # by scale
    points: Callable[[argparse.Namespace], Iterable[Point]]  # of the options
    measure: Callable[[Point, Path], Mapping[str, Any]]  # in a fresh process: `Clock.line`
    prepare: Callable[[argparse.Namespace, Path], None] | None = None  # makes in a folder what is measured
    options: Callable[[argparse.ArgumentParser], None] | None = None  # adds the suite's own
    show: Callable[[list[Result]], str] = tables  # at the end, and for --show
    finish: Callable[[argparse.Namespace, list[Result]], None] | None = None  # when all is measured and kept
    rounds: int = 5
    disk: float = 0  # bytes a row, at most
    memory: float = 0  # bytes a row, at most; of the largest way
    lacks: Callable[[argparse.Namespace], str] | None = (
        None  # what is missing on this machine, in a sentence; nothing where it can run
    )
    limit: float = 1800  # seconds of a measurement


def main(suite: Suite, arguments: list[str] | None = None) -> None:
    """Run a suite's script; it ends with 1 where a measurement failed, 2: bad input, 3: not on this machine."""
    try:
        code = _main(suite, arguments)
    except AilabError as error:
        print(f"error: {error}", file=sys.stderr)
        code = _BAD_INPUT
    except KeyboardInterrupt:
        code = _INTERRUPTED
    sys.exit(code)


def parser(suite: Suite) -> argparse.ArgumentParser:
    """The options that all suites have, and the suite's own."""
    made = argparse.ArgumentParser(description=suite.about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--scale", choices=SCALES, default="medium", help=f"rows: {dict(suite.rows)}")
    made.add_argument("--rows", type=_count, help="in place of the scale's")
    made.add_argument("--rounds", type=_count, default=suite.rounds, help="default: %(default)s")
    made.add_argument("--output", type=Path, default=_default_output(suite), help="default: %(default)s")
    made.add_argument("--folder", type=Path, help="where data is made, and kept for the next run; else temporary")
    made.add_argument("--only", default="", metavar="TEXT", help="cases and ways whose name has this in it")
    made.add_argument("--make", action="store_true", help="make the data in --folder, and measure nothing")
    made.add_argument("--show", action="store_true", help="print the tables of results that are there")
    made.add_argument("--one", help=argparse.SUPPRESS)
    if suite.options:
        suite.options(made)
    return made


def _main(suite: Suite, arguments: list[str] | None) -> int:
    require("psutil", "bench")
    asked = parser(suite).parse_args(arguments)
    asked.rows = asked.rows or suite.rows[asked.scale]
    if asked.one:
        _answer(suite, json.loads(asked.one), asked.folder)
        return 0
    if asked.show:
        print(suite.show(read(asked.output)))
        return 0
    if asked.make:
        return _make(suite, asked)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a queue's time limit is an interruption, too
    if suite.lacks and (lack := suite.lacks(asked)):
        print(f"{suite.name}: {lack}", file=sys.stderr)
        return _LACKING
    with tempfile.TemporaryDirectory(prefix=f"bench-{suite.name}-") as temporary:
        return _run(suite, asked, asked.folder or Path(temporary))


def _make(suite: Suite, asked: argparse.Namespace) -> int:
    if asked.folder is None:
        raise InvalidRequest("--make: no folder was given, wanted one that keeps the data. Name it with --folder.")
    check_space(asked.folder, suite.disk * asked.rows, 0, f"{suite.name} with {asked.rows:,} rows")
    print(_prepared(suite, asked, asked.folder))
    return 0


def _run(suite: Suite, asked: argparse.Namespace, work: Path) -> int:
    partial = asked.output.with_name(asked.output.name.removesuffix(".jsonl") + UNFINISHED)
    points = [one for one in suite.points(asked) if asked.only in f"{one.case}, {one.way}"]
    if not points:
        print(f"{suite.name}: nothing to measure: no case or way has {asked.only!r} in its name.", file=sys.stderr)
        return _BAD_INPUT
    check_space(work, suite.disk * asked.rows, suite.memory * asked.rows, f"{suite.name} with {asked.rows:,} rows")
    marks: dict[str, Any] = {}
    done: list[Result] = []
    try:
        with open_output(partial) as file:
            marks = stamp(work)
            place = _prepared(suite, asked, work)
            for result in in_turns(suite, points, asked.rounds, place, marks):
                write_line(file, result)
                done.append(result)
    except KeyboardInterrupt:
        kept = f"{len(done)} line{'s' * (len(done) != 1)} kept in {partial}" if done else "nothing was measured yet"
        print(f"interrupted: {kept}", file=sys.stderr)
        return _INTERRUPTED
    finally:
        if partial.exists() and not partial.stat().st_size:
            partial.unlink()
    partial.replace(asked.output)
    print(suite.show(done))
    print(f"{asked.output}: {len(done)} lines", file=sys.stderr)
    if suite.finish:
        suite.finish(asked, done)
    return _FAILED if any(one.extra.get("failed") for one in done) else 0


def _prepared(suite: Suite, asked: argparse.Namespace, work: Path) -> Path:
    """The folder with what is measured; it is made once for a number of rows."""
    place = work / f"{suite.name}-{asked.rows}"
    ready = place / "ready"
    if suite.prepare and not ready.exists():
        place.mkdir(parents=True, exist_ok=True)
        suite.prepare(asked, place)
        ready.touch()
    return place


def in_turns(
    suite: Suite, points: list[Point], rounds: int, folder: Path, marks: Mapping[str, Any]
) -> Iterator[Result]:
    """Measure the points case by case; yields the results of a case when all its rounds are done.

    An interruption yields those of the case that was going on before it goes up.

    Args:
        suite: whose script is started.
        points: of any order; those of one case and number of rows take turns.
        rounds: in each, the order is another.
        folder: for `Suite.measure`.
        marks: date, commit and machine.
    """
    cases: dict[tuple[str, int | None], list[Point]] = {}
    for one in points:
        cases.setdefault((one.case, one.rows), []).append(one)
    for case in cases.values():
        runs: list[list[dict[str, Any]]] = [[] for _ in case]
        try:
            for number in range(rounds):
                # In another order each time: what a process pays for depends on what the one before left behind.
                for at in random.Random(number).sample(range(len(case)), len(case)):
                    if not number or not (case[at].once or "refused" in runs[at][0]):
                        runs[at].append(_measured(suite, case[at], folder))
                        _tell(number, rounds, case[at], runs[at][-1])
        except KeyboardInterrupt:
            yield from _results(suite, case, runs, marks)
            raise
        yield from _results(suite, case, runs, marks)


def _measured(suite: Suite, point: Point, folder: Path) -> dict[str, Any]:
    for module in point.needs:
        if not _is_here(module):
            return {"refused": f"{module} is not installed: pip install 'ailab_dataproc[{point.extra}]'"}
    try:
        return fresh([suite.file, "--one", json.dumps(asdict(point)), "--folder", str(folder)], suite.limit)
    except Failed as error:
        return {"refused": str(error), "extra": {"failed": True}}


def _answer(suite: Suite, told: dict[str, Any], folder: Path) -> None:
    """In the fresh process: measure, and print one line; what libraries print goes to stderr."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    point = Point(**(told | {"needs": tuple(told["needs"])}))
    try:
        found = dict(suite.measure(point, folder))
    except AilabError as error:
        found = {"refused": str(error)}
        if type(error).__name__ == "WrongAnswer":
            found = {"refused": f"wrong answer: {error}", "extra": {"failed": True}}
    answer.write(json.dumps(found) + "\n")
    answer.close()


def _results(
    suite: Suite, case: list[Point], runs: list[list[dict[str, Any]]], marks: Mapping[str, Any]
) -> Iterator[Result]:
    for point, of in zip(case, runs, strict=True):
        if of:
            yield _result(suite, point, of, marks)


def _result(suite: Suite, point: Point, runs: list[dict[str, Any]], marks: Mapping[str, Any]) -> Result:
    refusal = next((run for run in runs if "refused" in run), None)
    last = refusal or runs[-1]
    told = {"suite": suite.name, "case": point.case, "way": point.way, "workers": point.workers, **marks}
    told |= {"rows": last.get("rows") or point.rows, "bytes": last.get("bytes")}
    extra = dict(point.given) | dict(last.get("extra", {}))
    if refusal:
        return Result(**told, refused=refusal["refused"], extra=extra)
    for name, value in last.get("extra", {}).items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            extra[name] = [run["extra"].get(name) for run in runs]
    lists = {name: tuple(run[name] for run in runs) for name in ("seconds", "cpu_seconds", "peak_memory")}
    return Result(**told, **{name: tuple(x for x in of if x is not None) for name, of in lists.items()}, extra=extra)


def _tell(number: int, rounds: int, point: Point, run: Mapping[str, Any]) -> None:
    found = run["refused"] if "refused" in run else f"{run['seconds']:8.3f} s"
    workers = f", {point.workers} workers" if point.workers else ""
    print(f"{number + 1}/{rounds} {found}  {point.case} | {point.way}{workers}", file=sys.stderr, flush=True)


def _is_here(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None


def _default_output(suite: Suite) -> Path:
    here = Path(__file__).parent
    folder = Path("bench_results") if here.parent.name == "ailab_dataproc" else here / "results"
    return folder / f"{suite.name}.jsonl"


def _count(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
