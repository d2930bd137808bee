"""One task: read its sources, write shards of both formats while hashing, and leave a receipt last."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc import schema as contract
from ailab_dataproc.dataset import Read, is_pii
from ailab_dataproc.definition import run_text
from ailab_dataproc.errors import AilabError, InvalidData, SourceFailed
from ailab_dataproc.preparation.conform import conform
from ailab_dataproc.preparation.parquet import ParquetShard, stored
from ailab_dataproc.preparation.readers import reader
from ailab_dataproc.preparation.statistics import ColumnStatistics, struct_type
from ailab_dataproc.preparation.tasks import Layout, Task
from ailab_dataproc.storage import Folder, HashingFile

FAILURES = "failures"
RECEIPTS = "receipts"
_looking = threading.Lock()
ENDINGS = {"parquet": ".parquet", "tfrecord": ".tfrecord"}


@dataclass(frozen=True, slots=True)
class Job:
    """What all tasks of one preparation share. Small, and safe to pickle."""

    dataset: str
    stage: Folder
    arrow_schema: str  # Arrow's own serialization, base64
    module: tuple[str, str, str] | None  # the definition's module for `run_text`; None: workers have it
    read: bytes | None  # the author's function, pickled; None: by the source's ending
    formats: tuple[str, ...]
    layout: Layout
    allow_empty: bool = False


def index_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of the index and of a receipt."""
    return pa.schema(
        [
            ("split", pa.string()),
            ("format", pa.string()),
            ("shard", pa.int32()),
            ("path", pa.string()),
            ("rows", pa.int64()),
            ("bytes", pa.int64()),
            ("checksum", pa.string()),
            ("columns", struct_type(schema)),
        ]
    )


def run_task(job: Job, task: Task) -> str:
    """Do a task; a failure becomes a file, so that no engine repeats it, and the tasks after it are left undone.

    Returns:
        The task's label.
    """
    with _looking:
        now = time.monotonic()
        failed = _another_failed(job.stage, now if job.stage.is_local else int(now))
    if not failed:
        try:
            _write_shards(job, task)
        except Exception as error:  # told to the driver by the file, which raises it again
            schema = contract.decode(job.arrow_schema, job.dataset)
            job.stage.write(f"{FAILURES}/{task.label}.json", _failure(error, personal=any(map(is_pii, schema))))
    return task.label


@lru_cache(maxsize=1)
def _another_failed(stage: Folder, _time: float) -> bool:
    """Whether a task has failed. In a bucket, where each look costs, each process looks once a second."""
    return bool((stage / FAILURES).names())


def forget_failures(job: Job) -> None:
    """Begin anew, as if no task had failed."""
    (job.stage / FAILURES).remove()
    _another_failed.cache_clear()


def read_receipts(job: Job, tasks: Sequence[Task]) -> dict[str, pa.Table]:
    """By label, the receipts of tasks whose shards are all there: rows of the index. One listing for any number."""
    sizes = job.stage.sizes()
    names = {f"{RECEIPTS}/{task.label}.arrow": task.label for task in tasks}
    found = {}
    for name, content in job.stage.read_many(names.keys() & sizes.keys()).items():
        receipt = pa.ipc.open_file(io.BytesIO(content)).read_all()
        wanted = zip(receipt["path"].to_pylist(), receipt["bytes"].to_pylist(), strict=True)
        if all(sizes.get(path) == size for path, size in wanted):
            found[names[name]] = receipt
    return found


def raise_failure(job: Job) -> None:
    """Raise the error of the first failed task, in the order of splits and sources; nothing where none failed."""
    labels = (job.stage / FAILURES).names()
    if labels:
        failure = json.loads(job.stage.read(f"{FAILURES}/{labels[0]}"))
        error = pickle.loads(bytes.fromhex(failure["pickle"]))  # noqa: S301 - written by our own task
        error.__notes__ = [failure["traceback"]]
        raise error


class _TFRecordShard:
    """The twin of `ParquetShard`; nothing is buffered."""

    def __init__(self, file: HashingFile, schema: pa.Schema, where: str) -> None:
        from ailab_dataproc.preparation.tfrecord import Encoder

        self._file = file
        self._encoder = Encoder(schema, where)

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write(self._encoder.encode(batch))

    def close(self) -> None:
        """Nothing is pending."""


@dataclass(slots=True)
class _Shard:
    """One shard while it is written: an open file a format."""

    rows: int = 0
    bytes: int = 0  # as Arrow
    writers: dict[str, Any] = field(default_factory=dict)
    files: dict[str, HashingFile] = field(default_factory=dict)
    statistics: list[ColumnStatistics] = field(default_factory=list)


def _write_shards(job: Job, task: Task) -> None:
    schema = contract.decode(job.arrow_schema, job.dataset)
    entries: list[dict[str, Any]] = []
    chunks = _rechunked(_rows_of(job, task, schema), job.layout.chunk_rows)
    chunk = next(chunks, None)
    while chunk is not None or not entries:
        number = len(entries) // len(job.formats)
        with contextlib.ExitStack() as stack:
            shard = _open_shard(job, task, number, schema, chunk, stack)
            while chunk is not None and shard.bytes < job.layout.shard_bytes:
                _write_chunk(shard, chunk)
                chunk = next(chunks, None)
            for writer in shard.writers.values():
                writer.close()
            for one in shard.statistics:
                if t.is_string(one.column.type):
                    one.text = shard.writers["parquet"].text_bounds(one.column.name)
        entries += _entries(job, task, number, shard)
    receipt = pa.Table.from_pylist(entries, schema=index_schema(schema))
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, receipt.schema) as file:
        file.write_table(receipt)
    job.stage.write(f"{RECEIPTS}/{task.label}.arrow", sink.getvalue())


def _rows_of(job: Job, task: Task, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    read = _unpickled(job.module, job.read) if job.read else reader(schema)
    for source in task.sources:
        rows = 0
        try:
            for batch in map(_decoded, conform(read(source), schema, source)):  # batches may differ in dictionaries
                rows += batch.num_rows
                yield batch
        except AilabError:
            raise
        except Exception as error:
            told = "message not shown: PII" if any(map(is_pii, schema)) else error
            raise SourceFailed(
                f"{source.url}: read() raised {type(error).__name__}: {told} ({_line(error)}). "
                "Mend the source or the definition; --verbose shows the traceback."
            ) from error
        if not rows and not job.allow_empty:
            raise InvalidData(
                f"{source.url}: the source holds no rows. Remove it, or set allow_empty=True in the definition."
            )


def _rechunked(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Batches of exactly `rows` rows (the last may be shorter), whatever sizes come in."""
    pending: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        start = 0
        while count + batch.num_rows - start >= rows:
            piece = batch.slice(start, rows - count)
            start += piece.num_rows
            yield pa.concat_batches([*pending, piece]) if pending else piece
            pending, count = [], 0
        if start < batch.num_rows:
            pending.append(batch.slice(start))
            count += batch.num_rows - start
    if pending:
        yield pa.concat_batches(pending)


def _open_shard(
    job: Job, task: Task, number: int, schema: pa.Schema, first: pa.RecordBatch | None, stack: contextlib.ExitStack
) -> _Shard:
    shard = _Shard(statistics=[ColumnStatistics(one) for one in _stored_columns(schema)])
    for kind in job.formats:
        file = HashingFile(stack.enter_context(job.stage.create(_stage_path(task, number, kind))))
        shard.files[kind] = file
        shard.writers[kind] = _writer(kind, file, schema, first and _decoded(first), job)
    return shard


def _writer(kind: str, file: HashingFile, schema: pa.Schema, first: pa.RecordBatch | None, job: Job) -> Any:
    if kind == "parquet":
        return ParquetShard(file, first, stored(schema), job.layout)
    return _TFRecordShard(file, pa.schema(_stored_columns(schema)), job.dataset)


def _stored_columns(schema: pa.Schema) -> list[pa.Field]:
    return [one.with_metadata(schema.field(one.name).metadata) for one in stored(schema)]


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Dictionaries by their values, as the files hold them."""
    if not any(pa.types.is_dictionary(one.type) for one in batch.schema):
        return batch
    return batch.cast(stored(batch.schema))


def _write_chunk(shard: _Shard, chunk: pa.RecordBatch) -> None:
    batch = _decoded(chunk)
    for writer in shard.writers.values():
        writer.write(batch)
    for one, column in zip(shard.statistics, batch.columns, strict=True):
        one.add(column)
    shard.rows += batch.num_rows
    shard.bytes = sum(one.bytes for one in shard.statistics)


def _stage_path(task: Task, number: int, kind: str) -> str:
    return f"{kind}/{task.label}-{number:05d}{ENDINGS[kind]}"


def _entries(job: Job, task: Task, number: int, shard: _Shard) -> list[dict[str, Any]]:
    columns: Mapping[str, Any] = {one.column.name: one.to_struct() for one in shard.statistics}
    return [
        {
            "split": task.split,
            "format": kind,
            "shard": number,
            "path": _stage_path(task, number, kind),
            "rows": shard.rows,
            "bytes": shard.files[kind].count,
            "checksum": shard.files[kind].checksum,
            "columns": columns,
        }
        for kind in job.formats
    ]


@lru_cache(maxsize=4)
def _unpickled(module: tuple[str, str, str] | None, read: bytes) -> Read:
    if module:
        run_text(*module)
    return pickle.loads(read)  # noqa: S301 - the author's own function


def _line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "ailab_dataproc/preparation" not in frame.filename] or frames
    return f"{own[-1].filename.rsplit('/', 1)[-1]}, line {own[-1].lineno}" if own else "no line known"


def _lines(error: BaseException) -> list[str]:
    """The places of a traceback and of its causes, without the messages."""
    before = _lines(error.__cause__) if error.__cause__ else []
    return [*before, f"{type(error).__name__}\n", *traceback.format_tb(error.__traceback__)]


def _failure(error: Exception, *, personal: bool) -> bytes:
    """The error for the driver; where the data are personal, without what other libraries said of a value."""
    trace = "".join(_lines(error) if personal else traceback.format_exception(error))
    if not isinstance(error, AilabError):
        error = SourceFailed(f"{type(error).__name__}: {'message not shown: PII' if personal else error}")
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return json.dumps({"traceback": trace, "pickle": pickle.dumps(error).hex()}).encode()
