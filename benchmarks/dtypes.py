"""What a pandas frame's columns are best held as: Arrow-backed, NumPy's dtypes, or pandas' own defaults.

    python benchmarks/dtypes.py [--scale small|medium|large] [--rounds 3] [--output benchmarks/results/dtypes.jsonl]
    python benchmarks/dtypes.py --show    # the table of the README, from the results

Everyday steps on the ad log, each in a process of its own that has done the step once. The table has CPU seconds of all
threads, so that other people's work on the machine counts less. What a step returns is compared with what it returned
for the kind of frame that came first: how long it is, and the sum of its numbers.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from clock import WrongAnswer, clocked
from harness import Point, Suite, main
from results import Result
from shown import grid, seconds
from spread import median

import ailab_dataproc as adp
from ailab_dataproc.report import count_bytes

LOG = "products/ad_log/impressions"
NUMBERS = ["position", "price", "bid", "item"]
WAYS = {"ours, Arrow-backed": "arrow", "ours, dtypes='numpy'": "numpy", "pandas read_parquet": None}
LOAD, PEAK = "load", "peak memory of the load"
STEPS: dict[str, Callable[[Any], Any]] = {
    "group-by sum": lambda frame: frame.groupby("item")[["bid", "price"]].sum(),
    "group-by text": lambda frame: frame.groupby("country", observed=True)["bid"].mean(),
    "sort_values": lambda frame: frame.sort_values("user"),
    "merge": lambda frame: frame[["item", "bid"]].merge(_items(frame), on="item"),
    "boolean filter": lambda frame: frame[(frame["price"] > 1000) & frame["clicked"]],
    "str.contains": lambda frame: frame["query"].str.contains("shoes", regex=False),
    "str.upper": lambda frame: frame["query"].str.upper(),
    "value_counts": lambda frame: frame["referrer"].value_counts(),
    "describe": lambda frame: frame[NUMBERS].describe(),
    "times: dt.hour": lambda frame: frame["timestamp"].dt.hour,
    "to_numpy": lambda frame: [frame[name].to_numpy() for name in [*NUMBERS, "dwell_seconds"]],
    "times: to_numpy": lambda frame: frame["timestamp"].to_numpy("datetime64[us]"),
    "np.asarray of columns": lambda frame: np.asarray(frame[NUMBERS]),
    "arithmetic": lambda frame: frame["price"] * frame["bid"] + frame["position"],
    "pickle": lambda frame: pickle.loads(pickle.dumps(frame[NUMBERS], 5)),  # noqa: S301 - our own bytes
}
_ANSWERS = "answers"  # a folder: a file a case


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """The load and every step, on each kind of frame."""
    for case in (LOAD, *STEPS):
        for way in WAYS:
            yield Point(case=case, way=way, needs=("pandas",), extra="pandas", rows=asked.rows)


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """The ad log."""
    source = {"train": f"synthetic:rows={asked.rows},seed=0", "test": "synthetic:rows=1,seed=1"}
    adp.prepare(LOG, data_dir=str(folder), sources=source, formats=("parquet",))
    (folder / _ANSWERS).mkdir(exist_ok=True)


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """A load, or a step on a frame that it has been done on."""
    kind, first = WAYS[point.way], folder / _ANSWERS / f"{point.case}.json"

    def check(result: Any) -> None:
        found = answer(result)
        if not first.exists():
            first.write_text(json.dumps(found))
        wanted = json.loads(first.read_text())
        if not all(math.isclose(*pair, rel_tol=1e-3) for pair in zip(found, wanted, strict=True)):
            raise WrongAnswer(f"{found}, wanted {wanted}")

    if point.case == LOAD:
        _load(kind, folder, "train[:1000]")
        return clocked(lambda: _load(kind, folder, "train"), check=check, rows=point.rows)
    frame, step = _load(kind, folder, "train"), STEPS[point.case]
    return clocked(lambda: step(frame), warm_up=lambda: step(frame), check=check, rows=point.rows)


def answer(result: Any) -> list[float]:
    """How long a result is, and the sum of its numbers, whatever holds them."""
    import pandas as pd

    if isinstance(result, list):
        return [number for one in result for number in answer(one)]
    if isinstance(result, pd.DataFrame):
        return [number for name in result for number in answer(result[name])]
    values = np.asarray(result).ravel()
    if values.dtype.kind == "M":
        values = values.astype("datetime64[us]").astype(np.int64)
    numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy("float64", na_value=np.nan)
    return [float(len(values)), float(np.nansum(numbers))]


def _load(kind: str | None, folder: Path, split: str) -> Any:
    if kind:
        return adp.load(LOG, split=split, backend="pandas", dtypes=kind, data_dir=str(folder))
    import pandas as pd

    parts = adp.plan(LOG, split=split, backend="pandas", data_dir=str(folder)).selection.parts
    return pd.read_parquet([part.folder.path(part.path) for part in parts])


def _items(frame: Any) -> Any:
    items = frame[["item"]].drop_duplicates()
    return items.assign(weight=1.0)


def show(results: list[Result]) -> str:
    """CPU seconds by step and kind of frame, and the memory of the load."""
    found = {(one.case, one.way): one for one in results}
    cases, ways = (list(dict.fromkeys(key[at] for key in found)) for at in (0, 1))

    def cell(case: str, way: str) -> str:
        one = found.get((LOAD if case == PEAK else case, way))
        if one is None:
            return ""
        if case == PEAK:
            return count_bytes(int(one.memory)) if one.memory else ""
        return seconds(median(one.cpu_seconds)) if one.cpu_seconds else "refused"

    return grid("CPU time", [*cases[:1], PEAK, *cases[1:]] if cases[0] == LOAD else cases, ways, cell)


SUITE = Suite(
    name="dtypes",
    file=__file__,
    about=__doc__,
    rows={"small": 100_000, "medium": 2_000_000, "large": 20_000_000},
    points=points,
    measure=measure,
    prepare=prepare,
    show=show,
    rounds=3,
    disk=60,
    memory=1000,  # the frame twice, as sorting makes it
)

if __name__ == "__main__":
    main(SUITE)
