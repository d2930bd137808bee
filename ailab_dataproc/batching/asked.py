"""What decides which rows stand in which batch."""

from __future__ import annotations

from dataclasses import dataclass

from ailab_dataproc.batching.order import count_batches
from ailab_dataproc.errors import InvalidRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What decides which rows stand in which batch. A saved position fits only the same."""

    dataset: str  # name:version
    fingerprint: str  # of the version's content
    split: str
    columns: tuple[str, ...]
    filters: str  # of the rows; nothing where all are kept
    batch_size: int  # rows
    drop_remainder: bool
    shuffle: bool
    seed: int
    rank: int
    world_size: int

    def check(self) -> None:
        """Raise `InvalidRequest` for what can't be."""
        for name, least in (("batch_size", 1), ("world_size", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InvalidRequest(f"{name}={getattr(self, name)}: wanted at least {least}.")
        if not 0 <= self.rank < self.world_size:
            raise InvalidRequest(
                f"rank={self.rank}: wanted 0 to {self.world_size - 1}, as world_size={self.world_size}."
            )

    def batches(self, total: int) -> int:
        """How many this rank gives in an epoch, of so many rows of all ranks."""
        given = {"drop_remainder": self.drop_remainder}
        return count_batches(total, self.rank, self.world_size, self.batch_size, **given)
