"""What `adp.batches` returns: iterate over it, once an epoch, and save where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ailab_dataproc.backends.shards import Parts, Selection
from ailab_dataproc.batching.asked import Asked
from ailab_dataproc.batching.order import Position
from ailab_dataproc.batching.rows import Format
from ailab_dataproc.batching.stream import Epoch
from ailab_dataproc.errors import InvalidRequest

_STATE = 1  # the form of a saved position
_START = Position(0, 0, 0)


@dataclass(slots=True)
class _Place:
    """Where an iteration stands; outlives it."""

    epoch: int
    at: Position
    finished: bool = False


class Batches:
    """Batches of a selection. Each iteration over it is the next epoch.

    A batch may be a view of a shard's memory: copy it before you write into it.
    """

    def __init__(self, asked: Asked, selection: Selection, format_: Format, epoch: int = 0) -> None:
        """Nothing is read before the first iteration.

        Args:
            asked: what decides which rows stand in which batch.
            selection: the parts of shards of all ranks.
            format_: what a batch becomes.
            epoch: of the first iteration.
        """
        self.asked = asked
        self._selection = selection
        self._format = format_
        self._latest: _Place | None = None
        self._resumed: Position | None = None
        self.set_epoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration is; the ones after it follow."""
        if epoch < 0:
            raise InvalidRequest(f"epoch={epoch}: wanted at least 0.")
        self._epoch = epoch
        self._resumed = self._latest = None

    def __iter__(self) -> Iterator[Any]:
        number, start = self._next_epoch(), self._resumed or _START
        self._resumed = None
        self._latest = _Place(number, start)
        epoch = Epoch(self.asked, self._selection, self._format, self._takes, number)
        return _Iteration(epoch.stream(start, *self._share()), self._latest)

    def __len__(self) -> int:
        """Batches of this rank in an epoch."""
        if self.asked.uncounted:
            raise TypeError(
                f"{self.asked.dataset}: how many batches the filters leave is known only after reading. Count them, "
                "or leave filters= out."
            )
        return self.asked.batches(int(self._takes.sum()))

    def state_dict(self) -> dict[str, Any]:
        """Where the latest iteration stands, to be saved as JSON; `load_state_dict` goes on behind it."""
        if self._latest is not None and not self._latest.finished:
            return self._state(self._latest.epoch, self._latest.at)
        return self._state(self._epoch, self._resumed or _START)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on where another one stood; what lies before isn't read.

        Raises:
            InvalidRequest: the position is of another dataset, version, or of other arguments.
        """
        where = self.asked.dataset
        if state.get("state") != _STATE:
            raise InvalidRequest(f"{where}: {state!r:.100} is no saved position, wanted what state_dict() returned.")
        own = self._state(0, _START)
        for name in own:
            if name not in ("epoch", "window", "row", "batch") and state.get(name) != own[name]:
                raise InvalidRequest(
                    f"{where}: the saved position has {name}={state.get(name)!r}, here it is {own[name]!r}. "
                    "Pass the same arguments as when it was saved, or begin anew."
                )
        self.set_epoch(state["epoch"])
        self._resumed = Position(state["window"], state["row"], state["batch"])

    def __repr__(self) -> str:
        asked = self.asked
        rows = f"{'at most ' * asked.uncounted}{int(self._takes.sum()):,} rows"
        lines = [f"{asked.dataset} {asked.split}   {rows} in batches of {asked.batch_size:,} as {self._format.name}"]
        lines.append(f"shuffled with seed {asked.seed}" if asked.shuffle else "in the order of the shards")
        if asked.world_size > 1:
            lines.append(f"rank {asked.rank} of {asked.world_size}")
        return f"<{', '.join(lines)}>"

    def _next_epoch(self) -> int:
        """The epoch that begins now."""
        self._epoch += 1
        return self._epoch - 1

    def _share(self) -> tuple[int, int]:
        """Which of how many workers of this rank this process is."""
        return 0, 1

    @cached_property
    def _takes(self) -> np.ndarray:
        parts = self._selection.parts
        return parts.rows() if isinstance(parts, Parts) else np.array([one.take for one in parts], dtype=np.int64)

    def _state(self, epoch: int, at: Position) -> dict[str, Any]:
        asked = {name: getattr(self.asked, name) for name in Asked.__slots__}
        asked["columns"] = list(self.asked.columns)
        workers = dict(zip(("worker", "workers"), self._share(), strict=True))
        return {"state": _STATE, **asked, **workers, "epoch": epoch, **{n: getattr(at, n) for n in Position.__slots__}}


class _Iteration(Iterator[Any]):
    """One epoch, or the rest of one. Its threads end when it is forgotten."""

    def __init__(self, stream: Iterator[tuple[Any, Position]], place: _Place) -> None:
        self._stream = stream
        self._place = place

    def __next__(self) -> Any:
        try:
            batch, self._place.at = next(self._stream)
        except StopIteration:
            self._place.finished = True
            raise
        return batch
