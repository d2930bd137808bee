"""Which rows and columns of a prepared version another one is made from, and these as its sources: parts of shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from ailab_dataproc import splits
from ailab_dataproc.backends.shards import Part
from ailab_dataproc.dataset import Source
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.lineage import Lineage, Origin
from ailab_dataproc.manifest import Prepared
from ailab_dataproc.selecting import Request, Selected, select


@dataclass(frozen=True, slots=True)
class Chosen:
    """Rows and columns of a prepared version."""

    prepared: Prepared
    request: Request
    by_split: Mapping[str, str]  # what of each split, as a split
    filters: str  # for people

    @classmethod
    def of(cls, prepared: Prepared, request: Request) -> Chosen:
        """Check what is asked for, without reading a row; whether personal data may be read is left for `select`."""
        rows = prepared.manifest.rows
        found = select(prepared, replace(request, allow_pii=True))
        members: dict[str, list[str]] = {}
        for one in splits.parse(request.split, prepared.manifest.splits, prepared.name):
            whole = (one.start, one.stop) == (0, rows[one.split])
            text = one.split if whole else f"{one.split}[{one.start}:{one.stop}]"
            members.setdefault(one.split, []).append(text)
        by_split = {one: "+".join(texts) for one, texts in members.items()}
        return cls(prepared, request, by_split, found.filters.text if found.filters else "")

    @property
    def schema(self) -> pa.Schema:
        """The columns that are asked for."""
        schema, asked = self.prepared.schema, self.request.columns
        return schema if asked is None else pa.schema([schema.field(one) for one in asked])

    def select(self, columns: Sequence[str] | None) -> dict[str, Selected]:
        """The parts of shards by split.

        Args:
            columns: those that are read; None for all.
        """
        return {one: self.some(text, columns, "split=") for one, text in self.by_split.items()}

    def some(self, split: str, columns: Sequence[str] | None, argument: str) -> Selected:
        """The parts of shards of one split.

        Raises:
            InvalidRequest: there is no row, or columns with personal data may not be read.
        """
        selected = select(self.prepared, replace(self.request, columns=columns, split=split))
        if not selected.need.rows:
            raise InvalidRequest(
                f"{self.prepared.name}: {split!r} has no row that is asked for. Leave it out with {argument}."
            )
        return selected

    def lineage(self, step: str, function: str, code: str, options: Mapping[str, Any]) -> Lineage:
        """What is made from these rows and columns.

        Args:
            step: such as "transform".
            function: module and name.
            code: a hash of it.
            options: of the step, as far as they change a byte.
        """
        manifest = self.prepared.manifest
        origin = Origin(
            name=manifest.name,
            version=manifest.version,
            fingerprint=manifest.fingerprint,
            split=self.request.split,
            columns=list(self.request.columns or ()),
            filters=self.filters,
        )
        return Lineage(step=step, derived_from=[origin], function=function, code=code, options=dict(options))


@dataclass(frozen=True, slots=True)
class PartSources:
    """Parts of the shards of a prepared version as the sources of another one. Safe to send to a worker."""

    fingerprint: str  # of the version that is read
    parts: Mapping[str, Sequence[Part]]  # by split

    def sources(self, split: str, place: str) -> Iterator[Source]:
        """A source for each part of a shard; its size is not told, so that it becomes a shard of its own."""
        for number, part in enumerate(self.parts[split]):
            # What the rows are is decided by the version and the place in it, not by the bytes of its files.
            identity = f"{self.fingerprint}/{part.path}/{part.skip}+{part.take}"
            yield Source(f"{place}/{number:07d}", split, identity=identity)

    def part(self, source: Source) -> Part:
        """What a source stands for."""
        return self.parts[source.split][int(source.url.rsplit("/", 1)[-1])]
