"""tf.Transform over the ad log: how fast rows are analyzed, and how fast they go through the graph.

    python benchmarks/transform.py [--scale small|medium|large] [--rounds 3] [--output …/transform.jsonl]
    python benchmarks/transform.py --show    # the table of the README, from the results

A fresh process has done the same with 1,000 rows. "one pass" has one analyzer of each kind that each need one look at
the rows; "two passes" puts one on top of another, for which Beam keeps the rows. "tft alone" is
AnalyzeAndTransformDataset over the same batches with Beam's two threads; its rows are counted and dropped.
`grown` is the peak above what the process had before, so that imports and TensorFlow itself are left out.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from clock import Clock, WrongAnswer
from harness import Point, Suite, main
from results import Result
from shown import grid, seconds

import ailab_dataproc as adp
from ailab_dataproc.report import count_bytes, resident_memory

LOG = "products/ad_log/impressions"
USED = ["timestamp", "recent_items", "device", "country", "referrer", "price", "bid", "clicked"]
ALONE = "tft alone"
WAYS = {"ours, threads": "threads", "ours, inline": "inline", ALONE: None}
WARM = 1000  # rows


def one_pass(inputs: dict[str, Any]) -> dict[str, Any]:
    """Numbers, vocabularies, a cross, lists."""
    import tensorflow as tf
    import tensorflow_transform as tft

    crossed = tf.strings.join([inputs["device"], inputs["country"]], "x")
    return {
        "price": tft.scale_to_z_score(inputs["price"]),
        "bid": tft.bucketize(inputs["bid"], 10),
        "device": tft.compute_and_apply_vocabulary(inputs["device"]),
        "referrer": tft.compute_and_apply_vocabulary(inputs["referrer"], top_k=10_000, num_oov_buckets=1),
        "cross": tft.hash_strings(crossed, 100),
        "recent_items": inputs["recent_items"],
        "hour": inputs["timestamp"] // 3_600_000_000 % 24,
        "clicked": inputs["clicked"],
    }


def two_passes(inputs: dict[str, Any]) -> dict[str, Any]:
    """The same, and buckets of what was scaled."""
    import tensorflow_transform as tft

    made = one_pass(inputs)
    return made | {"price_bucket": tft.bucketize(made["price"], 10)}


FUNCTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"one pass": one_pass, "two passes": two_passes}


def points(asked: argparse.Namespace) -> Iterator[Point]:
    """Every way of each function."""
    for case in FUNCTIONS:
        for way in WAYS:
            yield Point(case=case, way=way, needs=("tensorflow", "tensorflow_transform"), extra="transform")


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """The ad log."""
    source = {"train": f"synthetic:rows={asked.rows},seed=0", "test": "synthetic:rows=1000,seed=1"}
    adp.prepare(LOG, data_dir=str(folder), sources=source, formats=("parquet",))


def measure(point: Point, folder: Path) -> dict[str, Any]:
    """Analyze and transform all rows."""
    function, runner = FUNCTIONS[point.case], WAYS[point.way]
    plan = adp.plan(LOG, split="train", columns=USED, data_dir=str(folder))
    _run(function, runner, f"train[:{WARM}]", folder)
    with Clock() as clock:
        before = resident_memory()
        rows, told = _run(function, runner, "train", folder)
    if rows != plan.need.rows:
        raise WrongAnswer(f"{rows} rows, wanted {plan.need.rows}")
    return clock.line(rows=rows, bytes=plan.need.bytes, grown=clock.peak_memory - before, **told)


def _run(function: Any, runner: str | None, split: str, folder: Path) -> tuple[int, dict[str, float]]:
    """Rows, and the seconds of the steps where they are known."""
    if runner is None:
        return _tft_alone(function, adp.plan(LOG, split=split, columns=USED, data_dir=str(folder)).selection), {}
    name = f"bench/r{time.time_ns()}"
    given: dict[str, Any] = {"split": split, "runner": runner, "formats": ("parquet",), "data_dir": str(folder)}
    report = adp.transform(LOG, function, name=name, version="1.0.0", **given)
    shutil.rmtree(folder / name)
    steps = {step["name"]: step["seconds"] for step in report.steps}
    return report.rows["train"], {"analyze_seconds": steps["analyze"], "apply_seconds": steps["write"]}


def _tft_alone(function: Any, selection: Any) -> int:
    import apache_beam as beam
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    from ailab_dataproc.preparation.transform import analysis

    flags = ["--direct_running_mode=multi_threading", "--direct_num_workers=2"]
    with tempfile.TemporaryDirectory() as temporary:
        with (
            beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags)) as pipeline,
            tft_beam.Context(temp_dir=temporary),
        ):
            rows = pipeline | beam.Create(list(selection.parts)) | beam.FlatMap(analysis.read_batches, selection.schema)
            given = (rows, analysis.tensor_config(selection.schema))
            (made, _), _ = given | tft_beam.AnalyzeAndTransformDataset(function, output_record_batches=True)
            counts = made | beam.Map(lambda one: one[0].num_rows) | beam.CombineGlobally(sum)
            _ = counts | beam.io.WriteToText(f"{temporary}/count", shard_name_template="")
        return int(Path(temporary, "count").read_text())


def show(results: list[Result]) -> str:
    """By case and way: seconds, rows/s of the steps, and the memory above what the process had."""
    found = {f"{one.case}, {one.way}": one for one in results}

    def cell(name: str, what: str) -> str:
        one = found[name]
        if one.typical is None or not one.rows:
            return (one.refused or "") if what == "whole" else ""
        if what == "peak above":
            return count_bytes(int(one.number("grown") or 0))
        took = one.typical if what == "whole" else one.number(f"{what}_seconds")
        return f"{seconds(took)}, {one.rows / took / 1000:,.0f} k rows/s" if took else ""

    return grid("tf.Transform", found, ("whole", "analyze", "apply", "peak above"), cell)


SUITE = Suite(
    name="transform",
    file=__file__,
    about=__doc__,
    rows={"small": 20_000, "medium": 250_000, "large": 2_500_000},
    points=points,
    measure=measure,
    prepare=prepare,
    show=show,
    rounds=3,
    disk=500,
    memory=6000,  # tf.Transform alone keeps much of each row
)

if __name__ == "__main__":
    main(SUITE)
