"""A step of a flow in a bucket as a job: where it runs files are fetched, and what it writes goes into the bucket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ailab_dataproc.experiment.flows import keeping
from ailab_dataproc.experiment.flows.store import Store
from ailab_dataproc.settings import load_settings


@dataclass(frozen=True, slots=True)
class Below:
    """A file of the flow, on its way to another machine."""

    name: str  # below the flow's folder


def packed(value: Any, root: Path) -> Any:
    """A value in which files of the flow are named, not placed."""
    if isinstance(value, Path) and value.absolute().is_relative_to(root):
        return Below(value.absolute().relative_to(root).as_posix())
    return _each(value, lambda one: packed(one, root))


def run(
    function: Callable[..., Any], given: tuple[Any, Any], place: str, step: str, key: str
) -> tuple[Any, dict[str, str]]:
    """Run a step on this machine, which may be any; returns the result as `keeping.kept`, and its files.

    Args:
        function: which.
        given: positional and keyword arguments, from `packed`; `out` among them.
        place: the flow's URL.
        step: its name.
        key: of the result.
    """
    store = Store(place, load_settings())
    store.clear(step, key, record_too=False)
    store.folder(step, key).mkdir(parents=True)
    args, kwargs = _unpacked(given, store)
    told = keeping.kept(function(*args, **kwargs), store.local, f"{step}: its result")
    files = store.files(step, key)
    store.upload(step, key, files)
    return told, files


def _unpacked(value: Any, store: Store) -> Any:
    if isinstance(value, Below):
        step, key, *_ = value.name.split("/")
        record = store.record(step, key)
        if record is not None:
            store.damage(record)  # fetches what isn't here
        return store.local / value.name
    return _each(value, lambda one: _unpacked(one, store))


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """A list, tuple, set or dict with its items changed; anything else as it is."""
    if isinstance(value, Mapping):
        return {key: change(one) for key, one in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(change(one) for one in value)
    return value
