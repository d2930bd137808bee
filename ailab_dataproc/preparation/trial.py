"""The first rows of each split as a dataset of their own, with the real `read`: sources are read no further."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from ailab_dataproc.dataset import Dataset, Read, Source
from ailab_dataproc.errors import AilabError, InvalidRequest
from ailab_dataproc.preparation.conform import conform
from ailab_dataproc.preparation.readers import reader
from ailab_dataproc.preparation.reading import no_rows, read_failed
from ailab_dataproc.splitting import Pooled
from ailab_dataproc.storage import Folder

FOLDER = (
    ".trial"  # below the data directory: a data directory of its own, whose versions nobody takes for the real ones
)


def trial_folder(data_dir: Folder) -> Folder:
    """Where the trials of a data directory lie."""
    return data_dir / FOLDER


def first_rows(
    dataset: Dataset, sources: Sequence[Source], limit: int, read: Read | None = None
) -> Iterator[pa.RecordBatch]:
    """The first rows of some sources, one behind the other, conformed.

    Raises:
        InvalidData: they don't fit the schema, or a source holds no rows.
        SourceFailed: `read` raised.
    """
    left, read = limit, read or dataset.read or reader(dataset.schema)
    for source in sources:
        rows = 0
        try:
            for batch in conform(read(source), dataset.schema, source):
                rows += batch.num_rows
                yield batch.slice(0, left)
                left -= batch.num_rows
                if left <= 0:
                    return
        except AilabError:
            raise
        except Exception as error:
            raise read_failed(error, source, dataset.schema) from error
        if not rows and not dataset.allow_empty:
            raise no_rows(source)


def trial_of(dataset: Dataset, sources: Mapping[str, Sequence[Source]], limit: int) -> Dataset:
    """A dataset of the first rows of each split; of splits that share one pool of sources, the first rows of the pool.

    Args:
        dataset: the definition.
        sources: of each split, or of the pool, as `tasks.find_sources` finds them.
        limit: how many rows.

    Raises:
        InvalidRequest: no number of rows.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidRequest(f"limit={limit!r}: wanted a number of rows from 1 on.")
    read, members = dataset.read or reader(dataset.schema), dict(sources)

    @functools.wraps(read)
    def first(source: Source) -> Iterator[pa.RecordBatch]:
        yield from first_rows(dataset, members[source.split], limit, read)

    def find(split: str, _text: str) -> list[Source]:
        found = members[split]
        told = [(one.url, one.size, one.identity) for one in found]
        return [replace(found[0], size=0, identity=f"first {limit} rows of {told}", part=None)]

    splits = dataset.splits
    one_each = (
        replace(splits, sources=("first rows",)) if isinstance(splits, Pooled) else dict.fromkeys(splits, "first rows")
    )
    # Numbers of rows are those of the trial, and in its data directory there is nothing to refer to.
    checks = tuple(one for one in dataset.checks if one.counts_rows and one.kind != "references")
    return replace(dataset, read=first, sources=find, splits=one_each, downloads={}, by_line=False, checks=checks)
