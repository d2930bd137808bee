"""The `read` of bridged datasets. Its text is in their fingerprints: versions rest on it, so it stays as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from ailab_dataproc.bridge.layout import Columns
from ailab_dataproc.bridge.reading import read_shard
from ailab_dataproc.dataset import Source


def read(columns: Columns, source: Source) -> Iterator[pa.RecordBatch]:
    """The rows of a shard that TFDS wrote."""
    return read_shard(columns, source)
