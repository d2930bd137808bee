"""A small part of a dataset, prepared for tests in a folder of its own."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ailab_dataproc import catalog, storage, urls
from ailab_dataproc.dataset import Dataset, Read, Source
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.loading import load
from ailab_dataproc.manifest import Prepared, open_prepared
from ailab_dataproc.preparation.conform import conform
from ailab_dataproc.preparation.readers import reader
from ailab_dataproc.preparing import prepare
from ailab_dataproc.settings import load_settings
from ailab_dataproc.splitting import strings


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What is taken of a dataset."""

    limit: int  # rows of each source
    sources: Mapping[str, Sequence[str]]  # by split, in place of the definition's
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was prepared."""

    data_dir: str
    prepared: Prepared

    def load(self, backend: str = "arrow", **selecting: Any) -> Any:
        """Rows of it, personal data too: nobody sees them."""
        return load(self.prepared.name, data_dir=self.data_dir, backend=backend, allow_pii=True, **selecting)

    def table(self, backend: str, columns: Sequence[str]) -> pa.Table:
        """What a backend returns, as Arrow; null is where null was on each of them."""
        from ailab_dataproc.backends import backend as find_backend

        frame = self.load(backend, columns=list(columns), nulls="mask")
        return find_backend(backend).to_arrow(frame, pa.schema([self.prepared.schema.field(one) for one in columns]))

    def checksums(self) -> dict[str, str]:
        """Of each shard, by its path."""
        found: dict[str, str] = {}
        for format_ in self.prepared.manifest.formats:
            index = self.prepared.index(format_, columns=["path", "checksum"])
            found |= dict(zip(index["path"].to_pylist(), index["checksum"].to_pylist(), strict=True))
        return found


def find_dataset(asked: str | Dataset) -> Dataset:
    """A definition: itself, or by its name in the catalog."""
    return asked if isinstance(asked, Dataset) else catalog.find(asked, load_settings())


def prepare_sample(dataset: Dataset, data_dir: Path, sampling: Sampling, runner: str) -> Sample:
    """Prepare the first rows of each source.

    Raises:
        AilabError: as `prepare` does.
    """
    taken = replace(dataset, read=_first(dataset, sampling.limit), by_line=False)
    prepare(taken, data_dir=str(data_dir), sources=sampling.sources, runner=runner, workers=1, formats=sampling.formats)
    return Sample(str(data_dir), open_prepared(storage.folder(str(data_dir)), dataset.name, dataset.version))


def located(sources: Mapping[str, str | Sequence[str]], folders: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """The author's own sources; a relative path is looked for in each of some folders, one behind the other.

    Raises:
        InvalidRequest: it is in none of them.
    """
    return {split: tuple(_locate(one, folders) for one in strings(places)) for split, places in sources.items()}


def _locate(text: str, folders: Sequence[Path]) -> str:
    path = urls.local_path(text)
    if path is None or Path(text).is_absolute() or "://" in text:
        return text
    for folder in folders:
        if urls.expand(str(folder / text)):
            return str(folder / text)
    raise InvalidRequest(
        f"sources: found no {text!r} in {' or '.join(dict.fromkeys(map(str, folders)))}. Write it there."
    )


def _first(dataset: Dataset, limit: int) -> Read:
    read, schema = dataset.read or reader(dataset.schema), dataset.schema

    @functools.wraps(read)
    def first(source: Source) -> Iterator[pa.RecordBatch]:
        left = limit
        for batch in conform(read(source), schema, source):
            yield batch.slice(0, left)
            left -= batch.num_rows
            if left <= 0:
                return

    return first
