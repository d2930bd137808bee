"""map_partitions: a plain function over the parts of a prepared version makes a version of another dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from ailab_dataproc import functions, storage
from ailab_dataproc.deriving import Making
from ailab_dataproc.errors import InvalidRequest, require, unknown
from ailab_dataproc.loading import open_known
from ailab_dataproc.preparation import runners
from ailab_dataproc.preparation.fingerprint import code_hash
from ailab_dataproc.preparation.inferring import inferred, with_personal
from ailab_dataproc.preparation.mapped import FRAMES, Call, Mapped
from ailab_dataproc.preparation.options import FORMATS, Derived, Options
from ailab_dataproc.preparation.origins import Chosen
from ailab_dataproc.preparation.pipeline import prepare_dataset
from ailab_dataproc.report import Report
from ailab_dataproc.selecting import Request
from ailab_dataproc.settings import load_settings


def map_partitions(  # noqa: PLR0913 - all but the first two have a name, and most a default
    function: Callable[[Any], Any],
    reference: str,
    *,
    name: str,
    version: str,
    schema: pa.Schema | None = None,
    split: str = "all",
    columns: Sequence[str] | None = None,
    filters: Any = None,
    format: str = "pandas",
    public: Sequence[str] = (),
    allow_pii: bool = False,
    description: str = "",
    owner: str = "",
    runner: str = "threads",
    workers: int | None = None,
    cluster: str | None = None,
    beam_options: Mapping[str, Any] | None = None,
    formats: Sequence[str] = FORMATS,
    data_dir: str | None = None,
    progress: bool = False,
) -> Report:
    """Run a function over each part of a prepared version; what it returns is a version of another dataset.

    A part is what is asked for of one shard, and becomes a shard. Rows stay in their splits, and in the order in which
    the function returns them. It may return more rows than it got, or fewer, or none. Parts that filters leave empty
    don't reach it.

    The function runs once or more often for a part, on any worker and in any order: it must give the same rows for the
    same part, and keep nothing from one part to the next. The first part is also where columns are found from.

    Args:
        function: from a frame to a frame. Bind what else it needs with `functools.partial`.
        reference: what to read: ``name`` for its newest version, ``name:1.2.0`` or ``name:1.*``.
        name: of the dataset that is made.
        version: of it, ``major.minor.patch``.
        schema: its columns, ``pa.schema([column(…), …])``. By default those that the first part gets: a column with
            the name and type of one that was read keeps what is declared of it, another may hold nulls.
        split: the rows wanted, as for `load`.
        columns: those that the function gets; by default all.
        filters: as for `load`.
        format: what the function gets: ``"pandas"`` (with ``pd.ArrowDtype`` columns), ``"polars"`` or ``"arrow"``. It
            may return any of them.
        public: columns that hold no personal data although the function gets such.
        allow_pii: whether it may get columns with personal data; the columns that it makes then count as such.
        description: what a row of the result is.
        owner: the person or team to ask; by default the source's.
        runner: as for `prepare`.
        workers: as for `prepare`.
        cluster: as for `prepare`.
        beam_options: as for `prepare`.
        formats: as for `prepare`.
        data_dir: where both are; by default as the settings say.
        progress: whether to show a bar.

    Returns:
        The report of the version that was made, or was there already.

    Raises:
        SourceFailed: the function raised; the sentence names the part.
        InvalidData: what it returned isn't a frame, or doesn't fit the schema; part, column and value are named.
        VersionConflict: the version is there, made from something else.
    """
    settings = load_settings()
    settings = replace(settings, data_dir=data_dir) if data_dir else settings
    _check(format, schema)
    label = functions.label(function, "function")
    request = Request(split=split, columns=columns, filters=filters, allow_pii=allow_pii)
    chosen = Chosen.of(open_known(reference, settings), request)
    told = {"format": format, "public": sorted(public)}
    making = _Making(
        place=storage.folder(settings.data_dir, settings.storage_options),
        name=name,
        version=version,
        chosen=chosen,
        lineage=chosen.lineage("map_partitions", label, code_hash(function, label), told),
        words={"description": description, "owner": owner},
        options=Options(
            runner=runner,
            workers=workers,
            cluster=cluster,
            beam_options=beam_options,
            formats=tuple(formats),
            storage_options=settings.storage_options,
            definition=functions.file(function),
            progress=progress,
        ),
        function=function,
        schema=None if schema is None else with_personal(schema, chosen.schema, public),
    )
    return making.there() or making.make()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making(Making):
    """A version that is to be made by a function."""

    function: Callable[[Any], Any]

    def make(self) -> Report:
        """Find the columns, then map."""
        runners.choose(self.options, self.place)  # what is wrong there comes before a long look at the first part
        selected = self.chosen.select(self.chosen.request.columns)
        here = self.options.runner in runners.LOCAL
        function = self.function if here else functions.ByValue(self.function)
        call = Call(function, self.lineage.function, self.chosen.schema, self.lineage.options["format"])
        outputs = self.schema
        if outputs is None:
            outputs = inferred(call, (part for one in selected.values() for part in one.selection.parts))
            outputs = with_personal(outputs, call.inputs, self.lineage.options["public"])
        parts = {split: one.selection.parts for split, one in selected.items()}
        mapped = Mapped(self.chosen.prepared.manifest.fingerprint, parts, call, outputs)
        dataset = self.definition(outputs, mapped.read, mapped.sources)
        options = replace(self.options, derived=Derived(lineage=self.lineage))
        return replace(prepare_dataset(dataset, self.place, options), step=self.lineage.step)


def _check(format: str, schema: Any) -> None:
    if format not in FRAMES:
        raise unknown("format", format, FRAMES)
    require(FRAMES[format], format)
    if schema is not None and not isinstance(schema, pa.Schema):
        raise InvalidRequest(f"schema is a {type(schema).__name__}, wanted pa.schema([column(…), …]).")
