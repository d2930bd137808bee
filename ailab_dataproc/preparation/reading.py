"""The rows of a task's sources, conformed, batch by batch; what an author's `read` raises is told with its source."""

from __future__ import annotations

import pickle
import sysconfig
import traceback
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from ailab_dataproc.columns import is_pii
from ailab_dataproc.dataset import Read, Source
from ailab_dataproc.definition import run_text
from ailab_dataproc.errors import AilabError, InvalidData, SourceFailed
from ailab_dataproc.preparation.conform import conform
from ailab_dataproc.preparation.job import Job
from ailab_dataproc.preparation.parquet import stored
from ailab_dataproc.preparation.readers import reader
from ailab_dataproc.preparation.tasks import Task
from ailab_dataproc.urls import shown

_OURS = "ailab_dataproc/preparation"
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_PICKLED = "<dynamic-code>"  # the file of all functions that cloudpickle 3.1.3 has pickled


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch, and where it stands."""

    batch: pa.RecordBatch  # dictionaries by their values
    source: int  # its number within the task
    first: int  # rows of the source before the batch

    @property
    def numbers(self) -> np.ndarray:
        """The rows' numbers within the source, from 0."""
        return np.arange(self.first, self.first + self.batch.num_rows)


def read_rows(job: Job, task: Task) -> Iterator[Rows]:
    """Read the sources of a task one after the other.

    Raises:
        InvalidData: a source that doesn't fit the schema, or holds no rows.
        SourceFailed: `read` raised.
    """
    schema = job.schema
    read: Read = unpickled(job.module, job.read) if job.read else reader(schema)
    for number, source in enumerate(task.sources):
        rows = 0
        try:
            for batch in map(decoded, conform(read(source), schema, source)):  # batches may differ in dictionaries
                yield Rows(batch, number, rows)
                rows += batch.num_rows
        except AilabError:
            raise
        except Exception as error:
            raise read_failed(error, source, schema) from error
        if not rows and not job.allow_empty and source.part is None:
            raise no_rows(source)


def read_failed(error: Exception, source: Source, schema: pa.Schema) -> SourceFailed:
    """What `read` raised, for people."""
    told = "message not shown: PII" if any(map(is_pii, schema)) else error
    return SourceFailed(
        f"{shown(source.url)}: read() raised {type(error).__name__}: {told} ({raised_at(error)}). "
        "Mend the source or the definition; --verbose shows the traceback."
    )


def no_rows(source: Source) -> InvalidData:
    """What is told of an empty source."""
    return InvalidData(
        f"{shown(source.url)}: the source holds no rows. Remove it, or set allow_empty=True in the definition."
    )


def read_row(job: Job, source: Source, row: int) -> pa.RecordBatch:
    """One row of a source, read again."""
    for rows in read_rows(job, Task(source.split, 0, (source,))):
        if row < rows.first + rows.batch.num_rows:
            return rows.batch.slice(row - rows.first, 1)
    raise SourceFailed(f"{shown(source.url)}: read() gave {row + 1:,} rows at first, and fewer when called again.")


def decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Dictionaries by their values, as the files hold them."""
    if not any(pa.types.is_dictionary(one.type) for one in batch.schema):
        return batch
    return batch.cast(stored(batch.schema))


@lru_cache(maxsize=4)
def unpickled(module: tuple[str, str, str] | None, pickled: bytes) -> Any:
    """What an author wrote, from a definition's module that workers may not have."""
    if module:
        run_text(*module)
    return pickle.loads(pickled)  # noqa: S301 - the author's own function


def raised_at(error: BaseException) -> str:
    """The file and line of an author's code where an exception was raised."""
    frames = [(_file(frame), frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    frames = [one for one in frames if _OURS not in one[0]]
    own = [one for one in frames if not one[0].startswith(_LIBRARIES)] or frames
    if not own:
        return "no line known"
    file, frame, line = own[-1]
    return f"{file.rpartition('/')[2] or f'{frame.f_code.co_name}()'}, line {line}"


def _file(frame: types.FrameType) -> str:
    """The file of a frame; "" of a notebook's function that was pickled, since newer cloudpickles forget its file."""
    file = frame.f_code.co_filename
    return file if file != _PICKLED else str(frame.f_globals.get("__file__", ""))
