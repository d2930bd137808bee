"""Dataset to finished version: sources, tasks, Beam, publication."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from ailab_dataproc import __version__
from ailab_dataproc import schema as contract
from ailab_dataproc.checked import compared, read_checks
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.definition import module_text
from ailab_dataproc.errors import InvalidRequest, VersionConflict, require, unknown
from ailab_dataproc.manifest import MANIFEST, Manifest, Prepared, read_manifest
from ailab_dataproc.notices import read_notices
from ailab_dataproc.preparation import runners
from ailab_dataproc.preparation.assign import check_values
from ailab_dataproc.preparation.downloads import Cache, cache_folder
from ailab_dataproc.preparation.fingerprint import fingerprint, fingerprint_parts, identify, tasks_part
from ailab_dataproc.preparation.job import Job
from ailab_dataproc.preparation.judging import Against, codes_of
from ailab_dataproc.preparation.options import FORMATS, Options
from ailab_dataproc.preparation.provenance import Step, definition_file
from ailab_dataproc.preparation.publishing import Made, publish
from ailab_dataproc.preparation.ranges import divide_all
from ailab_dataproc.preparation.steps import Steps, make_shards
from ailab_dataproc.preparation.tasks import Task, find_sources, make_tasks, settled
from ailab_dataproc.report import Report
from ailab_dataproc.splitting import Pooled
from ailab_dataproc.storage import Folder
from ailab_dataproc.storage.lock import locked


def prepare_dataset(dataset: Dataset, data_dir: Folder, options: Options) -> Report:
    """Make a version of a dataset, or find that it is there already.

    Args:
        dataset: the definition.
        data_dir: where ``<name>/<version>/`` is made.
        options: runner, formats, sources.

    Raises:
        VersionConflict: the version exists, made from something else.
        InvalidData, SourceFailed: a source doesn't fit; nothing is left behind.
        CheckFailed: rows fail a check; nothing is visible, and what is read is kept for another try.
        StorageFailed: a source doesn't exist, or the data directory can't be written.
    """
    started, derived = time.perf_counter(), options.derived
    engine = runners.choose(options, data_dir)
    _check_formats(dataset, options.formats)
    if isinstance(dataset.splits, Pooled):
        check_values(dataset.splits, dataset.schema, dataset.name)
    storage_options = dict(options.storage_options or {})
    cache = Cache(cache_folder(data_dir, options.downloads), storage_options, options.progress)
    dataset = settled(dataset, cache)
    sources = identify(find_sources(dataset, options.sources, storage_options, cache))
    every = [source for members in sources.values() for source in members]
    found = Step("find sources", time.perf_counter() - started, len(every), bytes=sum(one.size for one in every))
    parts = fingerprint_parts(dataset, sources, options.layout, options.formats, derived.lineage)
    final = data_dir / dataset.name / dataset.version
    if final.exists(MANIFEST):
        return _again(final, parts, dataset)
    _check_retired(data_dir, dataset, parts)
    with locked(data_dir / dataset.name, dataset.version, f"{dataset.name}:{dataset.version}") as lock:
        if not final.exists(MANIFEST):  # by a twin that this one waited for
            tasks = make_tasks(divide_all(dataset, sources, options.layout), options.layout)
            against = Against.of(dataset, data_dir)
            looked = {"checks": against.part(dataset.checks)} if dataset.checks else {}
            job = _job(dataset, _stage(data_dir, dataset, {**parts, **looked, "files": derived.key}, tasks), options)
            with engine.open(job.stage) as run:
                steps = Steps(job, run, progress=options.progress)
                receipts = make_shards(steps, tasks, against)
            lock.check(final.url)
            file = definition_file(dataset, options.definition)
            done = [*derived.done, found, *steps.done]
            made = Made(dataset, job, parts, options, engine.describe(), done, started - derived.seconds, file)
            report = publish(replace(made, checked=steps.checked), receipts, sources, final)
            if report:
                return report
    return _again(final, parts, dataset)


def _check_formats(dataset: Dataset, formats: Sequence[str]) -> None:
    contract.check_types(dataset.schema, dataset.name)
    for one in formats:
        if one not in FORMATS:
            raise unknown("format", one, FORMATS)
    if "parquet" not in formats:
        raise InvalidRequest(f"{dataset.name}: formats={tuple(formats)} lacks 'parquet', which load() reads. Add it.")
    require("datasketches", "beam")
    if "tfrecord" in formats:
        require("google_crc32c", "beam")
        require("tensorflow_datasets", "beam")
        from ailab_dataproc.preparation.tfrecord import Encoder

        Encoder(dataset.schema, dataset.name)


def reused(final: Folder, manifest: Manifest, parts: Mapping[str, str]) -> Report:
    """The report of a version that is there.

    Raises:
        VersionConflict: it was made from something else.
    """
    differing = [part for part in {**parts, **manifest.parts} if manifest.parts.get(part) != parts.get(part)]
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
        package=manifest.provenance.get("package") or "",
    )


def _again(final: Folder, parts: Mapping[str, str], dataset: Dataset) -> Report:
    """The report of a version that is there, with what it knows of the definition's checks."""
    manifest = read_manifest(final)
    report = reused(final, manifest, parts)
    kept = read_checks(Prepared(final, manifest, manifest.schema_))
    return replace(report, checks=compared(dataset.checks, codes_of(dataset), kept))


def _check_retired(data_dir: Folder, dataset: Dataset, parts: Mapping[str, str]) -> None:
    """A version that was removed may come back as it was."""
    gone = read_notices(data_dir / dataset.name).retired.get(dataset.version)
    if gone and gone.fingerprint != fingerprint(parts):
        raise VersionConflict(
            f"{dataset.name}:{dataset.version} was retired on {gone.at[:10]}, and was made from another definition or "
            "other sources. Versions never change: bump the version."
        )


def _stage(data_dir: Folder, dataset: Dataset, parts: Mapping[str, str], tasks: Sequence[Task]) -> Folder:
    """Where shards grow unseen, and are found after a crash: by all that decides which task writes which bytes."""
    decisive = {**parts, "tasks": tasks_part(tasks), "package": __version__, "pyarrow": pa.__version__}
    return data_dir / dataset.name / f".incomplete-{dataset.version}-{fingerprint(decisive)[:16]}"


def _job(dataset: Dataset, stage: Folder, options: Options) -> Job:
    return Job(
        dataset=dataset.name,
        stage=stage,
        arrow_schema=contract.encode(dataset.schema),
        module=next(filter(None, map(module_text, (dataset.read, *(one.test for one in dataset.checks)))), None),
        read=_pickled(dataset.read),
        formats=options.formats,
        layout=options.layout,
        allow_empty=dataset.allow_empty,
        rule=dataset.splits if isinstance(dataset.splits, Pooled) else None,
        shuffled=dataset.order == "shuffled",
        seed=dataset.seed,
        key=tuple(dataset.key),
        splits=tuple(dataset.splits),
        checks=_pickled(dataset.checks or None),
    )


def _pickled(written: Any) -> bytes | None:
    """Pickle what an author wrote; a definition's module is known by name, and `Job.module` brings it along."""
    if written is None:
        return None
    require("cloudpickle", "beam")
    import cloudpickle

    return cloudpickle.dumps(written)
