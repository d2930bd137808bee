"""A version of a dataset that is made of another one: found where it is there already, else defined for preparing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from ailab_dataproc.dataset import Dataset, FindSources, Source, check_name, check_version
from ailab_dataproc.lineage import Lineage
from ailab_dataproc.manifest import MANIFEST, read_manifest
from ailab_dataproc.preparation.fingerprint import layout_part, lineage_parts, schema_part
from ailab_dataproc.preparation.options import Options
from ailab_dataproc.preparation.origins import Chosen
from ailab_dataproc.preparation.pipeline import reused
from ailab_dataproc.report import Report
from ailab_dataproc.storage import Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """A version that is to be made."""

    place: Folder  # the data directory
    name: str
    version: str
    chosen: Chosen  # what it is made of
    lineage: Lineage
    words: Mapping[str, str]  # for people: description, owner
    options: Options
    schema: pa.Schema | None = None  # where it is given

    def __post_init__(self) -> None:
        check_name(self.name)
        check_version(self.version, where=self.name)

    @property
    def parts(self) -> dict[str, str]:
        """Of the fingerprint, what is known before a row is read."""
        layout = layout_part(self.options.layout, self.options.formats)
        given = {} if self.schema is None else {"schema": schema_part(self.schema)}
        return {**lineage_parts(self.lineage), **given, "layout": layout}

    def there(self) -> Report | None:
        """The report of the version where it is there already.

        Raises:
            VersionConflict: it was made from something else.
        """
        final = self.place / self.name / self.version
        if not final.exists(MANIFEST):
            return None
        manifest = read_manifest(final)
        return replace(reused(final, manifest, {**manifest.parts, **self.parts}), step=self.lineage.step)

    def definition(self, schema: pa.Schema, read: Callable[[Source], Iterable[Any]], sources: FindSources) -> Dataset:
        """It as a definition.

        Args:
            schema: its columns.
            read: makes the rows of a source.
            sources: finds the sources of a split.
        """
        prepared = self.chosen.prepared
        return Dataset(
            name=self.name,
            version=self.version,
            schema=schema,
            splits={split: f"prepared://{prepared.name}/{split}" for split in self.chosen.by_split},
            read=read,
            sources=sources,
            allow_empty=True,  # filters may leave nothing of a shard
            description=self.words["description"] or f"Made from {self.lineage}.",
            owner=self.words["owner"] or prepared.manifest.owner,
            license=prepared.manifest.license,
        )
