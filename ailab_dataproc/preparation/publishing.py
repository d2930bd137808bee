"""From finished tasks to a version: index, TFDS metadata, manifest; then all of it becomes visible at once."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ailab_dataproc.columns import describe_columns
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.manifest import DEFINITION, INDEX, MANIFEST, SOURCES, STATISTICS, Manifest
from ailab_dataproc.preparation.fingerprint import fingerprint
from ailab_dataproc.preparation.job import Job
from ailab_dataproc.preparation.options import Options
from ailab_dataproc.preparation.provenance import Step, provenance
from ailab_dataproc.preparation.shards import index_schema, stored_columns
from ailab_dataproc.preparation.summary import statistics_file
from ailab_dataproc.report import Report, peak_memory, versions
from ailab_dataproc.storage import Folder, HashingFile, checksum_of
from ailab_dataproc.urls import local_path, shown

_RECORDED = ("ailab_dataproc", "pyarrow", "numpy", "apache-beam", "tensorflow-datasets", "tensorflow-transform")
_GROUP = 131_072  # shards that are decoded at a time where the index is read in pieces
_REPEATED = ["split", "format"]  # the other columns of the index repeat too little for a dictionary


@dataclass(frozen=True, slots=True)
class Made:
    """What the tasks have made, on its way to a version."""

    dataset: Dataset
    job: Job
    parts: Mapping[str, str]
    options: Options
    engine: Mapping[str, Any]  # as it describes itself
    steps: Sequence[Step]
    started: float  # seconds of the performance counter
    definition: Path | None  # the file


def publish(
    made: Made, receipts: Sequence[pa.Table], sources: Mapping[str, Sequence[Source]], final: Folder
) -> Report | None:
    """Number the shards, write index, TFDS metadata and manifest, and make the version visible at once.

    Returns:
        None where a twin made the version meanwhile, which is kept.
    """
    stage = made.job.stage
    index, files = _number_shards(made.job, receipts)
    splits = _shard_rows(index, made.dataset)
    index_checksum = write_table(stage, INDEX, index)
    sizes = _sizes(index)
    beside = {SOURCES: write_table(stage, SOURCES, _source_table(sources))}
    contents = _tfds_metadata(made, sizes, splits) if "tfrecord" in made.options.formats else {}
    report = _report(made, sizes, splits, final)
    contents[STATISTICS] = _statistics(made, receipts, index)
    if made.definition:
        contents[DEFINITION] = made.definition.read_bytes()
    for name, content in contents.items():
        stage.write(name, content)
        beside[name] = checksum_of(io.BytesIO(content))
    for below, folder in made.options.derived.files.items():
        beside |= {f"{below}/{name}": _copied(folder, name, stage, f"{below}/{name}") for name in folder.sizes()}
    manifest = _manifest(made, splits, report, index_checksum, beside)
    stage.write(MANIFEST, manifest.model_dump_json(indent=2).encode())
    files |= {name: name for name in (INDEX, *beside, MANIFEST)}
    return report if stage.become(final, files, MANIFEST) else None


def _number_shards(job: Job, receipts: Sequence[pa.Table]) -> tuple[pa.Table, dict[str, str]]:
    """Give the shards of all receipts their numbers; returns the index, and by final name the name in the stage."""
    found = pa.concat_tables(receipts)
    rows = found.drop_columns("columns").to_pylist()  # whose bounds may be times that Python can't hold
    base = job.dataset.rsplit("/", 1)[-1]
    totals: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["split"], row["format"])
        row["shard"] = totals.get(key, 0)
        totals[key] = row["shard"] + 1
    files = {}
    for row in rows:
        numbers = f"{row['shard']:05d}-of-{totals[row['split'], row['format']]:05d}"
        kind = row["format"]
        name = f"{row['split']}-{numbers}.parquet" if kind == "parquet" else f"{base}-{row['split']}.tfrecord-{numbers}"
        files[f"{kind}/{name}"] = row["path"]
        row["path"] = f"{kind}/{name}"
    order = sorted(range(len(rows)), key=lambda i: (rows[i]["format"], rows[i]["split"], rows[i]["shard"]))
    plain = pa.Table.from_pylist(rows, schema=pa.schema(list(index_schema(job.schema))[:-1]))
    return plain.append_column("columns", found["columns"]).take(order).combine_chunks(), files


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
            "url": _lasting(source),
            "bytes": source.size,
            "identity": source.identity,
        }
        for split, members in sources.items()
        for source in members
    ]
    columns = [("split", pa.string()), ("url", pa.string()), ("bytes", pa.int64()), ("identity", pa.string())]
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


def _lasting(source: Source) -> str:
    if local_path(source.url) and not source.url.startswith("package://"):
        return source.name
    return shown(source.url)


def write_table(folder: Folder, name: str, table: pa.Table) -> str:
    """Write a table as Parquet; returns the file's checksum."""
    with folder.create(name) as file:
        hashing = HashingFile(file)
        pq.write_table(
            table, pa.PythonFile(hashing, mode="w"), compression="zstd", row_group_size=_GROUP, use_dictionary=_REPEATED
        )
    return hashing.checksum


def _copied(source: Folder, name: str, target: Folder, new: str) -> str:
    """Copy a file; returns its checksum."""
    with source.open(name) as content, target.create(new) as file:
        hashing = HashingFile(file)
        shutil.copyfileobj(content, hashing)
    return hashing.checksum


def _statistics(made: Made, receipts: Sequence[pa.Table], index: pa.Table) -> bytes:
    """Merge what the tasks have counted."""
    told = [receipt.schema.metadata or {} for receipt in receipts]
    parts = {split: [one[split.encode()] for one in told if split.encode() in one] for split in made.dataset.splits}
    return statistics_file(stored_columns(made.dataset.schema), parts, index)


def _sizes(index: pa.Table) -> dict[tuple[str, str], int]:
    """Bytes as stored, by format and split."""
    rows = index.group_by(["format", "split"]).aggregate([("bytes", "sum")]).to_pylist()
    return {(row["format"], row["split"]): row["bytes_sum"] for row in rows}


def _tfds_metadata(
    made: Made, sizes: Mapping[tuple[str, str], int], splits: Mapping[str, Sequence[int]]
) -> dict[str, bytes]:
    """TFDS's metadata, which knows folders only, by way of a temporary one: contents by name."""
    from ailab_dataproc.preparation.tfds import SplitFiles, write_metadata

    with tempfile.TemporaryDirectory() as folder:
        write_metadata(
            folder,
            made.dataset,
            splits={
                split: SplitFiles(tuple(rows), sizes.get(("tfrecord", split), 0)) for split, rows in splits.items()
            },
            file_template="tfrecord/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            metadata={"ailab_dataproc": {"name": made.dataset.name, "fingerprint": fingerprint(made.parts)}},
        )
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _report(
    made: Made, sizes: Mapping[tuple[str, str], int], splits: Mapping[str, Sequence[int]], final: Folder
) -> Report:
    return Report(
        step="prepare",
        dataset=f"{made.dataset.name}:{made.dataset.version}",
        location=final.url,
        rows={split: sum(rows) for split, rows in splits.items()},
        shards=sum(len(rows) for rows in splits.values()),
        bytes={kind: sum(size for (one, _), size in sizes.items() if one == kind) for kind in made.options.formats},
        seconds=time.perf_counter() - made.started,
        peak_memory=peak_memory(),
        runner=f"{made.engine['runner']}, {made.engine['workers'] or 'its cluster chooses how many'} workers",
        steps=[asdict(one) for one in made.steps],
        versions=versions(_RECORDED),
        package=made.options.package,
    )


def _manifest(
    made: Made, splits: dict[str, list[int]], report: Report, index_checksum: str, files: dict[str, str]
) -> Manifest:
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
        files=files,
        lineage=made.options.derived.lineage,
        arrangement=dataset.arrangement,
        owner=dataset.owner,
        description=dataset.description,
        citation=dataset.citation,
        license=dataset.license,
        homepage=dataset.homepage,
        release_notes=dict(dataset.release_notes),
        provenance=provenance(report, made.engine, made.definition),
    )
