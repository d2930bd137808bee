"""What data a run, a model or a step used: a dataset's exact version, the split, and what of it was read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.planning import Plan
from ailab_dataproc.report import Report
from ailab_dataproc.settings import Settings, load_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Data that was read. The same data has the same digest everywhere."""

    name: str
    version: str
    split: str  # as it was asked for
    fingerprint: str  # of the version
    location: str  # the folder or URL of the version
    columns: tuple[str, ...] = ()  # that were read; none: all
    filters: str = ""
    draw: str = ""  # the sample or limit
    rows: int = 0
    bytes: int = 0  # as Arrow

    @classmethod
    def of(cls, data: Any, *, split: str = "all", settings: Settings | None = None) -> Used:
        """What `data` says of itself.

        Args:
            data: a `Plan`, or the name of a prepared version (``"products/ad_log/impressions:1.0.0"``).
            split: of a name: which rows.
            settings: where prepared data lies; None reads them.

        Raises:
            InvalidRequest: it is something else.
            NotPrepared: there is no such version.
        """
        if isinstance(data, cls):
            return data
        if isinstance(data, Plan):
            return cls._of_plan(data)
        if isinstance(data, Report):
            return cls.of(data.dataset, split="+".join(data.rows) or split, settings=settings)
        if isinstance(data, str):
            from ailab_dataproc.loading import plan

            given = settings or load_settings()
            return cls._of_plan(plan(data, split=split, backend="arrow", data_dir=given.data_dir))
        raise InvalidRequest(f"data={data!r}: wanted a Plan, a Report or the name of a dataset.")

    @classmethod
    def _of_plan(cls, plan: Plan) -> Used:
        name, _, version = plan.dataset.partition(":")
        names = tuple(plan.selection.schema.names)
        return cls(
            name=name,
            version=version,
            split=plan.split,
            fingerprint=plan.fingerprint,
            location=plan.location,
            columns=names if len(names) < plan.all_columns else (),
            filters=plan.selected.filters.text if plan.selected.filters else "",
            draw=str(plan.selected.draw) if plan.selected.draw else "",
            rows=plan.need.rows,
            bytes=plan.need.bytes,
        )

    @property
    def reference(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"

    @property
    def digest(self) -> str:
        """32 hex digits of the fingerprint, the split and what of it was read.

        MLflow takes at most 36 characters, and holds two inputs of one name and one digest for one.
        """
        parts = [self.fingerprint, self.split, *sorted(self.columns), self.filters, self.draw]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
