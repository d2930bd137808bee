"""prepare: from a name or a Dataset to a finished version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ailab_dataproc import catalog, storage
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.notices import follow, warn
from ailab_dataproc.preparation.downloads import Cache, cache_folder
from ailab_dataproc.preparation.options import FORMATS, Options
from ailab_dataproc.preparation.pipeline import prepare_dataset
from ailab_dataproc.preparation.tasks import find_sources, settled
from ailab_dataproc.preparation.trial import trial_folder, trial_of
from ailab_dataproc.references import Reference
from ailab_dataproc.report import Report
from ailab_dataproc.settings import Settings, load_settings
from ailab_dataproc.splitting import strings


def prepare(  # noqa: PLR0913 - all but the first have a name and a default
    dataset: str | Dataset,
    *,
    data_dir: str | None = None,
    sources: Mapping[str, str | Sequence[str]] | None = None,
    runner: str = "threads",
    workers: int | None = None,
    cluster: str | None = None,
    beam_options: Mapping[str, Any] | None = None,
    formats: Sequence[str] = FORMATS,
    limit: int | None = None,
    progress: bool = False,
) -> Report:
    """Make a version of a dataset: Parquet and TFRecord shards, an index and a manifest. A no-op where it is there.

    Args:
        dataset: a name from the catalog (``name:1.2.0`` checks the definition's version), or a definition.
        data_dir: a folder, or a URL such as ``gs://bucket/data``; by default as the settings say.
        sources: by split, paths, URLs or globs in place of the definition's.
        runner: ``"threads"`` (the default; Arrow releases the interpreter's lock), ``"processes"`` (for a `read` in
            plain Python), ``"inline"`` (one thread), ``"dask"``, or the name of a configuration of one of Beam's
            runners, such as ``"flink"``.
        workers: how many; by default one a core.
        cluster: with ``"dask"``, the address of a scheduler or the name of a configuration; by default as for
            `connect`.
        beam_options: by name, for Beam's runners; they go before those of the configuration.
        formats: ``("parquet", "tfrecord")``, or ``("parquet",)``, which is faster where nobody needs TFDS.
        limit: for a trial: only the first so many rows of each split, read no further, through the same pipeline. It
            is written to ``<data_dir>/.trial``, a data directory of its own, in place of the trial before it.
        progress: whether to show a bar.

    Returns:
        The report: rows, shards, bytes, seconds, peak memory.
    """
    settings = load_settings()
    if isinstance(dataset, str):
        found, file, package = _defined(Reference.parse(dataset), settings)
    else:
        found, file, package = dataset, None, ""
    given = {split: strings(places) for split, places in (sources or {}).items()}
    place = storage.folder(data_dir or settings.data_dir, settings.storage_options)
    if limit is not None:
        downloads = Cache(cache_folder(place, settings.downloads), settings.storage_options or {}, progress)
        found = settled(found, downloads)
        found = trial_of(found, find_sources(found, given, settings.storage_options, downloads), limit)
        given, place = {}, trial_folder(place)
        (place / found.name).remove()
    options: dict[str, Any] = {"runner": runner, "workers": workers, "formats": tuple(formats), "progress": progress}
    options |= {"cluster": cluster, "beam_options": beam_options, "definition": file, "package": package}
    options |= {"sources": given, "storage_options": settings.storage_options, "downloads": settings.downloads}
    report = prepare_dataset(found, place, Options(**options))
    told = follow(place / found.name, found.deprecated).deprecated
    if found.version in told:
        warn(found.name, found.version, report.location, told[found.version])
    return report


def _defined(reference: Reference, settings: Settings) -> tuple[Dataset, str, str]:
    """What the catalog has of a name, its file and its package."""
    if reference.is_pattern:
        raise InvalidRequest(
            f"{reference}: a pattern stands for versions that are prepared, and prepare makes the one of the "
            f"definition. Leave out :{reference.version}."
        )
    known, found = catalog.of_version(reference, settings)
    return found, str(known.path), known.package
