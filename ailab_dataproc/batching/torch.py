"""Batches as a torch IterableDataset, shared out over a DataLoader's workers; imports torch, so that it comes late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset

from ailab_dataproc.backends.torch_dataset import worker
from ailab_dataproc.batching.batches import Batches
from ailab_dataproc.errors import InvalidRequest

_WORKERS = 1024  # of one DataLoader, at most


class TorchBatches(Batches, IterableDataset[dict[str, Any]]):  # type: ignore[misc]
    """For ``DataLoader(batches, batch_size=None, num_workers=4)``: together the workers give each batch once.

    A DataLoader's workers are new processes each epoch, or old ones that don't see what their parent does. So the
    epoch lies in memory that all of them share, a number a worker.
    """

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration is, in every worker; the ones after it follow."""
        super().set_epoch(epoch)
        if not hasattr(self, "_epochs"):
            self._epochs = torch.zeros(_WORKERS, dtype=torch.int64).share_memory_()
        self._epochs.fill_(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._epoch = int(self._epochs[self._share()[0]])
        return super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        """Where the latest iteration of this process stands, as `Batches.state_dict`.

        Raises:
            InvalidRequest: a DataLoader's workers iterate, so that this process doesn't know where.
        """
        if self._latest is None and int(self._epochs[0]) != self._epoch:
            raise InvalidRequest(
                f"{self.asked.dataset}: a DataLoader's workers iterate over these batches, and only they know where "
                "they stand. Take num_workers=0 (shards are read ahead in threads), or save the epoch for set_epoch."
            )
        return super().state_dict()

    def _next_epoch(self) -> int:
        now = super()._next_epoch()
        self._epochs[self._share()[0]] = now + 1
        return now

    def _share(self) -> tuple[int, int]:
        return worker()
