"""From finished tasks to a version: index, TFDS metadata, last the manifest, then one rename."""

from __future__ import annotations

import inspect
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ailab_dataproc import schema as contract
from ailab_dataproc.dataset import Dataset, Source, describe_columns
from ailab_dataproc.errors import StorageFailed
from ailab_dataproc.manifest import INDEX, MANIFEST, SOURCES, Manifest
from ailab_dataproc.preparation.fingerprint import fingerprint
from ailab_dataproc.preparation.options import Options
from ailab_dataproc.preparation.tasks import Task
from ailab_dataproc.preparation.write import FAILURES, RECEIPTS, Job, index_schema, read_receipt
from ailab_dataproc.report import Report, peak_memory, versions
from ailab_dataproc.storage import Folder, HashingFile
from ailab_dataproc.urls import local_path

_RECORDED = ("ailab_dataproc", "pyarrow", "numpy", "apache-beam", "tensorflow-datasets")
_GROUP = 131_072  # shards that are decoded at a time where the index is read in pieces
_REPEATED = ["split", "format"]  # the other columns of the index repeat too little for a dictionary


@dataclass(frozen=True, slots=True)
class Made:
    """What the tasks have made, on its way to a version."""

    dataset: Dataset
    job: Job
    parts: Mapping[str, str]
    options: Options
    workers: int
    started: float  # seconds of the performance counter


def publish(made: Made, tasks: Sequence[Task], sources: Mapping[str, Sequence[Source]], final: Folder) -> Report:
    """Number the shards, write index, TFDS metadata and manifest, and make the version visible at once."""
    stage = made.job.stage
    index = _number_shards(made.job, tasks)
    splits = _shard_rows(index, made.dataset)
    index_checksum = write_table(stage, INDEX, index)
    write_table(stage, SOURCES, _source_table(sources))
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
    manifest = _manifest(made, splits, report, index_checksum)
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


def write_table(folder: Folder, name: str, table: pa.Table) -> str:
    """Write a table as Parquet; returns the file's checksum."""
    with folder.create(name) as file:
        hashing = HashingFile(file)
        pq.write_table(
            table, pa.PythonFile(hashing, mode="w"), compression="zstd", row_group_size=_GROUP, use_dictionary=_REPEATED
        )
    return hashing.checksum


def _write_tfds(made: Made, index: pa.Table, splits: Mapping[str, Sequence[int]]) -> None:
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


def _report(made: Made, index: pa.Table, splits: Mapping[str, Sequence[int]], final: Folder) -> Report:
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


def _manifest(made: Made, splits: dict[str, list[int]], report: Report, index_checksum: str) -> Manifest:
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


def _git_commit(dataset: Dataset) -> str | None:
    """The commit of the checkout that holds the definition; None outside of one."""
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
