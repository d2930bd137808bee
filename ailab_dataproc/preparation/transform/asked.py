"""Which rows and columns of a prepared version go through a graph, and which of them its analyzers see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from ailab_dataproc import splits
from ailab_dataproc.lineage import Lineage
from ailab_dataproc.manifest import Prepared
from ailab_dataproc.preparation.origins import Chosen
from ailab_dataproc.preparation.transform import tensors
from ailab_dataproc.preparation.transform.analysis import Graph, Preprocessing, refused
from ailab_dataproc.selecting import Request, Selected


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows and columns of a prepared version are read."""

    chosen: Chosen
    analyze: str

    @classmethod
    def of(cls, prepared: Prepared, request: Request, analyze: str | None) -> Asked:
        """Check what is asked for, without reading a row."""
        chosen = Chosen.of(prepared, request)
        wanted = analyze or chosen.by_split.get("train", request.split)
        splits.parse(wanted, prepared.manifest.splits, prepared.name)
        return cls(chosen, wanted)

    def lineage(self, function: str, code: str, public: Sequence[str]) -> Lineage:
        """What the result is made from."""
        return self.chosen.lineage("transform", function, code, {"analyze": self.analyze, "public": sorted(public)})

    def graph(self, function: Preprocessing, label: str) -> Graph:
        """The function, with the columns that it uses."""
        asked, prepared, schema = self.chosen.request.columns, self.chosen.prepared, self.chosen.schema
        bad = {one.name: one.type for one in schema if tensors.value_type(one) is None}
        for one in bad if asked is not None else ():
            raise refused(prepared.name, one, bad[one])
        able = pa.schema([one for one in schema if one.name not in bad])
        graph = Graph(function, label, prepared.name, able, bad)
        return replace(graph, schema=pa.schema([able.field(one) for one in graph.used()]))

    def select(self, columns: Sequence[str]) -> tuple[dict[str, Selected], Selected]:
        """The parts of shards to transform, by split, and those to analyze."""
        return self.chosen.select(columns), self.chosen.some(self.analyze, columns, "analyze=")
