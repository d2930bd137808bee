"""The ways to prepare the ad log: ailab_dataproc, a loop of pyarrow, Polars, and TFDS's own Beam preparation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

import ailab_dataproc as adp
from ailab_dataproc import catalog
from ailab_dataproc.settings import load_settings

LOG = "products/ad_log/impressions"
CHECK = "item"  # a column whose sum is compared
KINDS = {"log": "from the generator", "csv": "from CSV", "parquet": "from Parquet"}  # of sources, and their cases
FILES = ("csv", "parquet")
SCHEMA = "schema.arrow"
PARQUET, BOTH = ("parquet",), ("parquet", "tfrecord")
TFDS = "TFDS with Beam"
DICTS = "ours, dicts, Parquet, threads"

Begin = Callable[[], int]  # prepares, and returns the rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one measurement prepares."""

    kind: str
    part: str  # of the sources: all, tenth, sample, warm
    rows: int  # of the part
    folder: Path  # of the sources of this kind
    target: Path
    workers: int | None = None
    order: str = "source"

    @property
    def files(self) -> list[str]:
        """The sources, in order."""
        pattern = "[0-9]*" if self.part == "all" else self.part
        return sorted(str(file) for file in self.folder.glob(f"{pattern}.{self.kind}"))

    @property
    def schema(self) -> pa.Schema:
        """Of the sources."""
        return pa.ipc.read_schema(pa.py_buffer((self.folder / SCHEMA).read_bytes()))

    @property
    def generated(self) -> dict[str, str]:
        """The sources of the built-in generator."""
        return {"train": f"synthetic:rows={self.rows},seed=0", "test": "synthetic:rows=1,seed=1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How it is prepared, and for which sources."""

    begin: Callable[[Job], Begin]  # what it does itself isn't measured
    kinds: tuple[str, ...] = tuple(KINDS)
    part: str = "all"
    workers: bool = False  # over all cores
    one: bool = False  # by one worker, too
    needs: tuple[str, ...] = ()
    extra: str = "bench"
    warmed: bool = True  # by a run with a few rows


def found(target: Path) -> tuple[int, int]:
    """Rows of the Parquet files that were written, and the sum of a column."""
    rows = total = 0
    for file in [*target.glob("*.parquet"), *target.glob("**/1.0.0/parquet/train-*.parquet")]:
        column = pq.ParquetFile(file).read([CHECK])[CHECK]
        rows, total = rows + len(column), total + sum(column.to_numpy().tolist())
    return rows, total


def _ours(runner: str, formats: tuple[str, ...], read: Any = None) -> Callable[[Job], Begin]:
    def way(job: Job) -> Begin:
        given = {"runner": runner, "workers": job.workers, "formats": formats, "data_dir": str(job.target)}
        if job.kind == "log":
            dataset, sources = replace(catalog.find(LOG, load_settings()), order=job.order), job.generated
        else:
            splits, sources = {"train": job.files}, {}
            dataset = adp.Dataset(name="bench/log", version="1.0.0", schema=job.schema, splits=splits, read=read)
        return lambda: adp.prepare(dataset, sources=sources, **given).rows["train"]

    return way


def _dicts(source: adp.Source) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(source.local_path).iter_batches(10_000):
        yield from batch.to_pylist()


def _polars(job: Job) -> Begin:
    """One file, all cores, with the same compression."""
    import polars as pl

    def begin() -> int:
        job.target.mkdir()
        csv = job.kind == "csv"
        rows = pl.scan_csv(job.files, try_parse_dates=True) if csv else pl.scan_parquet(job.files)
        rows.sink_parquet(job.target / "all.parquet", compression="zstd", compression_level=1)
        return int(pq.read_metadata(job.target / "all.parquet").num_rows)

    return begin


def _pyarrow_loop(job: Job) -> Begin:
    """What one writes by hand: each source into one Parquet file, with the same writer settings."""

    def begin() -> int:
        job.target.mkdir()
        rows = 0
        for number, table in enumerate(_tables(job)):
            texts = [one.name for one in table.schema if pa.types.is_string(one.type)]
            pq.write_table(
                table,
                job.target / f"{number:05d}.parquet",
                compression="zstd",
                compression_level=1,
                use_dictionary=texts,
                max_rows_per_page=20_000,
                row_group_size=1_000_000,
            )
            rows += len(table)
        return rows

    return begin


def _tables(job: Job) -> Iterator[pa.Table]:
    if job.kind == "log":
        dataset = catalog.find(LOG, load_settings())
        for source in dataset.sources("train", job.generated["train"]):
            yield pa.Table.from_batches(dataset.read(source))
        return
    plain = job.schema.remove_metadata()
    for path in job.files:
        csv = job.kind == "csv"
        read = pa_csv.open_csv(path, convert_options=_typed(plain)) if csv else pq.ParquetFile(path).iter_batches()
        yield pa.Table.from_batches([batch.cast(plain) for batch in read], plain)


def _typed(schema: pa.Schema) -> pa_csv.ConvertOptions:
    types = {one.name: one.type for one in schema}
    return pa_csv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)


def _tfds(job: Job) -> Begin:
    """TFDS's own way: a Beam pipeline of rows, its writer, TFRecord."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import apache_beam as beam
    import tensorflow_datasets as tfds
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    from ailab_dataproc.preparation.tfds import features

    schema, (path,), kind = job.schema, job.files, job.kind

    class BenchLog(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            return tfds.core.DatasetInfo(builder=self, features=features(schema))

        def _split_generators(self, _: Any) -> dict[str, Any]:
            return {"train": beam.Create([path]) | beam.FlatMap(_tfds_rows, kind, schema)}

        def _generate_examples(self) -> Any:
            raise NotImplementedError

    builder = BenchLog(data_dir=str(job.target))
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


WAYS: dict[str, Way] = {
    "pyarrow loop, 1 process": Way(begin=_pyarrow_loop),
    "Polars, all cores": Way(begin=_polars, kinds=FILES, needs=("polars",)),
    "ours, Parquet, threads": Way(begin=_ours("threads", PARQUET), workers=True, one=True),
    "ours, Parquet, processes": Way(begin=_ours("processes", PARQUET), workers=True, one=True),
    "ours, both formats, threads": Way(begin=_ours("threads", BOTH), workers=True, one=True),
    "ours, both formats, processes": Way(begin=_ours("processes", BOTH), workers=True),
    DICTS: Way(begin=_ours("threads", PARQUET, _dicts), kinds=("parquet",), part="tenth", workers=True),
    TFDS: Way(
        begin=_tfds,
        kinds=FILES,
        part="sample",
        needs=("apache_beam", "tensorflow", "tensorflow_datasets"),
        extra="beam,tensorflow",
        warmed=False,  # by its imports alone: a pipeline of it takes seconds
    ),
}
