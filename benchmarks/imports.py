"""What a fresh interpreter takes to import, to show --help and to load its first rows, beside its peers.

    python benchmarks/imports.py [--scale small] [--rounds 5] [--output benchmarks/results/imports.jsonl]

Each measurement starts a Python of its own and waits for its end; the memory is that process's largest resident set.
"first load" reads all columns of a small ad log, prepared by ailab_dataproc; the peers read its Parquet shards, TFDS
its TFRecord shards. The small scale leaves out what takes longest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clock import Clock, WrongAnswer
from harness import Point, Suite, main

LOG = "products/ad_log/impressions"
_OURS = "ailab_dataproc"
_IMPORTS = {
    "bare Python": "",
    _OURS: "import ailab_dataproc",
    "pyarrow.parquet": "import pyarrow.parquet",
    "pandas": "import pandas",
    "polars": "import polars",
    "duckdb": "import duckdb",
    "dask.dataframe": "import dask.dataframe",
    "HF datasets": "import datasets",
    "TFDS": "import tensorflow_datasets",
}
_HELP = {
    _OURS: "-m ailab_dataproc --help",
    "dask": "-m dask --help",
    "HF datasets": "-m datasets.commands.datasets_cli -h",
}
_ADP = f"import ailab_dataproc as adp; found = adp.load({LOG!r}, split='train', data_dir=%r, backend='{{}}')"
_LOADS = {  # the folder, or its Parquet files, is put in; `found` has rows
    "ailab_dataproc, arrow": _ADP.format("arrow"),
    "ailab_dataproc, pandas": _ADP.format("pandas"),
    "ailab_dataproc, polars": _ADP.format("polars"),
    "ailab_dataproc, dask": _ADP.format("dask"),
    "pyarrow": "import glob, pyarrow.parquet as pq; found = pq.read_table(sorted(glob.glob(%r)))",
    "pandas": "import glob, pandas as pd; found = pd.read_parquet(sorted(glob.glob(%r)))",
    "polars": "import polars as pl; found = pl.read_parquet(%r)",
    "duckdb": "import duckdb; found = duckdb.read_parquet(%r).to_arrow_table()",
    "TFDS": "import tensorflow_datasets as tfds; found = list(tfds.builder_from_directory(%r).as_dataset('train'))",
}
_SLOW = ("dask", "dask.dataframe", "HF datasets", "TFDS", "ailab_dataproc, dask")
_MODULES = {"HF datasets": "datasets", "TFDS": "tensorflow_datasets", "dask.dataframe": "dask", "pyarrow": "pyarrow"}
_PEAK = "; print([x for x in open('/proc/self/status') if x.startswith('VmHWM')][0].split()[1])"


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """All ways of the three cases."""
    for case, ways in {"import": _IMPORTS, "--help": _HELP, "first load": _LOADS}.items():
        for way, code in ways.items():
            if asked.scale != "small" or way not in _SLOW:
                yield Point(case=case, way=way, needs=_needs(way), given={"run": code, "floor": not code})


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """A small ad log in both formats."""
    import ailab_dataproc as adp

    given = {"train": f"synthetic:rows={asked.rows},seed=0", "test": "synthetic:rows=1,seed=1"}
    adp.prepare(LOG, data_dir=str(folder), sources=given)


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """Start a Python and wait for it; once before, so that files are in the memory of the system."""
    rows = None
    if point.case == "--help":
        command = [sys.executable, *point.given["run"].split()]
    elif point.case == "import":
        command = [sys.executable, "-c", (point.given["run"] or "pass") + _PEAK]
    else:
        rows = _rows(folder)
        place = folder / LOG / "1.0.0"
        place = {"TFDS": place, _OURS: folder}.get(point.way.split(",")[0], place / "parquet/train-*")
        command = [sys.executable, "-c", point.given["run"] % str(place) + "; print(len(found))" + _PEAK]
    _run(command)
    with Clock() as clock:
        told = _run(command)
    if rows and int(told[-2]) != rows:
        raise WrongAnswer(f"{told[-2]} rows, wanted {rows}")
    line = clock.line(rows=rows)
    line["extra"] = {}
    line["peak_memory"] = None if point.case == "--help" else int(told[-1]) * 1024
    return line


def _run(command: list[str]) -> list[str]:
    """The words that a process prints."""
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout.split()


def _rows(folder: Path) -> int:
    import ailab_dataproc as adp

    return int(adp.plan(LOG, split="train", data_dir=str(folder)).need.rows)


def _needs(way: str) -> tuple[str, ...]:
    name = way.rsplit(", ", maxsplit=1)[-1] if way.startswith(_OURS) else way
    return () if name in (_OURS, "bare Python", "arrow") else (_MODULES.get(name, name.split(".")[0]),)


SUITE = Suite(
    name="imports",
    file=__file__,
    about=__doc__,
    rows={"small": 1000, "medium": 1000, "large": 100_000},
    points=points,
    measure=measure,
    prepare=prepare,
    disk=2000,
    memory=10_000,
)

if __name__ == "__main__":
    main(SUITE)
