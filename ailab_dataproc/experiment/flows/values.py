"""What a value is known by: equal values have equal tokens, in every process; what has none is refused."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.planning import Plan
from ailab_dataproc.report import Report

_SAID = (  # whose repr() says all that they hold
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone, ZoneInfo),
    *(Decimal, Fraction, UUID, complex, range, slice, type(...), bool, int, bytes, type(None)),
)
_KINDS: dict[str, Any] = {"list": list, "tuple": tuple, "set": (set, frozenset), "dict": Mapping}
_MANY = (list, tuple, set, frozenset, Mapping)
_QUICK = {int, bool, float, type(None)}
_CODE = (type, FunctionType, BuiltinFunctionType, staticmethod, classmethod, property)
_ADVICE = "Pass plain values, a dataset's name, a Plan or a Path, and make the rest within the step."
_INSTEAD = {  # what to do, by a word of the type's name
    "Client": "Leave it out: the step uses the client that is connected, with on='cluster'.",
    "Future": "Pass its result.",
    "Job": "Pass its result.",
    "Frame": "Pass a dataset's name, a Plan or the Path of a file, and load it within the step.",
    "Series": "Pass a dataset's name, a Plan or the Path of a file, and load it within the step.",
    "Table": "Pass a dataset's name, a Plan or the Path of a file, and load it within the step.",
    "Tensor": "Pass the Path of a file, and load it within the step.",
    "array": "Pass the Path of a file, or .tolist() of a small one.",
}


def digest(*parts: str) -> str:
    """20 hexadecimal digits of some texts."""
    found = hashlib.blake2b(digest_size=10)
    for part in parts:
        found.update(f"{len(part)}:{part}".encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def is_code(value: Any) -> bool:
    """Whether it counts by what it does."""
    return isinstance(value, _CODE) or (callable(value) and hasattr(value, "__wrapped__"))


def place_of(one: Any) -> str:
    """The module and name of a function or class; a script has the same as when it is imported."""
    module = getattr(one, "__module__", None) or ""
    if module == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        module = Path(file).stem if file else module
    return f"{module}.{getattr(one, '__qualname__', type(one).__qualname__)}"


def refused(value: Any, where: str, *, kept: bool = False) -> InvalidRequest:
    """The error for what a step can't take, or can't return."""
    kind = type(value).__name__
    if kept:
        wanted = "wanted plain values, Paths below `out`, or names of datasets"
        return InvalidRequest(f"{where}: a {kind} can't be kept, {wanted}. Write it to a file below `out`.")
    if isinstance(value, io.IOBase):
        instead = "Pass its Path."
    elif hasattr(value, "__next__"):
        instead = "Pass a list."
    else:
        instead = next((advice for word, advice in _INSTEAD.items() if word.lower() in kind.lower()), _ADVICE)
    return InvalidRequest(f"{where}: a step can't be remembered on a {kind}. {instead}")


@dataclasses.dataclass(frozen=True, slots=True)
class Tokens:
    """Makes the tokens of values."""

    function: Callable[[Any, str], str]  # of a function or class
    text: Callable[[str], str | None] = lambda text: None  # of a text that stands for something else
    path: Callable[[Path, str], str] = lambda path, where: str(path)

    def of(self, value: Any, where: str) -> str:
        """The token of a value.

        Args:
            value: any.
            where: what it is, for the message.

        Raises:
            InvalidRequest: nothing lasting says what it holds.
        """
        try:
            return self._of(value, where)
        except RecursionError:
            raise InvalidRequest(f"{where}: holds itself, or too much within each other. {_ADVICE}") from None

    def _of(self, value: Any, where: str) -> str:
        value = plain_number(value)
        if isinstance(value, Enum):
            return f"{place_of(type(value))}.{value.name}"
        if isinstance(value, str):
            return self.text(str(value)) or f"str {str(value)!r}"
        if isinstance(value, float):
            return f"float {value + 0.0!r}"  # -0.0 equals 0.0
        if isinstance(value, _SAID):
            return f"{type(value).__name__} {value!r}"
        if isinstance(value, _MANY) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
            return self._of_many(value, where)
        return self._of_other(value, where)

    def _of_many(self, value: Any, where: str) -> str:
        if isinstance(value, Plan | Report | Used):
            used = Used.of(value)
            return f"data {used.reference} {used.digest}"
        return f"{_kind(value)} {digest(*self._parts(value, where))}"

    def _of_other(self, value: Any, where: str) -> str:
        if isinstance(value, re.Pattern):
            return f"pattern {value.pattern!r} {value.flags}"
        if isinstance(value, PurePath):
            return f"path {self.path(Path(value), where)}"
        if isinstance(value, functools.partial):
            given = self._of([value.args, value.keywords], f"{where}, what is given to {value.func!r:.60}")
            return f"{self._of(value.func, where)} with {given}"
        owner = getattr(value, "__self__", None)
        if (
            isinstance(value, MethodType | BuiltinFunctionType)
            and owner is not None
            and not isinstance(owner, ModuleType)
        ):
            function = getattr(value, "__func__", None)
            name = self._of(function, where) if function else place_of(value)
            return f"{name} of {self._of(owner, f'{where}, whose method it is')}"
        if is_code(value):
            return f"code {self.function(value, where)}"
        raise refused(value, where)

    def _parts(self, value: Any, where: str) -> Iterator[str]:
        if isinstance(value, list | tuple):
            value = [plain_number(one) for one in value] if not {*map(type, value)} <= _QUICK else value
            if {*map(type, value)} <= _QUICK:  # millions of numbers in one go
                yield repr([one + 0.0 if type(one) is float else one for one in value])
            else:
                yield from (self._of(one, f"{where}, item {place}") for place, one in enumerate(value))
        elif isinstance(value, set | frozenset):
            yield from sorted(self._of(one, f"{where}, an item") for one in value)
        elif isinstance(value, Mapping):
            keys = {self._of(key, f"{where}, a key"): key for key in value}
            for token, key in sorted(keys.items()):
                yield from (token, self._of(value[key], f"{where}, {str(key)[:40]!r}"))
        else:
            for one in dataclasses.fields(value):
                yield f"{one.name} {self._of(getattr(value, one.name), f'{where}, field {one.name}')}"


def _kind(value: Any) -> str:
    """Equal values are of one kind, such as a dict and a Counter."""
    if dataclasses.is_dataclass(value) or hasattr(value, "_fields"):
        return place_of(type(value))
    return next(name for name, kind in _KINDS.items() if isinstance(value, kind))


def plain_number(value: Any) -> Any:
    """A NumPy scalar as Python's own; everything else as it is."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic) and value.dtype.kind in "biufcSU":
        return value.item()
    return value
