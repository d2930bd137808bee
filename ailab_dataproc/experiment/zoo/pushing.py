"""push: a folder with its card becomes a version in MLflow's registry, whole or not at all."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from ailab_dataproc import storage
from ailab_dataproc.experiment import tracking
from ailab_dataproc.experiment.finding import data_of
from ailab_dataproc.experiment.reaching import asking, knock, mlflow
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.experiment.zoo import files as filing
from ailab_dataproc.experiment.zoo.cards import CARD
from ailab_dataproc.experiment.zoo.drafting import Draft, Files, draft
from ailab_dataproc.experiment.zoo.entries import Datum, Entry, to_tags
from ailab_dataproc.experiment.zoo.files import MANIFEST, File
from ailab_dataproc.experiment.zoo.registry import Asked, find
from ailab_dataproc.progressing import Progress
from ailab_dataproc.settings import load_settings

FORMAT = 1  # of the manifest
_SIDE_BY_SIDE = 4  # files that are sent at a time


def push(  # noqa: PLR0913 - all but the first two have a name and a default
    files: Files,
    name: str,
    *,
    kind: str = "model",
    task: str | None = None,
    metrics: Mapping[str, float] | None = None,
    data: Any = None,
    card: str | os.PathLike[str] | None = None,
    run: Any = None,
    tags: Sequence[str] = (),
    also: Sequence[str] = (),
    by_reference: bool = False,
) -> Entry:
    """Register a folder, or some files, with a card; each push of a name is a new version.

    A push that ends half-way registers nothing. Hidden files and caches stay out; what looks like a secret, or is a
    link out of the folder, is refused.

    Args:
        files: a folder, a file or several files.
        name: of the model: ``ctr`` or ``ctr.deepfm``.
        kind: ``"model"``, ``"notebook"`` or ``"pipeline"``.
        task: what it does, such as ``"ctr"``, where the card doesn't say it.
        metrics: numbers, bound to the test data where there are any, else to the first data.
        data: what it was trained on, as `track` takes it, also ``"name:1.0.0[train]"``; several in a list, or a dict
            such as ``{"train": frame, "test": "name:1.0.0[test]"}``. None for what the run has tracked.
        card: the path or the text of the card, in place of the README.md among the files.
        run: the run of MLflow that made it, or its id; None for the active one. Without any a run is made.
        tags: words, beside those of the card.
        also: patterns of files that are pushed though they are hidden or look like secrets.
        by_reference: leave the files where they are, a folder or a URL, and register only the manifest and the card.

    Returns:
        The entry, with its version.

    Raises:
        InvalidRequest: something of it can't be pushed; nothing was sent then.
        NotPrepared, UnknownName: there is no such data.
        TrackingFailed: the server is down, or refuses.
    """
    mlflow()
    knock(f"model {name}")
    return upload(
        draft(
            files,
            name,
            kind=kind,
            task=task,
            metrics=metrics,
            data=data,
            card=card,
            run=run,
            tags=tags,
            also=also,
            by_reference=by_reference,
        )
    )


def upload(found: Draft) -> Entry:
    """Send what was looked at, and register it last."""
    listed = filing.described(found.gathered) if found.gathered else filing.described_there(_there(found.location))
    with _run(found) as run_id, tempfile.TemporaryDirectory(prefix="ailab-push-") as scratch:
        what, client = f"model {found.name}", mlflow().MlflowClient()
        with asking(what):
            run = client.get_run(run_id)
            model = client.create_logged_model(
                run.info.experiment_id, name=found.name.replace(".", "-"), source_run_id=run_id, model_type=found.kind
            )
        with _finalized(client, model.model_id, what):
            own = Path(scratch)
            (own / CARD).write_text(found.card.whole, encoding="utf-8")
            listed = [one for one in listed if one.path != CARD] + [_file(own / CARD)]
            manifest = _manifest(found, sorted(listed, key=lambda one: one.path), run_id)
            (own / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
            with asking(what):
                _send(model.artifact_location, found, own)
        entry = _entry(found, listed, run_id, model.model_id, _file(own / MANIFEST).checksum)
        with asking(what):
            _bind(client, run_id, model.model_id, found)
            version = _register(client, entry, found.card.whole)
    return find(Asked(found.name, version=version))[1]


@contextlib.contextmanager
def _run(found: Draft) -> Iterator[str]:
    """The run that holds it, with its data."""
    library, what = mlflow(), f"model {found.name}"
    if found.run_id:
        _track(found, found.run_id)
        yield found.run_id
        return
    with asking(what):
        run = library.start_run(run_name=f"push {found.name}")
    with run:
        _track(found, run.info.run_id)
        yield run.info.run_id


def _track(found: Draft, run_id: str) -> None:
    there = {one.digest for one in data_of(run_id)}
    for context, used in found.data:
        if used.digest not in there:
            tracking.track(used, run=run_id, context=context, strict=True)


@contextlib.contextmanager
def _finalized(client: Any, model_id: str, what: str) -> Iterator[None]:
    """The logged model is ready after the block, and failed where that didn't end."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except BaseException:
        with contextlib.suppress(MlflowException):  # the error that is on its way counts
            client.finalize_logged_model(model_id, "FAILED")
        raise
    with asking(what):
        client.finalize_logged_model(model_id, "READY")


def _send(location: str, found: Draft, own: Path) -> None:
    """Upload the files, then the manifest."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    place: Any = get_artifact_repository(location)

    def one(name: str, path: Path, source: Path) -> None:
        parent = str(PurePosixPath(name).parent)
        place.log_artifact(str(_named(path, PurePosixPath(name).name, source)), None if parent == "." else parent)

    gathered = found.gathered
    paths = {name: path for name, path in gathered.paths.items() if name != CARD} if gathered else {}
    total = gathered.bytes if gathered else 0
    with Progress(total=total, what=f"push {found.name}") as bar, ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
        jobs = [(path, threads.submit(one, name, path, own)) for name, path in paths.items()]
        try:
            for path, job in jobs:
                job.result()
                bar.advance(path.stat().st_size)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    if gathered:
        filing.unchanged(gathered)
    for name in (CARD, MANIFEST):
        one(name, own / name, own)


def _named(path: Path, name: str, scratch: Path) -> Path:
    """The path of a file whose last part is its name in the entry."""
    if path.name == name:
        return path
    link = scratch / "links" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(path.absolute())
    return link


def _bind(client: Any, run_id: str, model_id: str, found: Draft) -> None:
    """Metrics of the model on its data, and the model as what the run gave."""
    from mlflow.entities import LoggedModelOutput, Metric

    used = _judged(found.data)
    on = {"dataset_name": used.reference, "dataset_digest": used.digest} if used else {}
    now = int(time.time() * 1000)
    metrics = [
        Metric(key, value, now, 0, model_id=model_id, run_id=run_id, **on) for key, value in found.metrics.items()
    ]
    if metrics:
        client.log_batch(run_id, metrics=metrics)
    client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])


def _judged(data: Sequence[tuple[str, Used]]) -> Used | None:
    """The data that metrics are of: the test data, else the first."""
    judged = [used for context, used in data if context in ("test", "eval", "evaluation", "validation")]
    return next(iter([*judged, *(used for _, used in data)]), None)


def _register(client: Any, entry: Entry, text: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(entry.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = to_tags(entry, text)
    client.set_logged_model_tags(entry.model_id, {key: value for key, value in tags.items() if key != "text"})
    version = client.create_model_version(
        entry.name,
        f"models:/{entry.model_id}",
        run_id=entry.run_id,
        tags=tags,
        description=entry.summary or None,
        await_creation_for=0,
        model_id=entry.model_id,
    )
    return str(version.version)


def _entry(found: Draft, listed: Sequence[File], run_id: str, model_id: str, manifest: str) -> Entry:
    card = found.card
    return Entry(
        name=found.name,
        version="",
        kind=found.kind,
        task=card.task,
        title=card.title,
        summary=card.summary,
        tags=found.tags,
        license=card.license,
        language=card.language,
        owner=card.owner or os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser(),
        metrics=found.metrics,
        data=tuple(Datum.of(context, used) for context, used in found.data),
        files=len(listed),
        bytes=sum(one.bytes for one in listed),
        run_id=run_id,
        model_id=model_id,
        manifest=manifest,
        location=found.location,
    )


def _manifest(found: Draft, listed: Sequence[File], run_id: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": found.name,
        "kind": found.kind,
        "task": found.card.task,
        "metrics": dict(found.metrics),
        "data": [{"context": context, "used": used.to_dict()} for context, used in found.data],
        "run_id": run_id,
        "location": found.location,
        "files": [{"path": one.path, "bytes": one.bytes, "checksum": one.checksum} for one in listed],
    }


def _file(path: Path) -> File:
    with path.open("rb") as file:
        return File(path.name, path.stat().st_size, storage.checksum_of(file))


def _there(location: str) -> storage.Folder:
    return storage.folder(location, load_settings().storage_options)
