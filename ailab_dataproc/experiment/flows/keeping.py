"""Results as JSON and back: plain values, paths below the flow's folder, and what says which data was used."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import math
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.experiment.flows.values import plain_value, refused
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.report import Report

_MARK = "$"  # begins the only key of an object that stands for something else
_LISTS = ("tuple", "set", "frozenset")
_KINDS: dict[str, type] = {
    **{"tuple": tuple, "set": set, "frozenset": frozenset},
    **{"float": float, "bytes": bytes, "datetime": datetime.datetime, "date": datetime.date},
    **{"used": Used, "report": Report},
}
_TO: dict[str, Callable[[Any], Any]] = {
    "float": repr,
    "bytes": lambda value: base64.b64encode(value).decode(),
    "datetime": lambda value: value.isoformat(),
    "date": lambda value: value.isoformat(),
    "used": Used.to_dict,
    "report": dataclasses.asdict,
}
_FROM: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "bytes": base64.b64decode,
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "used": Used.from_dict,
    "report": lambda told: Report(**told),
}


def kept(value: Any, root: Path, where: str) -> Any:
    """A result as values for JSON.

    Args:
        value: what a step returned.
        root: the flow's folder.
        where: of the step, for the message.

    Raises:
        InvalidRequest: it can't be kept.
    """
    value = plain_value(value)
    kind = type(value)
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return value
    if kind is list:
        return [kept(one, root, f"{where}, item {place}") for place, one in enumerate(value)]
    if isinstance(value, Mapping):
        return _of_mapping(value, root, where)
    if isinstance(value, PurePath):
        return {"$path": _below(Path(value), root, where)}
    name = next((name for name, one in _KINDS.items() if kind is one), None)
    if name is None:
        raise refused(value, where, kept=True)
    if name in _LISTS:
        return {f"${name}": [kept(one, root, f"{where}, an item") for one in value]}
    return {f"${name}": _TO[name](value)}


def _of_mapping(value: Mapping[Any, Any], root: Path, where: str) -> Any:
    pairs = {key: kept(one, root, f"{where}, {str(key)[:40]!r}") for key, one in value.items()}
    if all(isinstance(key, str) and not key.startswith(_MARK) for key in pairs):
        return pairs
    return {"$dict": [[kept(key, root, f"{where}, a key"), one] for key, one in pairs.items()]}


def given(told: Any, root: Path) -> Any:
    """What `kept` was given."""
    if isinstance(told, list):
        return [given(one, root) for one in told]
    if not isinstance(told, dict):
        return told
    mark = next((key for key in told if key.startswith(_MARK)), "")
    if not mark:
        return {key: given(one, root) for key, one in told.items()}
    return _meant(mark.removeprefix(_MARK), told[mark], root)


def _meant(name: str, inner: Any, root: Path) -> Any:
    if name in _LISTS:
        return _KINDS[name](given(one, root) for one in inner)
    if name == "path":
        return root / inner
    if name == "dict":
        return {given(key, root): given(one, root) for key, one in inner}
    return _FROM[name](inner)


def _below(path: Path, root: Path, where: str) -> str:
    found = path.absolute()
    if not found.is_relative_to(root):
        raise InvalidRequest(
            f"{where}: {path} lies outside the flow's folder. Write it below `out`, a parameter that it gets."
        )
    if not found.exists():
        raise InvalidRequest(f"{where}: there is no file {path}. Write it before it is returned.")
    return found.relative_to(root).as_posix()
