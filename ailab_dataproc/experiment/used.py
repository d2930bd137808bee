"""What data a run, a model or a step used: a dataset's exact version, the split, and what of it was read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ailab_dataproc.errors import InvalidRequest, NotPrepared, UnknownName, VersionConflict
from ailab_dataproc.settings import Settings

_LONGEST = 32_000  # characters of filters that are kept; MLflow takes 65,535 of a source


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Data that was read. The same data has the same digest everywhere."""

    name: str
    version: str
    split: str  # as it was asked for
    fingerprint: str  # of the version
    location: str  # the folder or URL of the version, where it was read
    columns: tuple[str, ...] = ()  # that were read; none: all
    filters: str = ""  # for people; without values of personal data
    draw: str = ""  # the sample or limit, for people
    rows: int = 0
    at_most: bool = False  # whether filters may leave fewer rows, since nobody has counted
    bytes: int = 0  # as Arrow
    rows_of: str = ""  # what `load` takes to give the same rows of the split, as JSON; see `knowing.Known`
    rows_hash: str = ""  # of that, also where it isn't kept: too long, or with values of personal data
    made_from: tuple[str, ...] = ()  # the versions that this one was made from

    @classmethod
    def of(cls, data: Any, *, split: str = "all", settings: Settings | None = None) -> Used:
        """What `data` says of itself.

        Args:
            data: what `load` or `batches` returned, a `Plan`, a `Report`, the name of a prepared version
                (``"products/ad_log/impressions:1.0.0"``), or None for what was loaded last in this thread.
            split: of a name: which rows.
            settings: where prepared data lies; None reads them.

        Raises:
            InvalidRequest: it is something else.
            NotPrepared, UnknownName: there is no such version.
        """
        if isinstance(data, cls):
            return data
        from ailab_dataproc.experiment import knowing

        return cls.known(data if isinstance(data, knowing.Known) else knowing.know(data, split, settings))

    @classmethod
    def known(cls, known: Any) -> Self:
        """Of a `knowing.Known`."""
        from ailab_dataproc.columns import is_pii
        from ailab_dataproc.experiment import knowing

        selected, rows_of = known.selected, known.rows_of
        name, _, version = known.dataset.partition(":")
        names = tuple(selected.selection.schema.names)
        personal = selected.filters and any(map(is_pii, selected.filters.rows.columns))
        report = known.report if known.plan else None
        counted = bool(report and not report.at_most)
        return cls(
            name=name,
            version=version,
            split=known.split,
            fingerprint=known.fingerprint,
            location=known.location,
            columns=names if len(names) < known.all_columns else (),
            filters=knowing.shown(selected.filters),
            draw=str(selected.draw or ""),
            rows=sum(report.rows.values()) if report and counted else selected.need.rows,
            at_most=selected.need.filtered and not counted,
            bytes=selected.need.bytes,
            rows_of="" if personal or len(rows_of) > _LONGEST else rows_of,
            rows_hash=knowing.short_hash(rows_of) if rows_of else "",
            made_from=tuple(_origin(one) for one in known.lineage.derived_from) if known.lineage else (),
        )

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Of what `to_dict` gave, also of an older or newer release: what isn't known here is left out."""
        names = {one.name for one in dataclasses.fields(cls)}
        kept: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in found.items() if key in names
        }
        return cls(**kept)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        found = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}

    @property
    def reference(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"

    @property
    def digest(self) -> str:
        """32 hex digits of the fingerprint, the split and what of it was read.

        MLflow takes at most 36 characters, and holds two inputs of one name and one digest for one.
        """
        from ailab_dataproc.experiment import knowing

        return knowing.short_hash("\0".join([self.fingerprint, self.split, *sorted(self.columns), self.rows_hash]))

    @property
    def load_line(self) -> str:
        """The line of Python that loads the same again; what it can't say stands behind it."""
        given = [repr(self.reference)]
        given += [f"split={self.split!r}"] if self.split != "all" else []
        given += [f"columns={list(self.columns)!r}"] if self.columns else []
        rows = json.loads(self.rows_of) if self.rows_of else {}
        given += [f"{key}={value!r}" for key, value in rows.items() if key != "expression"]
        whole = "expression" not in rows and bool(self.rows_of) == bool(self.rows_hash)
        return f"adp.load({', '.join(given)})" + ("" if whole else f"  # where {self.filters}")

    def load(self, **options: Any) -> Any:
        """Load the same rows and columns again.

        They are looked for in the data directory of this machine (or `data_dir`), wherever they lay when they were
        used: what counts is the fingerprint of the version, which is compared before anything is read.

        Args:
            **options: what `load` takes: backend, family, nulls, dtypes, allow_pii, data_dir; columns or filters in
                place of those that were used.

        Raises:
            VersionConflict: the version is here, but made from something else.
            InvalidRequest: the filters weren't kept.
            NotPrepared, UnknownName: the version isn't here.
        """
        from ailab_dataproc.loading import load

        return load(self.reference, **self.checked(options))

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of `load`, after a look at the version's fingerprint."""
        prepared = self._open(options.get("data_dir"))
        found = prepared.manifest.fingerprint
        if found != self.fingerprint:
            raise VersionConflict(
                f"{self.reference}: found the fingerprint {found} in {prepared.folder.url}, wanted {self.fingerprint}, "
                f"as it was used from {self.location}. Set AILAB_DATA_DIR (or data_dir=) to where that version lies."
            )
        return {"split": self.split, "columns": list(self.columns) or None, **self._rows(options), **options}

    def _open(self, data_dir: str | None) -> Any:
        from ailab_dataproc.experiment import knowing
        from ailab_dataproc.loading import open_known
        from ailab_dataproc.settings import load_settings

        settings = load_settings()
        if data_dir:
            settings = dataclasses.replace(settings, data_dir=data_dir)
        try:
            return open_known(self.reference, settings)
        except (NotPrepared, UnknownName) as error:
            elsewhere = knowing.root(self.location, self.reference)
            if elsewhere == settings.data_dir:
                raise
            raise type(error)(f"{error} It was used from {elsewhere}: pass data_dir= if you can reach that.") from error

    def _rows(self, options: Mapping[str, Any]) -> dict[str, Any]:
        from ailab_dataproc.experiment import knowing

        if self.rows_hash and not self.rows_of and "filters" not in options:
            raise InvalidRequest(
                f"{self.reference}: the values of its filters ({self.filters}) were not kept, since they are personal "
                "data or too many. Pass filters=, or filters=None for all rows."
            )
        found = json.loads(self.rows_of) if self.rows_of else {}
        if "expression" in found:
            found["filters"] = knowing.expression(found.pop("expression"))
        elif "filters" in found:
            found["filters"] = [[tuple(one) for one in group] for group in found["filters"]]
        return found


def _origin(one: Any) -> str:
    return f"{one.name}:{one.version}" + (f" {one.split}" if one.split != "all" else "")
