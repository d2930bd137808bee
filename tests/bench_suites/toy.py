"""A suite for tests: ways that wait a little, one with a wrong answer, one that dies, one without its library."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from clock import WrongAnswer, clocked
from harness import Point, Suite, main

from ailab_dataproc.errors import BackendRefused

WAYS = ("ailab_dataproc", "peer", "wrong", "refusing", "dying", "missing")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log", type=Path)
    parser.add_argument("--wait", type=float, default=0.001)


def points(asked: argparse.Namespace) -> Iterator[Point]:
    for case in ("first", "second"):
        for way in WAYS:
            needs = ("no_such_module",) if way == "missing" else ()
            given = {"log": str(asked.log or ""), "wait": asked.wait}
            yield Point(case=case, way=way, needs=needs, once=way == "peer" and case == "second", given=given)


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    (folder / "made").write_text(str(asked.rows))


def check(result: str) -> None:
    if result != "right":
        raise WrongAnswer(f"found {result}, wanted right")


def measure(point: Point, folder: Path) -> dict[str, Any]:
    print("a library that talks")
    if point.given["log"]:
        with open(point.given["log"], "a") as file:
            file.write(f"{point.case} {point.way}\n")
    if point.way == "refusing":
        raise BackendRefused("peer: refuses lists, wanted none. Take another.")
    if point.way == "dying":
        left = subprocess.Popen(["sleep", "300"])
        (folder / "left").write_text(str(left.pid))
        os.kill(os.getpid(), 9)
    rows = int((folder / "made").read_text())

    def work() -> str:
        time.sleep(point.given["wait"])
        return "wrong" if point.way == "wrong" else "right"

    return clocked(work, check=check, rows=rows, bytes=rows * 8)


SUITE = Suite(
    name="toy",
    file=__file__,
    about=__doc__,
    rows={"small": 10, "medium": 100, "large": 1000},
    points=points,
    measure=measure,
    prepare=prepare,
    options=options,
    rounds=3,
    lacks=lambda asked: os.environ.get("TOY_LACKS", ""),
)

if __name__ == "__main__":
    main(SUITE)
