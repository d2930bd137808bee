"""Flow: plain functions as steps of an experiment, whose results are remembered until what made them changes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.experiment.flows import inputs, keeping, running
from ailab_dataproc.experiment.flows.code import Code
from ailab_dataproc.experiment.flows.graph import mermaid
from ailab_dataproc.experiment.flows.page import write_page
from ailab_dataproc.experiment.flows.recording import Recording
from ailab_dataproc.experiment.flows.step import Call, Step, changes, shown
from ailab_dataproc.experiment.flows.store import Input, Record, Store
from ailab_dataproc.experiment.flows.values import Tokens, digest
from ailab_dataproc.jobs.amounts import now
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
        self._names = inputs.Names(settings)
        self._tokens = Tokens(
            function=lambda one, where: self._code(one)[0],
            text=self._names.token,
            path=self._store.hashes.token,
        )
        self._last = self._store.last()
        self._makers = inputs.Makers(self._store.local)
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
        running.check(on, call, self._store)
        given = {name: self._input(call.name, name, one) for name, one in call.arguments.items()}
        place, code = self._code(call.function)
        tokens = [f"{name} {one.token}" for name, one in given.items()]
        key = digest(place, *sorted(code), *(code[name] for name in sorted(code)), *sorted(tokens))
        label = self._label(call.name, key)
        record, problem = self._known(call.name, key)
        why = ""
        with self.recording.active():
            if record is None:
                why = self._why(label, call.name, code, given, problem)
                record, why = self._run(call, key, code, given, on, label, why)
            made = Step(label=label, record=record, why=why, result=keeping.given(record.result, self._store.local))
            self._note(made)
        return made.result

    def _run(
        self, call: Call, key: str, code: Mapping[str, str], given: dict[str, Input], on: Any, label: str, why: str
    ) -> tuple[Record, str]:
        """Run it, or take what another process has made meanwhile."""
        with self._store.making(call.name, key) as out:
            record, _ = self._known(call.name, key)
            if record:
                return record, ""
            job = running.going_on(self._store, call.name, key)
            if job is None:
                self._store.clear(call.name, key)
                out.mkdir(parents=True)
            self._say(label, f"runs: {why}" + (f" (job {job.id})" if job else ""))
            started = time.perf_counter()
            try:
                result, where = running.run(call, out, on, job)
            except BaseException as error:
                self._say(label, f"failed after {time.perf_counter() - started:.1f} s ({type(error).__name__})")
                raise
            seconds = time.perf_counter() - started
            told = keeping.kept(result, self._store.local, f"{call.name}: its result")
            record = Record(
                step=call.name,
                key=key,
                code=dict(code),
                inputs=given,
                result=told,
                token=self._token(told, call.name),
                files=self._store.files(call.name, key),
                seconds=round(seconds, 3),
                finished=now(),
                on=where,
            )
            self._store.finish(record)
            return record, why

    def _known(self, name: str, key: str) -> tuple[Record | None, str]:
        """A finished step whose result is still as it was; or what is wrong with it."""
        record = self._store.record(name, key)
        if record is None:
            return None, ""
        problem = self._store.damage(record)
        try:
            if not problem and self._token(record.result, name) != record.token:
                problem = "what its result names has changed"
        except InvalidRequest as error:  # a file that is gone
            problem = str(error)
        return (None, problem) if problem else (record, "")

    def _token(self, told: Any, name: str) -> str:
        return digest(self._tokens.of(keeping.given(told, self._store.local), f"{name}: its result"))

    def _input(self, call: str, name: str, value: Any) -> Input:
        return Input(
            text=shown(value, name),
            token=digest(self._tokens.of(value, f"{call}: argument {name!r}")),
            made_by=self._makers.of(value, self.steps),
            data=[asdict(one) for one in self._names.all_data(value)],
        )

    def _code(self, function: Any) -> tuple[str, dict[str, str]]:
        found = Code()
        return found.add(function), found.found

    def _label(self, name: str, key: str) -> str:
        """The function's name; of a second call with other arguments with a number."""
        mine = [one for one in self.steps if one.record.step == name]
        same = next((one.label for one in mine if one.record.key == key), "")
        return same or (f"{name}-{len({one.label for one in mine}) + 1}" if mine else name)

    def _why(self, label: str, call: str, code: Mapping[str, str], given: Mapping[str, Input], problem: str) -> str:
        """Why a step runs: compared with its last run under this label, else with the call before."""
        if problem:
            return problem
        before = next((one.record for one in reversed(self.steps) if one.record.step == call), None)
        if label in self._last:
            before = self._store.record(*self._last[label]) or before
        return (changes(before, code, given) if before else "") or "there is no result of it"

    def _note(self, step: Step) -> None:
        if not step.ran:
            self._say(step.label, f"remembered ({step.record.seconds:.1f} s spared)")
        else:
            self._say(step.label, f"done in {step.record.seconds:.1f} s")
        self.steps = [*(one for one in self.steps if one.label != step.label), step]
        self._makers.add(step)
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
            f"{one.label}: ran, {one.why}" if one.ran else f"{one.label}: remembered, of {one.record.finished[:19]}"
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
        """
        used = {one.record.key for one in self.steps}
        left: dict[str, int] = {}
        gone = []
        for one in sorted(self._store.all(), key=lambda one: one.finished, reverse=True):
            if one.key in used:
                continue
            left[one.step] = left.get(one.step, 0) + 1
            if left[one.step] > keep:
                with self._store.making(one.step, one.key):
                    self._store.clear(one.step, one.key)
                gone.append(self._store.place.path(f"{one.step}/{one.key}"))
        return gone
