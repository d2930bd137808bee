"""A flow in one MLflow run: what its steps got and gave. A server that is down never stops the flow."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import TrackingFailed
from ailab_dataproc.experiment.flows.step import Step, metrics_of
from ailab_dataproc.experiment.reaching import asking, knock, mlflow, quickly
from ailab_dataproc.experiment.tracking import track

_LONGEST = 500  # characters of a parameter or tag


class Recording:
    """The run of a flow."""

    def __init__(self, name: str, wanted: bool | None) -> None:
        self.name = name
        self.run_id: str | None = None
        self._wanted = wanted
        self._on = False
        self._params: set[str] = set()
        self._metrics: dict[str, str] = {}  # the step that gave each

    @contextmanager
    def active(self) -> Iterator[None]:
        """Have the run active while a step runs, so that what the step logs itself goes there."""
        self._on = self._begin()
        if not self._on:
            yield
            return
        if mlflow().active_run():  # the caller's own
            yield
            return
        self._try(lambda: mlflow().start_run(run_id=self.run_id))
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        finally:
            self._end(status)

    def note(self, step: Step, graph: str) -> None:
        """Write a step into the run."""
        if self._on:
            self._try(lambda: self._write(step, graph), beside=True)
        for used in step.data if self._on else ():
            track(used, run=self.run_id, context=step.label)

    def keep_page(self, path: Path) -> None:
        """Keep the page with the run."""
        run = self.run_id
        if run is not None:
            self._try(lambda: mlflow().MlflowClient().log_artifact(run, str(path)), beside=True)

    def link(self) -> tuple[str, str]:
        """The run's name and address; nothing where there is none."""
        if self.run_id is None:
            return "", ""
        place = mlflow().get_tracking_uri().rstrip("/")
        web = place.startswith(("http://", "https://"))
        return self.run_id, f"{place}/#/experiments/{self._experiment}/runs/{self.run_id}" if web else ""

    def _begin(self) -> bool:
        """Find or make the run; False where nothing is recorded."""
        if self._wanted is False or (self._wanted is None and "mlflow" not in sys.modules):
            return False
        active = mlflow().active_run()
        if active is not None:
            self.run_id, self._experiment = active.info.run_id, active.info.experiment_id
            return True
        if self._wanted and self.run_id is None:
            self._try(self._make)
        return bool(self._wanted and self.run_id)

    def _make(self) -> None:
        with mlflow().start_run(run_name=self.name) as run:
            self.run_id, self._experiment = run.info.run_id, run.info.experiment_id

    def _write(self, step: Step, graph: str) -> None:
        from mlflow.entities import Metric, Param, RunTag

        client, record = mlflow().MlflowClient(), step.record
        params = {f"{step.label}.{name}": one.text[:_LONGEST] for name, one in record.inputs.items()}
        new = [Param(_word(name), text) for name, text in params.items() if name not in self._params]
        self._params |= params.keys()
        metrics = {f"{step.label}.seconds": record.seconds}
        for name, value in metrics_of(step.result).items():
            first = self._metrics.setdefault(name, step.label)
            metrics[name if first == step.label else f"{step.label}.{name}"] = value
        why = f"ran: {step.why}" if step.ran else f"remembered, of {record.finished}"
        tags = {"flow": self.name, f"flow.{step.label}": f"{why} (key {record.key})"[:_LONGEST]}
        client.log_batch(
            self.run_id,
            [Metric(_word(name), value, 0, 0) for name, value in metrics.items()],
            new,
            [RunTag(name, text) for name, text in tags.items()],
        )
        client.log_text(self.run_id, graph, "flow.mmd")

    def _end(self, status: str) -> None:
        """End the run here; a server that went away meanwhile is asked once, not for minutes."""
        if not mlflow().active_run():  # it was never begun
            return
        self._try(lambda: None)
        if self._on:
            self._try(lambda: mlflow().end_run(status))
        else:
            with _impatient(), suppress(Exception):  # it has been said that the server is down
                mlflow().end_run(status)

    def _try(self, ask: Callable[[], Any], *, beside: bool = False) -> None:
        """Ask the server; where it fails, say so once and leave it.

        Args:
            ask: asks it.
            beside: in a thread that may be given up; not what makes a run the active one of this thread.
        """
        what = f"flow {self.name}"
        try:
            if beside:
                quickly(what, ask, self.run_id)
            else:
                knock(what, self.run_id)
                with asking(what):
                    ask()
        except Exception as error:  # whatever a server, or a library for logins, makes of it: the flow goes on
            told = str(error) if isinstance(error, TrackingFailed) else f"{what}: {type(error).__name__}: {error}."
            warnings.warn(f"{told} The flow goes on, and is no longer recorded.", stacklevel=2)
            self._wanted, self._on, self.run_id = False, False, None


@contextmanager
def _impatient() -> Iterator[None]:
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _word(name: str) -> str:
    """A name as MLflow takes it."""
    return re.sub(r"[^\w\-. :/]", "_", name)
