"""Prepare the ad log with ailab_dataproc, plain pyarrow, Polars and TFDS's own Beam preparation, side by side.

    python benchmarks/prepare.py [--rows 4000000] [--rounds 3] [--output benchmarks/results/prepare.jsonl]

Sources: "log" is the built-in generator itself, "csv" and "parquet" are files of its rows. "dicts" gets them one by one
from a `read` that yields dicts, and a tenth of them; TFDS gets a sample.
Every measurement is a fresh process that first does the same with a few rows (TFDS: imports only), so that imports are
not counted; the start of Beam's workers is.
The ways take turns, so that a noisy machine disturbs all alike. Each way's rows are counted before its time is kept.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fresh
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from machine import write_results

import ailab_dataproc as adp
from ailab_dataproc import catalog
from ailab_dataproc.report import peak_memory
from ailab_dataproc.settings import load_settings

LOG = "products/ad_log/impressions"
SOURCES = 8
SCHEMA_FILE = "schema.arrow"
ROWS_FILE = "rows"


def main() -> None:
    """Measure all ways on both kinds of sources and print a table."""
    options = fresh.parser("prepare", __doc__, nargs=3, metavar=("WAY", "KIND", "FOLDER"))
    options.add_argument("--rows", type=int, default=4_000_000)
    options.add_argument(
        "--tfds-rows", type=int, default=20_000, help="TFDS gets a sample: it is slow and keeps all in memory"
    )
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(_measure(*asked.one)))
        return
    with tempfile.TemporaryDirectory(prefix="bench-prepare-") as work:
        _make_sources(Path(work), asked.rows, asked.tfds_rows)
        results = _rounds(Path(work), asked.rounds)
    write_results(results, asked.output)
    _show(results)


def _make_sources(work: Path, rows: int, tfds_rows: int) -> None:
    """The log as files: Parquet as it is, CSV without its lists."""
    adp.prepare(
        LOG, data_dir=str(work / "log"), sources={"train": f"synthetic:rows={rows},seed=0"}, formats=("parquet",)
    )
    table = adp.load(LOG, data_dir=str(work / "log"), split="train", backend="arrow")
    flat = table.select([one.name for one in table.schema if not pa.types.is_list(one.type)])
    for kind, whole in (("parquet", table), ("csv", flat)):
        folder = work / kind
        folder.mkdir()
        (folder / SCHEMA_FILE).write_bytes(whole.schema.serialize().to_pybytes())
        step = -(-rows // SOURCES)
        for number in range(SOURCES):
            part = whole.slice(number * step, step)
            _write_source(part, folder / f"{number:02d}.{kind}")
        _write_source(whole.slice(0, tfds_rows), folder / f"sample.{kind}")
        _write_source(whole.slice(0, rows // 10), folder / f"tenth.{kind}")
        _write_source(whole.slice(0, 1000), folder / f"warm.{kind}")
    shutil.rmtree(work / "log")
    (work / "log").mkdir()
    (work / "log" / ROWS_FILE).write_text(str(rows))


def _write_source(part: pa.Table, path: Path) -> None:
    if path.suffix == ".csv":
        pa_csv.write_csv(part, path)
    else:
        pq.write_table(part, path, row_group_size=131_072)


def _rounds(work: Path, rounds: int) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number in range(rounds):
        for kind, way in CASES:
            result = fresh.measured(__file__, way, kind, work)
            found.setdefault((kind, way), []).append(result)
            print(f"round {number + 1} {kind:7} {way:28} {result['rows_per_second']:>12,.0f} rows/s", file=sys.stderr)
    return [_summary(kind, way, runs) for (kind, way), runs in found.items()]


def _summary(kind: str, way: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    speeds = [run["rows_per_second"] for run in runs]
    return {
        "suite": "prepare",
        "sources": kind,
        "way": way,
        "rows": runs[0]["rows"],
        "rows_per_second": statistics.median(speeds),
        "all": speeds,
        "peak_memory": max(run["peak_memory"] for run in runs),
    }


def _measure(way: str, kind: str, work: str) -> dict[str, Any]:
    folder = Path(work) / kind
    target = Path(tempfile.mkdtemp(dir=work))
    run = WAYS[way]
    try:
        if way != TFDS:
            run(folder, kind, target / "warm", True)
        begin = run if way != TFDS else _tfds_builder(folder, kind, target)
        started = time.perf_counter()
        rows = begin(folder, kind, target / "real", False) if way != TFDS else begin()
        seconds = time.perf_counter() - started
    finally:
        shutil.rmtree(target)
    return {"rows": rows, "seconds": seconds, "rows_per_second": rows / seconds, "peak_memory": peak_memory()}


def _schema(folder: Path) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer((folder / SCHEMA_FILE).read_bytes()))


def _files(folder: Path, kind: str, warm: bool) -> str:
    return str(folder / f"{'warm' if warm else '[0-9]*'}.{kind}")


def _log_rows(folder: Path, warm: bool) -> str:
    rows = 1000 if warm else int((folder / ROWS_FILE).read_text())
    return f"synthetic:rows={rows},seed=0"


def _ours(runner: str, formats: tuple[str, ...], workers: int | None = None, *, dicts: bool = False) -> Any:
    def prepared(folder: Path, kind: str, target: Path, warm: bool) -> int:
        if kind == "log":
            dataset: Any = LOG
            sources = {"train": _log_rows(folder, warm), "test": "synthetic:rows=1,seed=1"}
        else:
            splits = {"train": str(folder / f"tenth.{kind}") if dicts and not warm else _files(folder, kind, warm)}
            read = _read_dicts if dicts else None
            dataset = adp.Dataset(name="bench/log", version="1.0.0", schema=_schema(folder), splits=splits, read=read)
            sources = {}
        options = {"runner": runner, "workers": workers, "formats": formats}
        done = adp.prepare(dataset, data_dir=str(target), sources=sources, **options)
        return done.rows["train"]

    return prepared


def _read_dicts(source: adp.Source) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(source.local_path).iter_batches(10_000):
        yield from batch.to_pylist()


def _polars(folder: Path, kind: str, target: Path, warm: bool) -> int:
    """One file, both cores, with the same compression."""
    import polars as pl

    files = sorted(glob.glob(_files(folder, kind, warm)))
    target.mkdir()
    rows = pl.scan_csv(files, try_parse_dates=True) if kind == "csv" else pl.scan_parquet(files)
    rows.sink_parquet(target / "all.parquet", compression="zstd", compression_level=1)
    return int(pq.read_metadata(target / "all.parquet").num_rows)


def _pyarrow_loop(folder: Path, kind: str, target: Path, warm: bool) -> int:
    """What one writes by hand: each source into one Parquet file, with the same writer settings."""
    target.mkdir()
    rows = 0
    for number, table in enumerate(_tables(folder, kind, warm)):
        texts = [one.name for one in table.schema if pa.types.is_string(one.type)]
        pq.write_table(
            table,
            target / f"{number:05d}.parquet",
            compression="zstd",
            compression_level=1,
            use_dictionary=texts,
            max_rows_per_page=20_000,
            row_group_size=1_000_000,
        )
        rows += len(table)
    return rows


def _tables(folder: Path, kind: str, warm: bool) -> Iterator[pa.Table]:
    if kind == "log":
        dataset = catalog.find(LOG, load_settings())
        for source in dataset.sources("train", _log_rows(folder, warm)):
            yield pa.Table.from_batches(dataset.read(source))
        return
    plain = _schema(folder).remove_metadata()
    for path in sorted(glob.glob(_files(folder, kind, warm))):
        csv = kind == "csv"
        read = pa_csv.open_csv(path, convert_options=_typed(plain)) if csv else pq.ParquetFile(path).iter_batches()
        yield pa.Table.from_batches([batch.cast(plain) for batch in read], plain)


def _typed(schema: pa.Schema) -> pa_csv.ConvertOptions:
    types = {one.name: one.type for one in schema}
    return pa_csv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)


def _tfds_builder(folder: Path, kind: str, target: Path) -> Callable[[], int]:
    """TFDS's own way: a Beam pipeline of rows, its writer, TFRecord; on a sample."""
    schema = _schema(folder)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import apache_beam as beam
    import tensorflow_datasets as tfds
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    from ailab_dataproc.preparation.tfds import features

    path = str(folder / f"sample.{kind}")

    class BenchLog(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            return tfds.core.DatasetInfo(builder=self, features=features(schema))

        def _split_generators(self, _: Any) -> dict[str, Any]:
            return {"train": beam.Create([path]) | beam.FlatMap(_tfds_rows, kind, schema)}

        def _generate_examples(self) -> Any:
            raise NotImplementedError

    builder = BenchLog(data_dir=str(target))
    config = tfds.download.DownloadConfig(
        beam_runner=FnApiRunner(), beam_options=beam.options.pipeline_options.PipelineOptions([])
    )

    def begin() -> int:
        builder.download_and_prepare(download_config=config)
        return int(builder.info.splits["train"].num_examples)

    return begin


def _tfds_rows(path: str, kind: str, schema: pa.Schema) -> Any:
    table = pa_csv.read_csv(path, convert_options=_typed(schema)) if kind == "csv" else pq.read_table(path)
    for one in schema:
        if pa.types.is_timestamp(one.type):
            at = table.schema.get_field_index(one.name)
            table = table.set_column(at, one.name, table[one.name].cast(pa.timestamp(one.type.unit)).cast(pa.int64()))
    for batch in table.to_batches(4096):
        yield from ((f"{id(batch)}-{i}", row) for i, row in enumerate(batch.to_pylist()))


TFDS = "TFDS with Beam (sample)"
LOOP = "pyarrow loop, 1 process"
POLARS = "Polars, both cores"
DICTS = "dicts, Parquet"
BOTH = ("parquet", "tfrecord")
WAYS: dict[str, Any] = {
    LOOP: _pyarrow_loop,
    POLARS: _polars,
    "Parquet, 1 thread": _ours("threads", ("parquet",), 1),
    "Parquet, 2 threads": _ours("threads", ("parquet",), 2),
    "Parquet, 1 process": _ours("processes", ("parquet",), 1),
    "Parquet, 2 processes": _ours("processes", ("parquet",), 2),
    "both formats, 1 thread": _ours("threads", BOTH, 1),
    "both formats, 2 threads": _ours("threads", BOTH, 2),
    "both formats, 2 processes": _ours("processes", BOTH, 2),
    DICTS + ", 2 threads": _ours("threads", ("parquet",), 2, dicts=True),
    TFDS: None,
}
ONLY = {POLARS: ("csv", "parquet"), DICTS + ", 2 threads": ("parquet",), TFDS: ("csv", "parquet")}  # else all kinds
CASES = [(kind, way) for kind in ("log", "csv", "parquet") for way in WAYS if kind in ONLY.get(way, (kind,))]


def _show(results: list[dict[str, Any]]) -> None:
    base = {(one["sources"], one["way"]): one["rows_per_second"] for one in results}
    base["log", TFDS] = base["parquet", TFDS]  # the same rows
    print(f"{'sources':8} {'way':28} {'rows/s':>12} {'x pyarrow':>10} {'x TFDS':>8} {'peak MB':>8}")
    for one in results:
        kind, speed = one["sources"], one["rows_per_second"]
        against = [speed / base[kind, way] for way in (LOOP, TFDS)]
        ratios = f"{against[0]:10.2f} {against[1]:8.1f} {one['peak_memory'] / 1e6:8.0f}"
        print(f"{kind:8} {one['way']:28} {speed:12,.0f} {ratios}")


if __name__ == "__main__":
    main()
