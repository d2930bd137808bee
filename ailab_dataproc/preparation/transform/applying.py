"""The graph goes over the rows, shard by shard and in order: the `sources` and `read` of the dataset that is made."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from ailab_dataproc.columns import is_pii
from ailab_dataproc.dataset import Source
from ailab_dataproc.errors import InvalidData
from ailab_dataproc.preparation.origins import PartSources
from ailab_dataproc.preparation.transform import tensors
from ailab_dataproc.preparation.transform.analysis import read_batches, to_tensors
from ailab_dataproc.preparation.transform.stage import fetch
from ailab_dataproc.storage import Folder

_loading = threading.Lock()


@dataclass(frozen=True, slots=True)
class Transformed(PartSources):
    """Rows of a prepared version, and the graph that they go through. Safe to send to a worker."""

    inputs: pa.Schema  # the columns that the graph takes
    outputs: pa.Schema
    graph: Folder

    def read(self, source: Source) -> Iterator[pa.RecordBatch]:
        """The rows of one part, transformed."""
        part = self.part(source)
        where = part.folder.path(part.path)
        with _loading:  # one thread loads, the others wait
            graph = _loaded(self.graph)
        convert = to_tensors(self.inputs)
        for batch in read_batches(part, self.inputs):
            try:
                found = graph.layer(convert(batch))
            except Exception as error:
                shown = "message not shown: PII" if any(map(is_pii, self.inputs)) else str(error).split("\n", 1)[0]
                raise InvalidData(f"{where}: the graph fails with {type(error).__name__} ({shown}).") from error
            made = tensors.to_batch(found, self.outputs, where)
            if made.num_rows != batch.num_rows:
                raise InvalidData(
                    f"{where}: {batch.num_rows:,} rows became {made.num_rows:,}; a preprocessing_fn keeps the number. "
                    "Select rows with filters=."
                )
            yield made


@dataclass(frozen=True, slots=True)
class _Loaded:
    layer: Any
    copy: tempfile.TemporaryDirectory[str] | None  # goes with the process


@lru_cache(maxsize=2)
def _loaded(graph: Folder) -> _Loaded:
    """The graph in this process; from a bucket by way of a copy."""
    import tensorflow_transform as tft

    copy = None if graph.is_local else tempfile.TemporaryDirectory(prefix="ailab-transform-")
    place = graph.url if copy is None else copy.name
    if copy:
        fetch(graph, Path(place))
    return _Loaded(tft.TFTransformOutput(place).transform_features_layer(), copy)
