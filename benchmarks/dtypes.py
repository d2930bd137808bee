"""What a pandas frame's columns are best held as: Arrow-backed, NumPy's dtypes, or pandas' own defaults.

    python benchmarks/dtypes.py [--rows 2000000] [--rounds 3] [--output benchmarks/results/dtypes.jsonl]

Everyday steps on the ad log, in turns; every measurement is a fresh process, and each step's second run counts.
"""

from __future__ import annotations

import json
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import fresh
import numpy as np
import pandas as pd
from machine import write_results

import ailab_dataproc as adp
from ailab_dataproc.report import peak_memory

LOG = "products/ad_log/impressions"
NUMBERS = ["position", "price", "bid", "item"]
WAYS = ("arrow", "numpy", "default")
STEPS: dict[str, Callable[[pd.DataFrame], Any]] = {
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


def main() -> None:
    """Measure every way, in turns, and print a table."""
    options = fresh.parser("dtypes", __doc__, nargs=2, metavar=("WAY", "FOLDER"))
    options.add_argument("--rows", type=int, default=2_000_000)
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(_measure(*asked.one)))
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="bench-dtypes-") as work:
        adp.prepare(LOG, data_dir=work, sources={"train": f"synthetic:rows={asked.rows},seed=0"}, formats=("parquet",))
        for _ in range(asked.rounds):
            for way in WAYS:
                found[way].append(fresh.measured(__file__, way, work))
    middle = {way: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for way, runs in found.items()}
    write_results(
        [{"suite": "dtypes", "rows": asked.rows, "way": way} | one for way, one in middle.items()], asked.output
    )
    print(f"{'':24}" + "".join(f"{way:>10}" for way in WAYS))
    for key in middle["arrow"]:
        print(f"{key:24}" + "".join(f"{middle[way][key]:10.3f}" for way in WAYS))


def _measure(way: str, work: str) -> dict[str, float]:
    _load(way, work, "train[:1000]")  # imports are not what is measured
    started = time.perf_counter()
    frame = _load(way, work, "train")
    found = {"load": time.perf_counter() - started}
    found["peak GB of the load"] = peak_memory() / 1e9
    for name, step in STEPS.items():
        step(frame)
        started = time.perf_counter()
        step(frame)
        found[name] = time.perf_counter() - started
    return found


def _load(way: str, work: str, split: str) -> pd.DataFrame:
    if way != "default":
        return adp.load(LOG, split=split, backend="pandas", dtypes=way, data_dir=work)
    parts = adp.plan(LOG, split=split, backend="pandas", data_dir=work).selection.parts
    return pd.read_parquet([part.folder.path(part.path) for part in parts])


def _items(frame: pd.DataFrame) -> pd.DataFrame:
    items = frame[["item"]].drop_duplicates()
    return items.assign(weight=1.0)


if __name__ == "__main__":
    main()
