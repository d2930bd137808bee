"""tf.Transform over the ad log: how fast rows are analyzed, and how fast they go through the graph.

    python benchmarks/transform.py [--rows 1000000] [--rounds 3] [--output benchmarks/results/transform.jsonl]

Every measurement is a fresh process; imports are not counted. "one pass" has one analyzer of each kind that each need
one look at the rows; "two passes" puts one on top of another, for which Beam keeps the rows. "tft alone" is
AnalyzeAndTransformDataset over the same batches with Beam's two threads, whose result is dropped.
`peak_memory` is above what the process had before, so that imports and TensorFlow itself are left out.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from importlib import metadata
from typing import Any

import fresh
from machine import write_results

import ailab_dataproc as adp
from ailab_dataproc import storage
from ailab_dataproc.manifest import open_prepared
from ailab_dataproc.report import peak_memory
from ailab_dataproc.selecting import Request, select

LOG = "products/ad_log/impressions"


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


FUNCTIONS = {"one pass": one_pass, "two passes": two_passes}
CASES = [(function, way) for function in FUNCTIONS for way in ("threads", "inline", "tft alone")]


def main() -> None:
    """Measure all cases in turns, and print them."""
    options = fresh.parser("transform", __doc__, nargs=3, metavar=("FUNCTION", "WAY", "FOLDER"))
    options.add_argument("--rows", type=int, default=1_000_000)
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(_measure(*asked.one)))
        return
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-transform-") as work:
        made = {"train": f"synthetic:rows={asked.rows},seed=0", "test": "synthetic:rows=1000,seed=1"}
        adp.prepare(LOG, data_dir=work, sources=made, formats=("parquet",))
        for number in range(asked.rounds):
            for case in CASES:
                result = fresh.measured(__file__, *case, work)
                found.setdefault(case, []).append(result)
                print(f"round {number + 1} {case} {json.dumps(result)}", file=sys.stderr)
    write_results([_summary(*case, asked.rows, runs) for case, runs in found.items()], asked.output)


def _summary(function: str, way: str, rows: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = {key: statistics.median(run[key] for run in runs) for key in runs[0] if key.endswith("_seconds")}
    speeds = {key.replace("_seconds", "_rows_per_second"): round(rows / value) for key, value in seconds.items()}
    peaks = {key: max(run[key] for run in runs) for key in ("peak_memory", "arrow_bytes")}
    version = metadata.version("tensorflow-transform")
    case = {"suite": "transform", "function": function, "way": way, "rows": rows, "rounds": len(runs), "tft": version}
    return case | {key: round(value, 2) for key, value in seconds.items()} | speeds | peaks


def _measure(function: str, way: str, work: str) -> dict[str, Any]:

    from ailab_dataproc.preparation.transform.analysis import Graph

    prepared = open_prepared(storage.folder(work), LOG)
    used = Graph(FUNCTIONS[function], function, prepared.name, prepared.schema).used()
    selected = select(prepared, Request(split="train", columns=used))
    before = peak_memory()
    if way == "tft alone":
        found = _tft_alone(FUNCTIONS[function], selected.selection)
    else:
        found = _ours(FUNCTIONS[function], way, work)
    return found | {"peak_memory": peak_memory() - before, "arrow_bytes": selected.need.bytes}


def _ours(function: Any, way: str, work: str) -> dict[str, float]:
    name = f"bench/r{time.time_ns()}"
    formats = ("parquet",)
    given: dict[str, Any] = {"split": "train", "runner": way, "formats": formats, "data_dir": work}
    report = adp.transform(LOG, function, name=name, version="1.0.0", **given)
    steps = {step["name"]: step["seconds"] for step in report.steps}
    return {"analyze_seconds": steps["analyze"], "apply_seconds": steps["write"], "whole_seconds": report.seconds}


def _tft_alone(function: Any, selection: Any) -> dict[str, float]:
    import apache_beam as beam
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    from ailab_dataproc.preparation.transform import analysis

    flags = ["--direct_running_mode=multi_threading", "--direct_num_workers=2"]
    started = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as temporary,
        beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags)) as pipeline,
        tft_beam.Context(temp_dir=temporary),
    ):
        rows = pipeline | beam.Create(list(selection.parts)) | beam.FlatMap(analysis.read_batches, selection.schema)
        given = (rows, analysis.tensor_config(selection.schema))
        (made, _), _ = given | tft_beam.AnalyzeAndTransformDataset(function, output_record_batches=True)
        _ = made | beam.combiners.Count.Globally()
    return {"whole_seconds": time.perf_counter() - started}


if __name__ == "__main__":
    main()
