"""data_of and runs_of: from a run to the data that it used, and from a version to the runs that used it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.experiment.reaching import asking, knock_to_read, mlflow
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.references import Reference

_CONTEXT = "mlflow.data.context"
_PAGE = 1000  # runs or experiments of an answer
_EXPERIMENTS = 200  # of a question


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRun:
    """A run, and data that it used."""

    run_id: str
    name: str
    experiment: str
    user: str
    started: str  # ISO 8601, UTC
    status: str  # RUNNING, FINISHED, FAILED, …
    used: Used
    context: str  # what the data were for
    backend: str  # that loaded them
    metrics: Mapping[str, float]  # the last value of each

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        found = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        used = self.used
        data = {"dataset": used.name, "version": used.version, "split": used.split, "digest": used.digest}
        return {**found, **data, "metrics": dict(self.metrics), "used": used.to_dict()}


def data_of(run: Any, *, context: str | None = None) -> list[Used]:
    """The data that a run used, as `track` wrote them; `load` of each loads the same again.

    Args:
        run: a run of MLflow or its id.
        context: only data that were for this, such as ``"train"``.

    Returns:
        In the order in which MLflow gives them; empty where nothing was tracked.

    Raises:
        TrackingFailed: the server is down, refuses, or knows no such run.
    """
    run_id = getattr(getattr(run, "info", None), "run_id", run)
    if not isinstance(run_id, str) or not run_id:
        raise InvalidRequest(f"data_of: run={run!r:.80}, wanted a run of MLflow or its id.")
    what = f"run {run_id}"
    knock_to_read(what)
    with asking(what):
        found = mlflow().MlflowClient().get_run(run_id)
    return [used for used, tags in _inputs(found) if context is None or tags.get(_CONTEXT) == context]


def runs_of(reference: str, *, split: str | None = None) -> list[TrackedRun]:
    """The runs that used a version of a dataset, the newest first, of all experiments that you may see.

    Args:
        reference: ``name:1.2.0``; ``name`` for all versions; ``name:1.*`` for those that match. The version need not
            be prepared here.
        split: only those that used exactly this split, such as ``"train[:80%]"``.

    Returns:
        A run for each of its data: one that trained on ``train`` and was judged on ``test`` is there twice.

    Raises:
        TrackingFailed: the server is down, or refuses.
    """
    asked = Reference.parse(reference)
    what = f"runs of {asked}"
    knock_to_read(what)
    with asking(what):
        found = list(_search(asked))
    return [one for one in found if split is None or one.used.split == split]


def _search(asked: Reference) -> Iterator[TrackedRun]:
    client = mlflow().MlflowClient()
    # In SQL's LIKE an underscore stands for any character: `_tracked` looks again.
    name = f"= '{asked}'" if asked.is_exact else f"LIKE '{asked.name}:%'"
    given = {"filter_string": f"dataset.name {name}", "max_results": _PAGE}
    experiments = {one.experiment_id: one.name for one in _pages(client.search_experiments, max_results=_PAGE)}
    ids = list(experiments)
    runs = [
        run
        for start in range(0, len(ids), _EXPERIMENTS)
        for run in _pages(client.search_runs, ids[start : start + _EXPERIMENTS], **given)
    ]
    for run in sorted(runs, key=lambda run: run.info.start_time, reverse=True):
        for used, tags in _inputs(run):
            if used.name == asked.name and asked.matches(used.version):
                yield _tracked(run, experiments[run.info.experiment_id], used, tags)


def _tracked(run: Any, experiment: str, used: Used, tags: Mapping[str, str]) -> TrackedRun:
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    return TrackedRun(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        experiment=experiment,
        user=run.data.tags.get("mlflow.user", ""),
        started=started.isoformat(timespec="seconds"),
        status=run.info.status,
        used=used,
        context=tags.get(_CONTEXT, ""),
        backend=tags.get("backend", ""),
        metrics=run.data.metrics,
    )


def _inputs(run: Any) -> Iterator[tuple[Used, dict[str, str]]]:
    """Our data among a run's inputs, with their tags. What MLflow's own autologging wrote is none of ours."""
    from ailab_dataproc.experiment.source import TYPE

    for one in run.inputs.dataset_inputs if run.inputs else ():
        if one.dataset.source_type == TYPE:
            tags = {tag.key: tag.value for tag in one.tags}
            used = Used.from_dict(json.loads(one.dataset.source))
            # MLflow keeps the source of the first run with these data; where this run found them its tags say.
            yield dataclasses.replace(used, location=tags.get("location", used.location)), tags


def _pages(ask: Callable[..., Any], *args: Any, **given: Any) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = ask(*args, page_token=token, **given)
        yield from page
        token = page.token
        if not token:
            return
