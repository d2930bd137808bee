"""One step of a run of a flow: what it got, what it gave, and why it ran or was remembered."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MethodType, MethodWrapperType
from typing import Any

from ailab_dataproc import urls
from ailab_dataproc.drawing import plain
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.experiment.flows.store import Input, Record
from ailab_dataproc.experiment.flows.values import is_code, place_of, plain_number
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.jobs.environment import SECRET
from ailab_dataproc.planning import Plan
from ailab_dataproc.report import Report

OUT = "out"  # the parameter that gets a folder
_LONGEST = 60  # characters of a value, for people


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What became of one call."""

    label: str  # the function's name; of a second call with a number
    record: Record
    why: str  # it ran; nothing where it was remembered
    result: Any

    @property
    def ran(self) -> bool:
        """Whether it ran now."""
        return bool(self.why)

    @property
    def data(self) -> Iterator[Used]:
        """The versions of datasets that it got."""
        for one in self.record.inputs.values():
            for data in one.data:
                yield Used.from_dict(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function with its arguments in order of its parameters, defaults filled in."""

    function: Callable[..., Any]
    name: str
    bound: inspect.BoundArguments

    @classmethod
    def of(cls, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """Bind arguments to a function's parameters.

        Raises:
            InvalidRequest: it is no function, or the arguments don't fit.
        """
        while isinstance(function, functools.partial):
            function, args, kwargs = function.func, (*function.args, *args), function.keywords | kwargs
        if callable(function) and not (is_code(function) or isinstance(function, MethodType | MethodWrapperType)):
            function = function.__call__  # of an object: it counts with what the object holds
        if not callable(function):
            raise InvalidRequest(f"step={function!r:.80}: wanted a function. Pass it without calling it.")
        name = re.sub(r"\W+", "", _name(function))
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise InvalidRequest(f"{name}: is a generator or coroutine, wanted a function that returns its result.")
        try:
            signature = inspect.signature(function)
        except ValueError as error:  # of some that are written in C
            raise InvalidRequest(f"{name}: {error}. Call it within a function of your own.") from error
        if OUT in kwargs:
            raise InvalidRequest(f"{name}: {OUT} is the folder that the flow gives to a step. Leave it away.")
        wanted = {OUT: None} if OUT in signature.parameters else {}
        try:
            bound = signature.bind(*args, **kwargs, **wanted)
        except TypeError as error:
            raise InvalidRequest(f"{name}: {error}. Its parameters are {signature}.") from error
        bound.apply_defaults()
        return cls(function=function, name=name, bound=bound)

    @property
    def wants_out(self) -> bool:
        """Whether it writes files."""
        return OUT in self.bound.signature.parameters

    @property
    def arguments(self) -> dict[str, Any]:
        """By name, without `out`."""
        return {name: one for name, one in self.bound.arguments.items() if name != OUT}

    def complete(self, out: Path) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments; `out` by name where it can be."""
        if self.wants_out:
            self.bound.arguments[OUT] = out
        return self.bound.args, self.bound.kwargs

    def run(self, out: Path) -> Any:
        """Call the function."""
        args, kwargs = self.complete(out)
        return self.function(*args, **kwargs)


def shown(value: Any, name: str = "") -> str:
    """A value for people, on one line; nothing of what its name says to be a secret."""
    value = plain_number(value)
    if SECRET.search(name):
        return "•••"
    if isinstance(value, Plan | Report | Used):
        used = Used.of(value)
        text = used.reference if used.split == "all" else f"{used.reference} {used.split}"
    elif isinstance(value, PurePath):
        text = value.name
    elif is_code(value):
        text = place_of(value).rpartition(".")[2]
    elif isinstance(value, str):
        text = urls.shown(value) if "://" in value else value
    elif isinstance(value, Mapping):
        text = ", ".join(f"{key}: {shown(one, str(key))}" for key, one in list(value.items())[:_LONGEST])
    elif isinstance(value, list | tuple | set | frozenset) and len(value) > 6:
        text = f"{len(value):,} items: {', '.join(shown(one) for one in list(value)[:3])}, …"
    elif isinstance(value, list | tuple | set | frozenset):
        text = ", ".join(shown(one) for one in value)
    else:
        text = f"{value!r}"
    text = plain(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _name(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    return type(owner).__name__ if function.__name__ == "__call__" else str(function.__name__)


def changes(before: Record, code: Mapping[str, str], inputs: Mapping[str, Input]) -> str:
    """What is different from an earlier record, in words."""
    said = []
    for name in sorted({*before.code, *code}):
        old, new = before.code.get(name), code.get(name)
        if old != new:
            kind = "now uses" if old is None else "no longer uses" if new is None else "code of"
            said.append(f"{kind} {name}" + (" changed" if kind == "code of" else ""))
    for name in [*inputs, *(one for one in before.inputs if one not in inputs)]:
        was, now = before.inputs.get(name), inputs.get(name)
        if was is None or now is None:
            said.append(f"{name} is {'new' if was is None else 'gone'}")
        elif was.token != now.token:
            if was.text != now.text:
                said.append(f"{name} {was.text} → {now.text}")
            else:
                said.append(f"{name} has other content" + (f", by {' and '.join(now.made_by)}" if now.made_by else ""))
    return "; ".join(said)


def metrics_of(result: Any) -> dict[str, float]:
    """The numbers of a dict that a step returned; of dicts within it with both names."""
    found: dict[str, float] = {}
    for name, value in result.items() if isinstance(result, Mapping) else ():
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[str(name)] = float(value)
        elif isinstance(value, Mapping):
            found |= {f"{name}.{inner}": one for inner, one in metrics_of(value).items()}
    return found
