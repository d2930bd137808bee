"""Which plan an object of `load` or `batches` came from: known as long as the object lives, and holding it not."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ailab_dataproc.planning import Plan
    from ailab_dataproc.report import Report


@dataclass(frozen=True, slots=True)
class Loaded:
    """How an object came about."""

    plan: Plan
    report: Report | None = None  # None where nothing has been read yet


_known: dict[int, tuple[weakref.ref[Any], Loaded]] = {}  # by id: frames can't be hashed


def remember(thing: Any, loaded: Loaded) -> None:
    """Keep in mind how an object came about. Of a dict its arrays are kept in mind, since no dict can be."""
    for one in thing.values() if isinstance(thing, dict) else (thing,):
        key = id(one)

        def forget(_: Any, key: int = key, known: dict[int, Any] = _known) -> None:  # bound: it runs at the exit too
            known.pop(key, None)

        try:
            _known[key] = (weakref.ref(one, forget), loaded)
        except TypeError:  # an object of a backend elsewhere that allows no weak references: a plan can still be given
            continue


def recall(thing: Any) -> Loaded | None:
    """How an object came about; None where that isn't known, as of what was made of it."""
    for one in thing.values() if isinstance(thing, dict) else (thing,):
        found = _known.get(id(one))
        if found and found[0]() is one:
            return found[1]
    return None
