"""Where a graph waits until the rows have gone through it: made once, and found again by a run that was killed."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ailab_dataproc import __version__
from ailab_dataproc.backends.shards import Part
from ailab_dataproc.errors import ClusterFailed, StorageFailed
from ailab_dataproc.preparation.fingerprint import fingerprint
from ailab_dataproc.preparation.provenance import Step
from ailab_dataproc.preparation.transform.analysis import Graph, analyze
from ailab_dataproc.report import versions
from ailab_dataproc.storage import Folder, checksum

GRAPH = "transform_graph"  # the folder of a version that holds its graph
_PROOF = "analyzed.json"  # written last


def stage_folder(dataset: Folder, version: str, parts: Mapping[str, str]) -> Folder:
    """The folder of an analysis, by all that decides what it finds."""
    packages = versions(["tensorflow", "tensorflow-transform", "tfx-bsl"])
    key = fingerprint({**parts, **packages, "package": __version__, "step": "analyze"})
    return dataset / f".incomplete-{version}-{key[:16]}"


def graph_of(stage: Folder) -> Folder:
    """The folder that `TFTransformOutput` reads."""
    return stage / "graph"


def analyzed(stage: Folder, graph: Graph, parts: Sequence[Part], engine: Any) -> tuple[Step, str]:
    """Run the analyzers, unless an earlier run did.

    Returns:
        What was done, and a text that changes when a file of the graph does.
    """
    started = time.perf_counter()
    if not stage.exists(_PROOF):
        stage.remove()
        analyze(graph, parts, engine, graph_of(stage))
        sums = {name: checksum(graph_of(stage), name, size) for name, size in graph_of(stage).sizes().items()}
        told = {"key": fingerprint(sums), "seconds": time.perf_counter() - started, "items": len(parts)}
        stage.write(_PROOF, json.dumps({**told, "rows": sum(part.take for part in parts)}).encode())
    found = json.loads(stage.read(_PROOF))
    return Step("analyze", round(found["seconds"], 3), found["items"], found["rows"]), found["key"]


def feature_spec(graph: Folder) -> dict[str, Any]:
    """TensorFlow's feature for each output of a graph."""
    import tensorflow_transform as tft

    with tempfile.TemporaryDirectory(prefix="ailab-transform-") as copy:
        if not graph.is_local:
            fetch(graph, Path(copy))
        spec: dict[str, Any] = tft.TFTransformOutput(graph.url if graph.is_local else copy).transformed_feature_spec()
    return spec


def fetch(graph: Folder, target: Path) -> None:
    """Copy a graph from a bucket."""
    for name in graph.sizes():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(graph.read(name))


@contextlib.contextmanager
def cleared(stage: Folder) -> Iterator[None]:
    """Remove the stage at the end, and where the data or the code must change; keep it for a repetition elsewhere."""
    try:
        yield
    except (ClusterFailed, StorageFailed):
        raise
    except Exception:
        stage.remove()
        raise
    stage.remove()
