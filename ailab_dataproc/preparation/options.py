"""How a dataset is prepared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ailab_dataproc.lineage import Lineage
from ailab_dataproc.preparation.provenance import Step
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.storage import Folder

FORMATS = ("parquet", "tfrecord")


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What is known of a version that is made from other prepared versions, before its rows are; else nothing."""

    lineage: Lineage | None = None  # takes the place of code in the fingerprint
    files: Mapping[str, Folder] = field(default_factory=dict)  # published with the version, by the folder there
    key: str = ""  # changes when the files do: shards of an earlier run fit to the same ones only
    done: tuple[Step, ...] = ()  # what was done already

    @property
    def seconds(self) -> float:
        """Of all that was done already."""
        return sum(step.seconds for step in self.done)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a dataset is prepared; none of it but `formats`, `layout` and `derived` changes a byte."""

    runner: str = "threads"
    workers: int | None = None  # None: every core that this process may use
    cluster: str | None = None  # of runner="dask": an address, a name or a path of a configuration; None: as `connect`
    beam_options: Mapping[str, Any] | None = None  # of Beam's other runners, before those of the configuration
    formats: tuple[str, ...] = FORMATS
    layout: Layout = field(default_factory=Layout)
    sources: Mapping[str, Sequence[str]] | None = None  # in place of the definition's
    storage_options: Mapping[str, Any] | None = field(default=None, repr=False)
    downloads: str | None = None  # where downloads are kept; None: in the data directory
    definition: str | None = None  # the file, where the catalog knows it
    package: str = ""  # that brings the definition, with its version
    progress: bool = False
    derived: Derived = field(default_factory=Derived)
