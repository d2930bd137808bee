"""The dataset of backend "torch"; imports torch, so that it is imported late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from ailab_dataproc.backends.ahead import ahead
from ailab_dataproc.backends.shards import Part, Selection, read_part
from ailab_dataproc.backends.tensors import AHEAD
from ailab_dataproc.backends.torch import kind, to_torch


def worker() -> tuple[int, int]:
    """Which of how many workers of a DataLoader this process is."""
    found = get_worker_info()
    return (found.id, found.num_workers) if found is not None else (0, 1)


class Parts(IterableDataset[dict[str, Any]]):  # type: ignore[misc]
    """A dict of tensors a part of a shard; ``DataLoader(parts, batch_size=None, num_workers=4)`` shares them out.

    For batches of a size, shuffled or shared out over ranks, take ``adp.batches(…, format="torch")``.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection

    @property
    def dtypes(self) -> dict[str, str]:
        """What each column becomes, from the declared schema."""
        return {one.name: kind(one) for one in self.selection.schema}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        number, workers = worker()
        for one in ahead(self._read, self.selection.parts[number::workers], limit=AHEAD, threads=AHEAD):
            if one is not None:
                yield one

    def __repr__(self) -> str:
        return f"<torch parts: {len(self.selection.parts):,} parts of shards, columns {self.dtypes}>"

    def _read(self, part: Part) -> dict[str, Any] | None:
        table = read_part(part, self.selection.schema)
        return to_torch(table, self.selection.nulls) if len(table) else None
