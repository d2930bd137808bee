"""transform: a preprocessing_fn of tf.Transform over a prepared version makes a version of another dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from ailab_dataproc import functions, storage
from ailab_dataproc.columns import is_pii
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.deriving import Making
from ailab_dataproc.errors import InvalidRequest, require, unknown
from ailab_dataproc.loading import open_known
from ailab_dataproc.preparation import runners
from ailab_dataproc.preparation.engines.beam import BeamEngine
from ailab_dataproc.preparation.fingerprint import code_hash
from ailab_dataproc.preparation.options import FORMATS, Derived, Options
from ailab_dataproc.preparation.pipeline import prepare_dataset
from ailab_dataproc.preparation.transform import tensors
from ailab_dataproc.preparation.transform.analysis import Graph, Preprocessing
from ailab_dataproc.preparation.transform.applying import Transformed
from ailab_dataproc.preparation.transform.asked import Asked
from ailab_dataproc.preparation.transform.stage import (
    GRAPH,
    analyzed,
    cleared,
    feature_spec,
    graph_of,
    stage_folder,
)
from ailab_dataproc.report import Report, count_bytes
from ailab_dataproc.selecting import Request, Selected
from ailab_dataproc.settings import load_settings
from ailab_dataproc.sizing import Machine
from ailab_dataproc.storage import Folder
from ailab_dataproc.storage.lock import locked

# Beam keeps the rows of an analysis of several passes in memory, as pickles and as batches (benchmarks/transform.py).
_IN_MEMORY = 3.0  # times their Arrow bytes


def transform(  # noqa: PLR0913 - all but the first two have a name, and most a default
    reference: str,
    preprocessing_fn: Preprocessing,
    *,
    name: str,
    version: str,
    split: str = "all",
    columns: Sequence[str] | None = None,
    filters: Any = None,
    analyze: str | None = None,
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
    """Run a ``preprocessing_fn`` of tf.Transform over a prepared version; the result is a version of another dataset.

    Its analyzers (means, vocabularies, quantiles) see the rows of `analyze`; then the graph that holds what they found
    goes over all selected rows. Rows stay in their splits and in their order, a shard a shard. The graph lies beside
    the shards for serving: see `transform_graph`.

    Args:
        reference: what to read: ``name`` for its newest version, ``name:1.2.0`` or ``name:1.*``.
        preprocessing_fn: from a dict of tensors by column to a dict of tensors by output, as tf.Transform takes it. A
            scalar column is a tensor (n,), a fixed-size list (n, ...), a nullable scalar a SparseTensor with none or
            one value a row, a list a RaggedTensor; integers, booleans and times are int64, floats float32.
        name: of the dataset that is made.
        version: of it, ``major.minor.patch``.
        split: the rows wanted, as for `load`.
        columns: those that the function may use; by default all.
        filters: as for `load`.
        analyze: the rows that analyzers see, as a split; by default what is selected of ``"train"``, so that
            statistics know nothing of test data, or all where there is no such split.
        public: outputs that hold no personal data although the function uses columns that do.
        allow_pii: whether it may use columns with personal data; all outputs then count as such.
        description: what a row of the result is.
        owner: the person or team to ask; by default the source's.
        runner: as for `prepare`. Analyzers run in one thread of this machine, in the order of the rows, but with
            Beam's runners for clusters.
        workers: as for `prepare`.
        cluster: as for `prepare`.
        beam_options: as for `prepare`.
        formats: as for `prepare`.
        data_dir: where both are; by default as the settings say.
        progress: whether to show a bar.

    Returns:
        The report of the version that was made.
    """
    settings = load_settings()
    settings = replace(settings, data_dir=data_dir) if data_dir else settings
    prepared = open_known(reference, settings)
    label = functions.label(preprocessing_fn, "preprocessing_fn")
    given: dict[str, Any] = {"runner": runner, "workers": workers, "cluster": cluster, "beam_options": beam_options}
    given |= {"formats": tuple(formats), "progress": progress, "storage_options": settings.storage_options}
    asked = Asked.of(prepared, Request(split=split, columns=columns, filters=filters, allow_pii=allow_pii), analyze)
    making = _Making(
        place=storage.folder(settings.data_dir, settings.storage_options),
        name=name,
        version=version,
        chosen=asked.chosen,
        asked=asked,
        lineage=asked.lineage(label, code_hash(preprocessing_fn, label), public),
        words={"description": description, "owner": owner},
        options=Options(**given, definition=functions.file(preprocessing_fn)),
    )
    return making.there() or making.make(preprocessing_fn)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making(Making):
    """A version that is to be made by a preprocessing_fn."""

    asked: Asked

    def make(self, function: Preprocessing) -> Report:
        """Analyze, then transform, unless a twin that this one waited for has done it."""
        require("tensorflow_transform", "transform")
        engine = runners.choose(self.options, self.place)
        graph = self.asked.graph(function, self.lineage.function)
        selected, analysis = self.asked.select(graph.schema.names)
        if not isinstance(engine, BeamEngine):
            _check_room(analysis, self.asked.analyze)
        folder, told = self.place / self.name, f"{self.name}:{self.version}"
        stage = stage_folder(folder, self.version, self.parts)
        with locked(folder, f"{self.version}-transform", told), cleared(stage):
            found = self.there()
            if found:
                return found
            with locked(folder, self.version, told):  # which keeps `clean` away
                step, key = analyzed(stage, graph, analysis.selection.parts, engine)
            derived = Derived(lineage=self.lineage, files={GRAPH: graph_of(stage)}, key=key, done=(step,))
            dataset = self.dataset(graph, selected, graph_of(stage))
            report = prepare_dataset(dataset, self.place, replace(self.options, derived=derived))
        return replace(report, step="transform")

    def dataset(self, graph: Graph, selected: Mapping[str, Selected], files: Folder) -> Dataset:
        """The result as a definition, whose sources are parts of shards and whose `read` is the graph."""
        outputs = _outputs(feature_spec(files), graph, self.lineage.options["public"])
        parts = {split: found.selection.parts for split, found in selected.items()}
        made = Transformed(self.chosen.prepared.manifest.fingerprint, parts, graph.schema, outputs, files)
        return self.definition(outputs, made.read, made.sources)


def _outputs(spec: Mapping[str, Any], graph: Graph, public: Sequence[str]) -> pa.Schema:
    """The columns of the result; what is made of personal data is personal, unless somebody says otherwise."""
    for one in public:
        if one not in spec:
            raise unknown("output", one, spec, where=graph.label)
    personal = set(spec) - set(public) if any(map(is_pii, graph.schema)) else set()
    return tensors.output_schema(spec, graph.label, personal)


def _check_room(analysis: Selected, asked: str) -> None:
    need, room = int(analysis.need.bytes * _IN_MEMORY), Machine.here().memory // 2
    if need > room:
        raise InvalidRequest(
            f"analyze={asked!r}: its rows take {count_bytes(need)} while they are analyzed, half of the free memory is "
            f"{count_bytes(room)}. Analyze a part, such as analyze='train[:10%]', or use one of Beam's runners."
        )
