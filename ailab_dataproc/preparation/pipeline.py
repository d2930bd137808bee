"""Dataset to finished version: sources, tasks, Beam, then index, TFDS metadata and, last, the manifest."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ailab_dataproc import schema as contract
from ailab_dataproc.dataset import Dataset, Source, is_pii, meaning, shape, unit
from ailab_dataproc.definition import module_text
from ailab_dataproc.errors import InvalidRequest, StorageFailed, VersionConflict, require, unknown
from ailab_dataproc.manifest import INDEX, MANIFEST, SOURCES, Manifest, read_manifest
from ailab_dataproc.preparation import runners
from ailab_dataproc.preparation.fingerprint import fingerprint, fingerprint_parts, identify
from ailab_dataproc.preparation.progress import watched
from ailab_dataproc.preparation.tasks import Layout, Task, find_sources, make_tasks
from ailab_dataproc.preparation.write import FAILURES, RECEIPTS, Job, index_schema, raise_failure, read_receipt
from ailab_dataproc.report import Report, peak_memory, versions
from ailab_dataproc.storage import Folder, HashingFile, checksum, local_path

FORMATS = ("parquet", "tfrecord")
_RECORDED = ("ailab_dataproc", "pyarrow", "numpy", "apache-beam", "tensorflow-datasets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a dataset is prepared; none of it but `formats` and `layout` changes a byte."""

    runner: str = "threads"
    workers: int | None = None  # None: every core that this process may use
    formats: tuple[str, ...] = FORMATS
    layout: Layout = field(default_factory=Layout)
    sources: Mapping[str, Sequence[str]] | None = None  # in place of the definition's
    storage_options: Mapping[str, Any] | None = None
    progress: bool = False


def prepare_dataset(dataset: Dataset, data_dir: Folder, options: Options) -> Report:
    """Make a version of a dataset, or find that it is there already.

    Args:
        dataset: the definition.
        data_dir: where ``<name>/<version>/`` is made.
        options: runner, formats, sources.

    Raises:
        VersionConflict: the version exists, made from something else.
        InvalidData, SourceFailed: a source doesn't fit; nothing is left behind.
        StorageFailed: a source doesn't exist, or the data directory can't be written.
    """
    started = time.perf_counter()
    workers = runners.check_runner(options.runner, options.workers)
    if not data_dir.is_local:
        raise InvalidRequest(
            f"{data_dir.url}: data is prepared in a folder only, so far. Prepare there and copy it up."
        )
    _check_formats(dataset, options.formats)
    sources = identify(find_sources(dataset, options.sources, dict(options.storage_options or {})))
    parts = fingerprint_parts(dataset, sources, options.layout, options.formats)
    final = data_dir / dataset.name / dataset.version
    if final.exists(MANIFEST):
        return _reused(final, read_manifest(final), parts)
    require("apache_beam", "beam")
    job = _job(dataset, _stage(data_dir, dataset, parts), options)
    tasks = make_tasks(sources, options.layout)
    _run(job, tasks, options, workers)
    made = _Made(dataset, job, parts, options, workers, started)
    return _publish(made, tasks, sources, final)


@dataclass(frozen=True, slots=True)
class _Made:
    """What the tasks have made, on its way to a version."""

    dataset: Dataset
    job: Job
    parts: Mapping[str, str]
    options: Options
    workers: int
    started: float  # seconds of the performance counter


def _check_formats(dataset: Dataset, formats: Sequence[str]) -> None:
    contract.check_types(dataset.schema, dataset.name)
    for one in formats:
        if one not in FORMATS:
            raise unknown("format", one, FORMATS)
    if "parquet" not in formats:
        raise InvalidRequest(f"{dataset.name}: formats={tuple(formats)} lacks 'parquet', which load() reads. Add it.")
    if "tfrecord" in formats:
        require("google_crc32c", "beam")
        require("tensorflow_datasets", "beam")
        from ailab_dataproc.preparation.tfrecord import Encoder

        Encoder(dataset.schema, dataset.name)


def _reused(final: Folder, manifest: Manifest, parts: Mapping[str, str]) -> Report:
    differing = [part for part, value in parts.items() if manifest.parts.get(part) != value]
    if differing:
        raise VersionConflict(
            f"{manifest.name}:{manifest.version} was prepared before from another definition: its "
            f"{' and '.join(differing)} differ{'s' * (len(differing) == 1)}. Versions never change: bump the version."
        )
    return Report(
        step="prepare",
        dataset=f"{manifest.name}:{manifest.version}",
        location=final.url,
        reused=True,
        rows=manifest.rows,
        shards=sum(len(shards) for shards in manifest.splits.values()),
        bytes=manifest.bytes,
    )


def _stage(data_dir: Folder, dataset: Dataset, parts: Mapping[str, str]) -> Folder:
    """Where shards grow unseen. On a disk it becomes the version by one rename; its name finds it after a crash."""
    return data_dir / dataset.name / f".incomplete-{dataset.version}-{fingerprint(parts)[:16]}"


def _job(dataset: Dataset, stage: Folder, options: Options) -> Job:
    return Job(
        dataset=dataset.name,
        stage=stage,
        arrow_schema=contract.encode(dataset.schema),
        module=module_text(dataset.read),
        read=_pickled(dataset.read),
        formats=options.formats,
        layout=options.layout,
        allow_empty=dataset.allow_empty,
    )


def _pickled(function: Any) -> bytes | None:
    """Pickle an author's function; a definition's module is known by name, and `Job.module` brings it along."""
    if function is None:
        return None
    require("cloudpickle", "beam")
    import cloudpickle

    return cloudpickle.dumps(function)


def _run(job: Job, tasks: Sequence[Task], options: Options, workers: int) -> None:
    (job.stage / FAILURES).remove()
    job.stage.write("README.txt", b"An unfinished preparation. Preparing the version again goes on from here.\n")
    with _cleared_on_error(job), watched(job.stage / RECEIPTS, len(tasks), job.dataset, shown=options.progress):
        runners.run(job, tasks, options.runner, workers)
        raise_failure(job)


@contextmanager
def _cleared_on_error(job: Job) -> Iterator[None]:
    """Leave nothing behind where the data or the code must change; keep whole shards for a repetition elsewhere."""
    try:
        yield
    except StorageFailed:
        raise
    except Exception:
        job.stage.remove()
        raise


def _publish(made: _Made, tasks: Sequence[Task], sources: Mapping[str, Sequence[Source]], final: Folder) -> Report:
    stage = made.job.stage
    index = _number_shards(made.job, tasks)
    splits = _shard_rows(index, made.dataset)
    _write_table(stage, INDEX, index)
    _write_table(stage, SOURCES, _source_table(sources))
    if "tfrecord" in made.options.formats:
        _write_tfds(made, index, splits)
    report = _report(made, index, splits, final)
    for leftover in (RECEIPTS, FAILURES):
        (stage / leftover).remove()
    for leftover in ("README.txt", "workers.log"):
        stage.remove_file(leftover)
    for name in stage.find():
        if ".tmp-" in name.rsplit("/", 1)[-1]:  # half a file of a run that was killed
            stage.remove_file(name)
    manifest = _manifest(made, splits, report, checksum(stage, INDEX))
    stage.write(MANIFEST, manifest.model_dump_json(indent=2).encode())
    stage.become(final, MANIFEST)
    return report


def _number_shards(job: Job, tasks: Sequence[Task]) -> pa.Table:
    """Give the shards of all tasks their numbers and final names; returns the index."""
    schema = contract.decode(job.arrow_schema, job.dataset)
    receipts = [read_receipt(job, task) for task in tasks]
    missing = [task.label for task, receipt in zip(tasks, receipts, strict=True) if receipt is None]
    if missing:
        raise StorageFailed(f"{job.stage.url}: the runner ended without {', '.join(missing[:3])}. Prepare it again.")
    found = pa.concat_tables(receipts)
    rows = found.drop_columns("columns").to_pylist()  # whose bounds may be times that Python can't hold
    base = job.dataset.rsplit("/", 1)[-1]
    totals: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["split"], row["format"])
        row["shard"] = totals.get(key, 0)
        totals[key] = row["shard"] + 1
    for row in rows:
        numbers = f"{row['shard']:05d}-of-{totals[row['split'], row['format']]:05d}"
        kind = row["format"]
        name = f"{row['split']}-{numbers}.parquet" if kind == "parquet" else f"{base}-{row['split']}.tfrecord-{numbers}"
        job.stage.rename(row["path"], f"{kind}/{name}")
        row["path"] = f"{kind}/{name}"
    order = sorted(range(len(rows)), key=lambda i: (rows[i]["format"], rows[i]["split"], rows[i]["shard"]))
    plain = pa.Table.from_pylist(rows, schema=pa.schema(list(index_schema(schema))[:-1]))
    return plain.append_column("columns", found["columns"]).take(order).combine_chunks()


def _shard_rows(index: pa.Table, dataset: Dataset) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {split: [] for split in dataset.splits}
    for row in index.select(["split", "format", "rows"]).to_pylist():
        if row["format"] == "parquet":
            found[row["split"]].append(row["rows"])
    return found


def _source_table(sources: Mapping[str, Sequence[Source]]) -> pa.Table:
    """What was read; of a local file its name only, since its place means nothing elsewhere."""
    rows = [
        {
            "split": split,
            "url": source.name if local_path(source.url) and not source.url.startswith("package://") else source.url,
            "bytes": source.size,
            "identity": source.identity,
        }
        for split, members in sources.items()
        for source in members
    ]
    columns = [("split", pa.string()), ("url", pa.string()), ("bytes", pa.int64()), ("identity", pa.string())]
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


def _write_table(folder: Folder, name: str, table: pa.Table) -> None:
    with folder.create(name) as file:
        pq.write_table(table, pa.PythonFile(HashingFile(file), mode="w"), compression="zstd")


def _write_tfds(made: _Made, index: pa.Table, splits: Mapping[str, Sequence[int]]) -> None:
    from ailab_dataproc.preparation.tfds import SplitFiles, write_metadata

    sizes: dict[str, int] = {}
    for row in index.select(["split", "format", "bytes"]).to_pylist():
        if row["format"] == "tfrecord":
            sizes[row["split"]] = sizes.get(row["split"], 0) + row["bytes"]
    write_metadata(
        made.job.stage.url,
        made.dataset,
        splits={split: SplitFiles(tuple(rows), sizes.get(split, 0)) for split, rows in splits.items()},
        file_template="tfrecord/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        metadata={"ailab_dataproc": {"name": made.dataset.name, "fingerprint": fingerprint(made.parts)}},
    )


def _report(made: _Made, index: pa.Table, splits: Mapping[str, Sequence[int]], final: Folder) -> Report:
    sizes = dict.fromkeys(made.options.formats, 0)
    for row in index.select(["format", "bytes"]).to_pylist():
        sizes[row["format"]] += row["bytes"]
    return Report(
        step="prepare",
        dataset=f"{made.dataset.name}:{made.dataset.version}",
        location=final.url,
        rows={split: sum(rows) for split, rows in splits.items()},
        shards=sum(len(rows) for rows in splits.values()),
        bytes=sizes,
        seconds=time.perf_counter() - made.started,
        peak_memory=peak_memory(),
        runner=f"{made.options.runner}, {made.workers} workers",
        versions=versions(_RECORDED),
    )


def _manifest(made: _Made, splits: dict[str, list[int]], report: Report, index_checksum: str) -> Manifest:
    dataset = made.dataset
    return Manifest(
        name=dataset.name,
        version=dataset.version,
        fingerprint=fingerprint(made.parts),
        parts=dict(made.parts),
        arrow_schema=made.job.arrow_schema,
        columns=describe_columns(dataset.schema),
        splits=splits,
        formats=list(made.options.formats),
        bytes=report.bytes,
        index_checksum=index_checksum,
        owner=dataset.owner,
        description=dataset.description,
        citation=dataset.citation,
        license=dataset.license,
        homepage=dataset.homepage,
        release_notes=dict(dataset.release_notes),
        provenance={
            "versions": report.versions,
            "runner": report.runner,
            "seconds": round(report.seconds, 3),
            "peak_memory": report.peak_memory,
            "git_commit": _git_commit(dataset),
        },
    )


def describe_columns(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns for people and scripts."""
    return [
        {
            "name": one.name,
            "type": str(one.type),
            "nullable": one.nullable,
            "meaning": meaning(one),
            "unit": unit(one),
            "pii": is_pii(one),
            "shape": list(shape(one) or ()) or None,
        }
        for one in schema
    ]


def _git_commit(dataset: Dataset) -> str | None:
    """The commit of the checkout that holds the definition; None outside of one."""
    import inspect

    function = dataset.read or dataset.sources
    file = inspect.getsourcefile(function) if function else None
    if not file or not Path(file).exists():
        return None
    command = ["git", "-C", str(Path(file).resolve().parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:  # no git on this machine
        return None
    return done.stdout.strip() or None
