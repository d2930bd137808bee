"""Flow: plain functions as steps of an experiment, whose results are remembered until what made them changes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.experiment.flows import running
from ailab_dataproc.experiment.flows.graph import mermaid
from ailab_dataproc.experiment.flows.inputs import Names
from ailab_dataproc.experiment.flows.memory import Known, Memory
from ailab_dataproc.experiment.flows.page import write_page
from ailab_dataproc.experiment.flows.recording import Recording
from ailab_dataproc.experiment.flows.step import Call, Step, changes
from ailab_dataproc.experiment.flows.store import Store
from ailab_dataproc.settings import load_settings

R = TypeVar("R")


class Flow:
    """Calls functions, and remembers their results.

    Args:
        folder: where results are kept: a folder, or the URL of one in a bucket.
        name: for people and for the MLflow run; by default the folder's.
        track: record all steps in one MLflow run; None: only where a run is active; False: never.
        quiet: say nothing on stderr.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, name: str = "", track: bool | None = None, quiet: bool = False
    ) -> None:
        settings = load_settings()
        self._store = Store(os.fspath(folder), settings)
        self._memory = Memory(self._store, Names(settings))
        self._last = self._store.last()
        self._quiet = quiet
        self.name = name or self._store.place.url.rstrip("/").rpartition("/")[2]
        self.recording = Recording(self.name, track)
        self.steps: list[Step] = []

    def __call__(self, step: Callable[..., R], /, *args: Any, on: str | Mapping[str, Any] = "", **kwargs: Any) -> R:
        """The result of ``step(*args, **kwargs)``: remembered, or of running it now.

        A parameter `out` of the step gets a folder for its files.

        Args:
            step: a function.
            *args: plain values, names and plans of datasets, Paths, results of earlier steps, and lists, dicts and
                dataclasses of them.
            on: ``"cluster"`` connects a Dask client while it runs, unless there is one; ``"job"``, or a dict of options
                of `submit`, runs it as a job, which a later run comes back to.
            **kwargs: as `args`.

        Returns:
            Plain values, Paths below `out`, names of datasets, and lists, tuples, sets and dicts of them.

        Raises:
            InvalidRequest: an argument that nothing lasting is known of, or a result that can't be kept.
        """
        call = Call.of(step, args, kwargs)
        running.check(on, call)
        known = self._memory.known(call, self.steps)
        label = self._label(call.name, known.key)
        record, problem = self._memory.find(known)
        why = "" if record else problem or self._why(label, known)
        with self.recording.active():
            if record is None:
                record, ran = self._memory.make(known, on, lambda said: self._say(label, said or f"runs: {why}"))
                why = why if ran else ""
            made = Step(label=label, record=record, why=why, result=self._memory.result(record))
            self._note(made)
        return made.result

    def _label(self, name: str, key: str) -> str:
        """The function's name; of a second call with other arguments with a number."""
        mine = [one for one in self.steps if one.record.step == name]
        same = next((one.label for one in mine if one.record.key == key), "")
        return same or (f"{name}-{len({one.label for one in mine}) + 1}" if mine else name)

    def _why(self, label: str, one: Known) -> str:
        """Why a step runs: compared with its last run under this label, else with the call before."""
        before = next((step.record for step in reversed(self.steps) if step.record.step == one.call.name), None)
        if label in self._last:
            before = self._store.record(*self._last[label]) or before
        return (changes(before, one.code, one.inputs) if before else "") or "no result yet"

    def _note(self, step: Step) -> None:
        if not step.ran:
            self._say(step.label, f"remembered ({step.record.seconds:.1f} s spared)")
        else:
            self._say(step.label, f"done in {step.record.seconds:.1f} s")
        before = next((one for one in self.steps if one.label == step.label), None)
        if before is None or step.ran:  # what ran first, and was asked for again, has run
            self.steps = [*(one for one in self.steps if one is not before), step]
        self._memory.makers.add(step)
        self._last[step.label] = (step.record.step, step.record.key)
        self._store.keep_last(self._last)
        self.recording.note(step, self.mermaid())

    def _say(self, label: str, text: str) -> None:
        if not self._quiet:
            print(f"{self.name}: {label}: {text}", file=sys.stderr, flush=True)

    def mermaid(self) -> str:
        """The steps and what goes from one to another, for Markdown and MLflow."""
        return mermaid(self.steps)

    def explain(self) -> str:
        """Why each step ran or was remembered, a line a step."""
        return "\n".join(
            f"{one.label}: ran, {one.why}" if one.ran else f"{one.label}: remembered, of {one.record.when}"
            for one in self.steps
        )

    def report(self, path: str | os.PathLike[str], *, title: str = "", figures: Any = None) -> Path:
        """Write a page on what this run did: graph, steps, metrics, figures, and the exact data. Returns its path.

        Args:
            path: of the page, which is one file.
            title: by default the flow's name.
            figures: pictures by title, each the path of a PNG, SVG, JPEG or WebP file or a Matplotlib figure. Pictures
                that steps return are shown without being named here.
        """
        written = write_page(Path(path), title or self.name, self.steps, figures, self.recording.link())
        self.recording.keep_page(written)
        return written

    def prune(self, *, keep: int = 0) -> list[str]:
        """Delete results that this run didn't use.

        Args:
            keep: how many more of each step's are kept, the newest first.

        Returns:
            Their folders.

        Raises:
            InvalidRequest: nothing would be left.
        """
        if not (self.steps or keep):
            raise InvalidRequest(f"{self.name}: no step was called yet, wanted steps to keep. Prune after them.")
        gone = self._store.unused({(one.record.step, one.record.key) for one in self.steps}, keep)
        return [self._store.place.path(f"{step}/{key}") for step, key in gone if self._store.drop(step, key)]
