"""Batches of rows with the memory of a few shards: the same on every machine, shared out over ranks, resumable."""

from __future__ import annotations

from ailab_dataproc.backends.shards import Selection
from ailab_dataproc.batching.asked import Asked, check_numbers
from ailab_dataproc.batching.batches import Batches
from ailab_dataproc.batching.order import WINDOW
from ailab_dataproc.batching.rows import FORMATS, Format
from ailab_dataproc.batching.stream import AHEAD
from ailab_dataproc.decoding import is_image
from ailab_dataproc.errors import require

__all__ = ["FORMATS", "Asked", "Batches", "at_a_time", "check_numbers", "make_batches"]


def at_a_time(*, shuffle: bool) -> int:
    """Shards in memory at most: a window that is handed out, the next one, and what is read or brought together."""
    return 2 * WINDOW + AHEAD if shuffle else AHEAD + 2


def make_batches(asked: Asked, selection: Selection, format_: str, *, epoch: int, decode: bool) -> Batches:
    """Batches of a selection; as ``"torch"`` they are a torch IterableDataset.

    Raises:
        MissingLibrary: columns of images are to be decoded, and Pillow isn't installed.
    """
    images = tuple(one.name for one in selection.schema if decode and is_image(one))
    if format_ in ("arrow", "pandas"):
        images = ()
    if images:
        require("PIL", "images")
    made = Format(format_, selection.nulls, images)
    if format_ == "torch":
        from ailab_dataproc.batching.torch import TorchBatches

        return TorchBatches(asked, selection, made, epoch)
    return Batches(asked, selection, made, epoch)
