"""Which backend, which shards, why: decided by pure functions, explained by what they returned."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.backends import BACKENDS, Backend
from ailab_dataproc.backends.shards import Selection
from ailab_dataproc.errors import BackendRefused, InvalidRequest, MissingLibrary
from ailab_dataproc.report import count_bytes
from ailab_dataproc.selecting import Selected
from ailab_dataproc.sizing import Machine, Need

FAMILIES = ("eager", "lazy")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one backend says to a need."""

    backend: str
    refusal: str | None  # a sentence, or None: it can


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, and what all that were considered said."""

    backend: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `load` will do. Prints as text, and as a table in a notebook."""

    dataset: str  # name:version
    location: str  # the folder or URL of the version
    split: str  # as it was asked for
    selected: Selected
    machine: Machine
    choice: Choice
    asked: str  # the backend that was asked for, or "auto"
    returns: str  # the type that the backend returns
    all_columns: int

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

    def explain(self) -> str:
        """The decision as text: what is wanted, and what each backend said."""
        width = max(len(verdict.backend) for verdict in self.choice.verdicts)
        lines = [f"{self.dataset} {self._rows()}   {self._size()}"]
        for verdict in self.choice.verdicts:
            arrow = "->" if verdict.backend == self.backend else "  "
            lines.append(f"{arrow} {verdict.backend:<{width}}  {self._reason(verdict)}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, for JSON."""
        return {
            "dataset": self.dataset,
            "location": self.location,
            "split": self.split,
            "columns": self.selection.schema.names,
            "rows": self.need.rows,
            "bytes": self.need.bytes,
            "filters": self.selected.filters.text if self.selected.filters else None,
            "pruned": self.selected.pruned,
            "draw": str(self.selected.draw) if self.selected.draw else None,
            "shards": [{"path": p.path, "skip": p.skip, "take": p.take, "pick": p.pick} for p in self.selection.parts],
            "backend": self.backend,
            "asked": self.asked,
            "refusals": {verdict.backend: verdict.refusal for verdict in self.choice.verdicts},
            "memory": self.machine.memory,
            "cpus": self.machine.cpus,
            "gpus": list(self.machine.gpus),
        }

    def __str__(self) -> str:
        return self.explain()

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{'→' if v.backend == self.backend else ''}</td><td>{html.escape(v.backend)}</td>"
            f"<td style='text-align:left'>{html.escape(self._reason(v))}</td></tr>"
            for v in self.choice.verdicts
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

    def _reason(self, verdict: Verdict) -> str:
        if verdict.refusal:
            return verdict.refusal
        if verdict.backend == self.backend:
            why = "as asked" if self.asked == verdict.backend else "the first on the ladder that fits"
            return (
                f"{self.returns}; {why} ({count_bytes(self.machine.memory)} of memory free, {self.machine.cpus} cores)"
            )
        return "would do"


def choose(
    need: Need, machine: Machine, backends: Mapping[str, Backend], *, asked: str, ladder: Sequence[str]
) -> Choice:
    """The backend that was asked for or, for "auto", the first on the ladder that doesn't refuse.

    Args:
        need: what is wanted.
        machine: what is there.
        backends: all that can be considered, by name.
        asked: a name, or "auto".
        ladder: the order in which "auto" tries.

    Raises:
        BackendRefused: the one that was asked for refuses, or all on the ladder do; it is never swapped for another.
        MissingLibrary: the one that was asked for isn't installed.
    """
    verdicts = tuple(Verdict(name, one.refuse(need, machine)) for name, one in backends.items())
    said = {verdict.backend: verdict.refusal for verdict in verdicts}
    if asked != "auto":
        refusal = said[asked]
        if refusal is None:
            return Choice(asked, verdicts)
        kind = MissingLibrary if "not installed" in refusal else BackendRefused
        raise kind(f"backend {asked!r}: {refusal}.")
    for name in ladder:
        if said[name] is None:
            return Choice(name, verdicts)
    told = "; ".join(f"{name}: {said[name]}" for name in ladder)
    raise BackendRefused(f"backend 'auto': none fits. {told}. Take fewer columns or a smaller split.")


def check_ladder(ladder: Sequence[str], family: str | None, backends: Mapping[str, Backend]) -> tuple[str, ...]:
    """The ladder narrowed to a family.

    Raises:
        InvalidRequest: the ladder names something unknown, the family isn't one, or nothing is left.
    """
    for name in ladder:
        if name not in backends:
            raise InvalidRequest(f"settings: auto names {name!r}, wanted some of {', '.join(BACKENDS)}.")
    if family is None:
        return tuple(ladder)
    if family not in FAMILIES:
        raise InvalidRequest(f"family={family!r}: wanted 'eager' (all rows in memory) or 'lazy' (on demand).")
    kept = tuple(name for name in ladder if backends[name].family == family)
    if not kept:
        raise InvalidRequest(f"family={family!r}: no backend of the ladder ({', '.join(ladder)}) is {family}.")
    return kept
