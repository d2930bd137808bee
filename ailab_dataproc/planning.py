"""What a load will do, and why: a Plan, which explains itself and can be carried out."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ailab_dataproc import report
from ailab_dataproc.backends import backend, on_gpu
from ailab_dataproc.backends.shards import Selection
from ailab_dataproc.calibration import Calibration
from ailab_dataproc.choosing import Choice, Verdict
from ailab_dataproc.lineage import Lineage
from ailab_dataproc.loaded import Loaded, remember
from ailab_dataproc.report import Report, count_bytes
from ailab_dataproc.selecting import Selected
from ailab_dataproc.sizing import Machine, Need

_VERSIONS = ("ailab_dataproc", "pyarrow", "numpy", "pandas", "polars", "dask", "cudf-cu13", "tensorflow", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `load` will do. Prints as text, and as a table in a notebook."""

    dataset: str  # name:version
    location: str  # the folder or URL of the version
    fingerprint: str  # of the version
    split: str  # as it was asked for
    selected: Selected
    machine: Machine
    choice: Choice
    asked: str  # the backend that was asked for, or "auto"
    ladder: tuple[str, ...]  # of "auto", narrowed to the family; empty where a backend was asked for
    returns: str  # the type that the backend returns
    all_columns: int
    calibration: Calibration = field(default_factory=Calibration)
    package: str = ""  # whose definition made the version
    lineage: Lineage | None = None  # of the version; None where it was read from plain sources

    @property
    def selection(self) -> Selection:
        """The parts of shards that are read."""
        return self.selected.selection

    @property
    def need(self) -> Need:
        """What is asked for."""
        return self.selected.need

    @property
    def backend(self) -> str:
        """The chosen backend's name."""
        return self.choice.backend

    def load(self) -> Any:
        """Do it: the backend's own object. `ailab_dataproc.last_report` tells what it took."""
        before, highest = report.resident_memory(), report.peak_memory()
        started = time.perf_counter()
        frame = backend(self.backend).read(self.selection)
        seconds = time.perf_counter() - started
        peak = report.peak_memory()
        made = self._report(frame, seconds, peak, peak - before if peak > highest else None)
        report.keep(made)
        for one in (frame, made):
            remember(one, Loaded(self, made))
        return frame

    def explain(self) -> str:
        """The decision as text: what is wanted, what each backend said, and what they were judged by."""
        lines = list(self._lines())
        width = max(len(name) for _, name, _ in lines)
        told = [f"{mark:<2} {name:<{width}}  {text}" for mark, name, text in lines]
        return "\n".join([f"{self.dataset} {self._rows()}   {self._size()}", *told])

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, for JSON."""
        return {
            "dataset": self.dataset,
            "location": self.location,
            "fingerprint": self.fingerprint,
            "package": self.package,
            "split": self.split,
            "columns": self.selection.schema.names,
            "rows": self.need.rows,
            "bytes": self.need.bytes,
            "column_bytes": dict(self.need.columns),
            "at_most": self.need.filtered,
            "filters": self.selected.filters.text if self.selected.filters else None,
            "pruned": self.selected.pruned,
            "draw": str(self.selected.draw) if self.selected.draw else None,
            "shards": [{"path": p.path, "skip": p.skip, "take": p.take, "pick": p.pick} for p in self.selection.parts],
            "backend": self.backend,
            "asked": self.asked,
            "returns": self.returns,
            "reason": self.choice.reason,
            "ladder": list(self.ladder),
            "refusals": {verdict.backend: verdict.refusal for verdict in self.choice.verdicts},
            "peaks": {verdict.backend: verdict.peak for verdict in self.choice.verdicts},
            "seconds": {v.backend: v.seconds for v in self.choice.verdicts if v.seconds is not None},
            "calibration": str(self.calibration),
            **_machine(self.machine),
            "cluster": _machine(self.machine.cluster) if self.machine.cluster else None,
        }

    def __str__(self) -> str:
        return self.explain()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # of IPython in a terminal
        printer.text(self.explain())

    def _repr_html_(self) -> str:
        left = "<td style='text-align:left'>"  # in each cell: notebooks align cells to the right
        rows = "".join(
            f"<tr>{left}{'→' if mark else ''}</td>{left}{html.escape(name)}</td>{left}{html.escape(text)}</td></tr>"
            for mark, name, text in self._lines()
        )
        title = html.escape(f"{self.dataset} {self._rows()}: {self._size()}")
        return f"<table><caption>{title}</caption>{rows}</table>"

    def _rows(self) -> str:
        draw = self.selected.draw
        return f"{self.split}, {draw}" if draw else self.split

    def _size(self) -> str:
        most = "at most " if self.need.filtered else ""
        return (
            f"{most}{self.need.rows:,} rows · {most}{count_bytes(self.need.bytes)} as Arrow · "
            f"{len(self.selection.schema)} of {self.all_columns} columns · "
            f"{self.need.shards:,} of {self.selected.all_shards:,} shards{self._pruned()}"
        )

    def _pruned(self) -> str:
        filters = self.selected.filters
        if filters is None:
            return ""
        return f", {self.selected.pruned:,} pruned by {filters.text}"

    def _lines(self) -> Iterator[tuple[str, str, str]]:
        """Mark, name and text of each line: the ladder, the other backends in few lines, the machine."""
        said = {verdict.backend: verdict for verdict in self.choice.verdicts}
        first = self.ladder or (self.backend,)
        for name in first:
            yield "->" if name == self.backend else "", name, self._told(said[name])
        others = [verdict for name, verdict in said.items() if name not in first]
        able = [one for one in others if one.refusal is None]
        if able:
            yield "", "if asked", ", ".join(f"{one.backend} ({self._memory(one)})" for one in able)
        yield from _refused([one for one in others if one.refusal])
        yield from self._judged(said)

    def _told(self, verdict: Verdict) -> str:
        if verdict.refusal:
            return verdict.refusal
        if verdict.backend != self.backend:
            seconds = f", about {verdict.seconds:.2g} s" if verdict.seconds is not None else ""
            return f"would do ({self._memory(verdict)}{seconds})"
        return f"{self.returns}; {self.choice.reason}; {self._memory(verdict)}, {self._free(verdict)}"

    def _memory(self, verdict: Verdict) -> str:
        most = "at most " if self.need.filtered else ""
        if verdict.family == "lazy":
            return f"{most}{count_bytes(verdict.peak)} a thread"
        return f"{most}{count_bytes(verdict.peak)} at the peak"

    def _free(self, verdict: Verdict) -> str:
        there = self.machine.under(verdict.family)
        if on_gpu(backend(verdict.backend)):
            return f"{_gpus(there)} free"
        if there.address:
            return f"on the cluster {there.address}"
        return f"{count_bytes(there.memory)} of memory free"

    def _judged(self, said: dict[str, Verdict]) -> Iterator[tuple[str, str, str]]:
        """What the verdicts rest on."""
        here, cluster = self.machine, self.machine.cluster
        gpus = f"; {_gpus(here)} free" if here.gpus else ""
        if gpus and self.ladder and not any(on_gpu(backend(name)) for name in self.ladder):
            gpus += ", which no backend of the ladder uses (settings: auto)"
        yield "", "machine", f"{count_bytes(here.memory)} of memory free, {here.cpus} cores{gpus}"
        if cluster and any(one.family == "lazy" for one in said.values()):
            yield "", "cluster", _cluster(cluster)
        if self.ladder:
            yield "", "ladder", f"{', '.join(self.ladder)}; calibration: {self.calibration}"

    def _report(self, frame: Any, seconds: float, peak: int, measured: int | None) -> Report:
        verdict = self.choice.verdict
        rows = _rows(frame) if verdict.family == "eager" else None
        return Report(
            step="load",
            dataset=self.dataset,
            location=self.location,
            fingerprint=self.fingerprint,
            package=self.package,
            rows={self.split: self.need.rows if rows is None else rows},
            at_most=self.need.filtered and rows is None,
            shards=self.need.shards,
            bytes={"arrow": self.need.bytes},
            seconds=seconds,
            peak_memory=peak,
            predicted_memory=verdict.peak,
            measured_memory=measured if verdict.family == "eager" else None,
            columns=list(self.selection.schema.names),
            filters=self.selected.filters.text if self.selected.filters else "",
            backend=self.backend,
            reason=self.choice.reason,
            versions=_versions(),
        )


def _refused(those: list[Verdict]) -> Iterator[tuple[str, str, str]]:
    """Those that say the same in one line, those that aren't installed in one."""
    lines: dict[str, list[str]] = {}
    for one in those:
        missing = "not installed" in str(one.refusal)
        lines.setdefault("not installed" if missing else str(one.refusal), []).append(one.backend)
    for text, names in lines.items():
        yield "", ", ".join(names), text


def _cluster(one: Machine) -> str:
    if not one.workers:
        return f"{one.address} has no worker yet: planned for this machine"
    gpus = f"; {_gpus(one)} free" if one.gpus else ""
    return f"{len(one.workers)} workers, {one.cpus} threads, {count_bytes(one.memory)} free{gpus}, from {one.address}"


def _gpus(one: Machine) -> str:
    names = sorted({device.name for device in one.devices}) or ["GPU"]
    return f"{len(one.gpus)} x {' and '.join(names)} with {count_bytes(sum(one.gpus))}"


def _machine(one: Machine) -> dict[str, Any]:
    told = {"memory": one.memory, "cpus": one.cpus, "gpus": list(one.gpus), "no_gpu": one.no_gpu}
    if one.address:
        told |= {"address": one.address, "workers": len(one.workers)}
    return told


def _rows(frame: Any) -> int:
    if isinstance(frame, dict):
        return len(next(iter(frame.values())))
    return len(frame)


@cache
def _versions() -> dict[str, str]:
    return report.versions(_VERSIONS)
