"""What decides which rows stand in which batch."""

from __future__ import annotations

from dataclasses import dataclass

from ailab_dataproc.batching.order import count_batches
from ailab_dataproc.errors import InvalidRequest


def check_numbers(*, batch_size: int, seed: int, epoch: int, rank: int, world_size: int) -> None:
    """Raise `InvalidRequest` for what can't be."""
    least = {"batch_size": (batch_size, 1), "world_size": (world_size, 1), "seed": (seed, 0), "epoch": (epoch, 0)}
    for name, (found, wanted) in least.items():
        if found < wanted:
            raise InvalidRequest(f"{name}={found}: wanted at least {wanted}.")
    if not 0 <= rank < world_size:
        raise InvalidRequest(f"rank={rank}: wanted 0 to {world_size - 1}, as world_size={world_size}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What decides which rows stand in which batch. A saved position fits only the same."""

    dataset: str  # name:version
    fingerprint: str  # of the version's content
    split: str
    columns: tuple[str, ...]
    filters: str  # of the rows; nothing where all are kept
    draw: str  # limit or sample, in words; nothing without
    batch_size: int  # rows
    drop_remainder: bool
    shuffle: bool
    seed: int
    rank: int
    world_size: int

    @property
    def uncounted(self) -> bool:
        """Whether only reading tells how many rows there are; for a limit or a sample they were counted."""
        return bool(self.filters) and not self.draw

    def batches(self, total: int) -> int:
        """How many this rank gives in an epoch, of so many rows of all ranks."""
        given = {"drop_remainder": self.drop_remainder}
        return count_batches(total, self.rank, self.world_size, self.batch_size, **given)
