"""Which rows and columns of a prepared version go through a graph, and which of them its analyzers see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from ailab_dataproc import splits
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.manifest import Lineage, Origin, Prepared
from ailab_dataproc.preparation.transform import tensors
from ailab_dataproc.preparation.transform.analysis import Graph, Preprocessing, refused
from ailab_dataproc.selecting import Request, Selected, select


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows and columns of a prepared version are read."""

    prepared: Prepared
    request: Request
    by_split: Mapping[str, str]  # what of each split, as a split
    analyze: str
    filters: str  # for people

    @classmethod
    def of(cls, prepared: Prepared, request: Request, analyze: str | None) -> Asked:
        """Check what is asked for, without reading a row."""
        rows, name = prepared.manifest.rows, prepared.name
        found = select(prepared, replace(request, allow_pii=True))  # which columns are used is not known yet
        members: dict[str, list[str]] = {}
        for one in splits.parse(request.split, prepared.manifest.splits, name):
            whole = (one.start, one.stop) == (0, rows[one.split])
            text = one.split if whole else f"{one.split}[{one.start}:{one.stop}]"
            members.setdefault(one.split, []).append(text)
        by_split = {one: "+".join(texts) for one, texts in members.items()}
        default = by_split.get("train", request.split)
        splits.parse(analyze or default, prepared.manifest.splits, name)
        return cls(prepared, request, by_split, analyze or default, found.filters.text if found.filters else "")

    def lineage(self, function: str, code: str, public: Sequence[str]) -> Lineage:
        """What the result is made from."""
        manifest = self.prepared.manifest
        origin = Origin(
            name=manifest.name,
            version=manifest.version,
            fingerprint=manifest.fingerprint,
            split=self.request.split,
            columns=list(self.request.columns or ()),
            filters=self.filters,
        )
        options = {"analyze": self.analyze, "public": sorted(public)}
        return Lineage(step="transform", derived_from=[origin], function=function, code=code, options=options)

    def graph(self, function: Preprocessing, label: str) -> Graph:
        """The function, with the columns that it uses."""
        asked = self.request.columns
        schema = self.prepared.schema
        schema = pa.schema([schema.field(one) for one in asked]) if asked is not None else schema
        bad = {one.name: one.type for one in schema if tensors.value_type(one) is None}
        for one in bad if asked is not None else ():
            raise refused(self.prepared.name, one, bad[one])
        able = pa.schema([one for one in schema if one.name not in bad])
        graph = Graph(function, label, self.prepared.name, able, bad)
        return replace(graph, schema=pa.schema([able.field(one) for one in graph.used()]))

    def select(self, columns: Sequence[str]) -> tuple[dict[str, Selected], Selected]:
        """The parts of shards to transform, by split, and those to analyze."""
        request = replace(self.request, columns=columns)
        found = {one: select(self.prepared, replace(request, split=text)) for one, text in self.by_split.items()}
        analysis = select(self.prepared, replace(request, split=self.analyze))
        for one, selected in (*found.items(), (self.analyze, analysis)):
            if not selected.need.rows:
                raise InvalidRequest(
                    f"{self.prepared.name}: {one!r} has no row that is asked for. Leave it out with split= or analyze=."
                )
        return found, analysis
