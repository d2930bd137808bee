"""Full passes over the data, by Beam: a preprocessing_fn becomes a graph that holds what its analyzers found.

On this machine Beam works through the rows in one thread, in their order: sums, vocabularies and quantiles, and so the
bytes of all that the graph makes, are the same on any machine, with any number of workers.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ailab_dataproc import storage
from ailab_dataproc.backends.shards import Part, read_part
from ailab_dataproc.columns import is_pii
from ailab_dataproc.errors import AilabError, InvalidRequest, SourceFailed, unknown
from ailab_dataproc.preparation.engines.beam import BeamEngine
from ailab_dataproc.preparation.engines.beam_options import Config, parsed, quiet
from ailab_dataproc.preparation.engines.memory import kept_memory
from ailab_dataproc.preparation.engines.notebooks import as_in_a_script
from ailab_dataproc.preparation.transform import tensors
from ailab_dataproc.storage import Folder

ROWS = 10_000  # that the graph gets at a time
Preprocessing = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Graph:
    """A preprocessing_fn, and what it is given."""

    function: Preprocessing
    label: str  # of the function, for messages
    dataset: str  # name:version
    schema: pa.Schema  # the columns that it may use
    refused: Mapping[str, pa.DataType] = field(default_factory=dict)  # columns that no tensor holds

    def used(self) -> list[str]:
        """The columns that it uses, found by calling it with tensors that hold nothing.

        Raises:
            SourceFailed, UnknownName, InvalidRequest: it raises, uses a column that isn't there, or returns no dict of
                tensors.
        """
        with quiet():
            import tensorflow as tf
            import tensorflow_transform as tft

            specs = _adapter(self.schema).OriginalTypeSpecs()
            try:
                given = {*tft.get_analyze_input_columns(self.call, specs)}
                given |= {*tft.get_transform_input_columns(self.call, specs)}
            except AilabError:
                raise
            except (tf.errors.OpError, TypeError, ValueError) as error:
                raise InvalidRequest(
                    f"{self.label}: tf.Transform can't take what it returns ({_line(error)})."
                ) from error
        if not given:
            raise InvalidRequest(f"{self.label}: it uses no column of {self.dataset}. Return what is made of one.")
        return [name for name in self.schema.names if name in given]

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Call the function; what is wrong is told in a sentence."""
        try:
            found = self.function(inputs)
        except KeyError as error:
            if error.args[0] in self.refused:
                raise refused(self.label, error.args[0], self.refused[error.args[0]]) from error
            if error.args[0] not in self.schema.names:
                raise unknown("column", str(error.args[0]), self.schema.names, where=self.label) from error
            raise self._raised(error) from error
        except Exception as error:
            raise self._raised(error) from error
        if not isinstance(found, dict) or not found:
            what = "an empty dict" if found == {} else type(found).__name__
            raise InvalidRequest(f"{self.label}: it returned {what}, wanted a dict of tensors by the output's name.")
        for name, tensor in found.items():
            _check_output(self.label, name, tensor)
        return found

    def _raised(self, error: Exception) -> SourceFailed:
        return SourceFailed(f"{self.label}: it raised {type(error).__name__}: {_line(error)}. Mend it.")


def analyze(graph: Graph, parts: Sequence[Part], engine: Any, target: Folder) -> None:
    """Run the analyzers over rows, and write the graph into a folder: ``transform_fn`` and the metadata of both sides.

    Args:
        graph: with just the columns that it uses.
        parts: the rows.
        engine: Beam's runners for clusters work for themselves; in place of others this machine does it.
        target: an empty folder.

    Raises:
        SourceFailed: an analyzer fails.
        DamagedData: a shard can't be read.
    """
    import tensorflow_transform.beam as tft_beam

    with tempfile.TemporaryDirectory(prefix="ailab-transform-") as here, quiet(), kept_memory():
        config = engine.config if isinstance(engine, BeamEngine) else None
        work = _shared(config, target) if config else here
        try:
            with as_in_a_script(), _pipeline(config) as pipeline, tft_beam.Context(temp_dir=f"{work}/temporary"):
                read = functools.partial(_read_compact, schema=graph.schema)
                rows = pipeline | _create(parts, spread=config is not None) | "Read" >> _flat_map(read)
                made = (rows, tensor_config(graph.schema)) | tft_beam.AnalyzeDataset(graph.call)
                _ = made | tft_beam.WriteTransformFn(f"{work}/graph")
            _write_input_metadata(graph.schema, f"{work}/graph")
        except Exception as error:
            raise _told(graph, error) from error
        written = storage.folder(f"{work}/graph", target.options)
        for name in written.sizes():
            target.write(name, written.read(name))
        if config:
            storage.folder(work, target.options).remove()


def read_batches(part: Part, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a part of a shard as tf.Transform takes them."""
    for batch in read_part(part, schema).combine_chunks().to_batches(ROWS):
        yield tensors.to_lists(batch, schema, part.folder.path(part.path))


def _read_compact(part: Part, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The same; a slice keeps the buffers of its whole, and Beam would pickle all of them with each batch."""
    for batch in read_batches(part, schema):
        yield pa.ipc.read_record_batch(batch.serialize(), batch.schema)


def _create(parts: Sequence[Part], *, spread: bool) -> Any:
    import apache_beam as beam

    return "Parts" >> beam.Create(list(parts), reshuffle=spread)


def _flat_map(function: Callable[[Part], Iterator[pa.RecordBatch]]) -> Any:
    import apache_beam as beam

    return beam.FlatMap(function).with_output_types(pa.RecordBatch)


def _pipeline(config: Config | None) -> Any:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
    from apache_beam.runners.runner import create_runner

    if config:
        return beam.Pipeline(runner=create_runner(config.runner), options=parsed(config))
    return beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(["--direct_running_mode=in_memory"]))


def _shared(config: Config, target: Folder) -> str:
    """A folder that the workers of a cluster see: tf.Transform hands graphs and vocabularies on as files."""
    if target.is_local:
        return target.path("work")
    place = config.options.get("temp_location")
    if place:
        return f"{str(place).rstrip('/')}/{target.url.rsplit('/', 1)[-1]}"
    raise InvalidRequest(
        f"runner {config.name!r}: tf.Transform hands files from worker to worker, and data_dir is no folder that they "
        "share. Give it with --beam-option temp_location=gs://…, or use runner='threads'."
    )


def tensor_config(schema: pa.Schema) -> Any:
    """How tf.Transform turns batches of `tensors.to_lists` into tensors."""
    from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig
    from tfx_bsl.tfxio.tensor_representation_util import InferTensorRepresentationsFromMixedSchema

    return TensorAdapterConfig(
        tensors.input_schema(schema), InferTensorRepresentationsFromMixedSchema(_metadata(schema).schema)
    )


def _adapter(schema: pa.Schema) -> Any:
    from tfx_bsl.tfxio.tensor_adapter import TensorAdapter

    return TensorAdapter(tensor_config(schema))


def to_tensors(schema: pa.Schema) -> Callable[[pa.RecordBatch], dict[str, Any]]:
    """What turns batches of `to_lists` into tensors."""
    adapter = _adapter(schema)
    return functools.partial(adapter.ToBatchTensors, produce_eager_tensors=True)


def _metadata(schema: pa.Schema) -> Any:
    from tensorflow_transform.tf_metadata.dataset_metadata import DatasetMetadata

    return DatasetMetadata.from_feature_spec(tensors.feature_spec(schema))


def _write_input_metadata(schema: pa.Schema, folder: str) -> None:
    """What `TFTransformOutput.raw_feature_spec` reads: a server parses its requests by it."""
    import tensorflow_transform as tft
    from tensorflow_transform.tf_metadata import metadata_io

    metadata_io.write_metadata(_metadata(schema), f"{folder}/{tft.TFTransformOutput.RAW_METADATA_DIR}")


def refused(where: str, name: str, kind: pa.DataType) -> InvalidRequest:
    """The error for a column that tf.Transform can't take."""
    return InvalidRequest(
        f"{where}: column {name!r} is {kind}, which tf.Transform can't take; wanted numbers, booleans, times, text, "
        "bytes, or lists of them. Do without it."
    )


def _check_output(label: str, name: Any, tensor: Any) -> None:
    import tensorflow as tf

    if not isinstance(name, str) or not isinstance(tensor, tf.Tensor | tf.SparseTensor | tf.RaggedTensor):
        raise InvalidRequest(
            f"{label}: output {name!r} is a {type(tensor).__name__}, wanted a tensor, by a name that is text."
        )
    if tensor.shape.rank == 0:
        raise InvalidRequest(
            f"{label}: output {name!r} has no row dimension, wanted a value for each row. Combine it with a column."
        )
    if tensor.dtype not in (tf.int64, tf.float32, tf.string):
        raise InvalidRequest(
            f"{label}: output {name!r} is {tensor.dtype.name}, wanted int64, float32 or string. Use tf.cast."
        )


def _told(graph: Graph, error: Exception) -> AilabError:
    """The sentence of an error that Beam has wrapped."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, AilabError):
            return type(found)(str(found).split(" [while running", 1)[0])
        found = found.__cause__ or found.__context__
    shown = "message not shown: PII" if any(map(is_pii, graph.schema)) else _line(error)
    return SourceFailed(f"{graph.label}: tf.Transform failed with {type(error).__name__}: {shown}.")


def _line(error: Exception) -> str:
    lines = [one.strip() for one in str(error).splitlines() if one.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(". ")
