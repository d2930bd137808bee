"""A hash of each function and class of the project that a step runs, found by following the names that it uses.

What is hashed are instructions, not texts: comments, blank lines and documentation change nothing, a function that was
typed into a prompt has a hash too, and in a notebook a module that was edited but not loaded again counts as it runs.
"""

from __future__ import annotations

import ast
import dis
import functools
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.experiment.flows.values import Tokens, digest, is_code, place_of
from ailab_dataproc.functions import LIBRARIES
from ailab_dataproc.preparation.fingerprint import stripped

_WITHOUT = {  # of a class: what says nothing of what it does
    "__dict__",
    "__doc__",
    "__module__",
    "__weakref__",
    "__annotations__",
    "__firstlineno__",
    "__static_attributes__",
    "__abstractmethods__",
    "_abc_impl",
}
_SKIPPED = {"EXTENDED_ARG", "RESUME", "NOP", "CACHE"}
_CONSTANTS = {"LOAD_CONST", "RETURN_CONST", "KW_NAMES"}  # of the last Python 3.11 itself doesn't tell the value
_PACKAGE = __name__.partition(".")[0]


@dataclass(slots=True)
class Code:
    """Collects the hashes of what a function runs."""

    found: dict[str, str] = field(default_factory=dict)  # a hash by module and name
    plain: Tokens = field(init=False)
    _seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.plain = Tokens(function=lambda one, _: self.add(one))

    def add(self, one: Any) -> str:
        """Follow a function, class or module; returns how those that use it name it."""
        if isinstance(one, functools.partial | MethodType):
            return self.plain.of(one, place_of(one))
        if isinstance(one, staticmethod | classmethod):
            one = one.__func__
        name = place_of(one)
        if id(one) in self._seen or _is_library(getattr(one, "__module__", None)):
            return name
        self._seen.add(id(one))
        if isinstance(one, property):
            return " ".join(self.add(part) for part in (one.fget, one.fset, one.fdel) if part)
        if isinstance(one, type):
            self._keep(name, list(self._of_class(one)))
        elif isinstance(one, FunctionType):
            self._keep(name, list(self._of_function(one)))
        if hasattr(one, "__wrapped__"):
            self.add(one.__wrapped__)
        return name

    def _keep(self, name: str, parts: list[str]) -> None:
        made = digest(*parts)
        self.found[name] = made if name not in self.found else digest(self.found[name], made)

    def _of_class(self, one: type) -> Iterator[str]:
        for base in one.__mro__[1:]:
            yield self.add(base)
        for key, value in sorted(vars(one).items()):
            if key not in _WITHOUT:
                yield f"{key}={self._used(value)}"

    def _of_function(self, one: FunctionType) -> Iterator[str]:
        yield from self._of_code(one.__code__, one.__globals__)
        defaults = [*(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
        yield from map(self._used, defaults)
        for name, cell in zip(one.__code__.co_freevars, one.__closure__ or (), strict=True):
            try:
                held = cell.cell_contents
            except ValueError:  # a variable that has no value yet
                continue
            if isinstance(held, ModuleType):
                yield from self._of_module(held, one.__code__.co_names)
            else:
                yield f"{name}={self.plain.of(held, f'{one.__qualname__}: what it captures as {name!r}')}"

    def _of_code(self, code: CodeType, seen: dict[str, Any]) -> Iterator[str]:
        """Each instruction with what it means, and what stands behind the names."""
        before: list[Any] = [None, None]
        for one in dis.get_instructions(code):
            value = code.co_consts[one.arg] if one.opname in _CONSTANTS and one.arg is not None else one.argval
            if isinstance(value, CodeType):
                yield from self._of_code(value, seen)
            elif one.opname == "IMPORT_NAME":
                yield from self._of_import(str(value), before, seen)
            elif one.opname not in _SKIPPED:
                yield f"{one.opname} {self.plain.of(value, one.opname)}"
            before = [before[1], value]
        for name in sorted({*code.co_names} & seen.keys()):
            if isinstance(seen[name], ModuleType):
                yield from self._of_module(seen[name], code.co_names)
            else:
                yield f"{name}={self._used(seen[name])}"

    def _used(self, value: Any) -> str:
        """A global counts by its value if that is plain, else by its kind."""
        if is_code(value):
            return self.add(value)
        try:
            return self.plain.of(value, "")
        except InvalidRequest:
            return self.add(type(value))

    def _of_module(self, module: ModuleType, names: tuple[str, ...]) -> Iterator[str]:
        """What is used of a module: the names that it has."""
        if not _is_library(module.__name__):
            for name in sorted({*names} & vars(module).keys()):
                one = vars(module)[name]
                found = self._of_module(one, names) if isinstance(one, ModuleType) else [self._used(one)]
                yield from (f"{module.__name__}.{name}={text}" for text in found)

    def _of_import(self, name: str, before: list[Any], seen: dict[str, Any]) -> Iterator[str]:
        """A module that is imported while the function runs counts by its text: now it may not be there yet."""
        level, wanted = before
        if level:
            name = importlib.util.resolve_name("." * level + name, seen.get("__package__") or "")
        for module in (name, *(f"{name}.{one}" for one in wanted or ())):
            self._add_text(module)
        yield name

    def _add_text(self, module: str) -> None:
        """The module's text, and those of the project's modules that it imports."""
        if module in self.found or module.partition(".")[0] in sys.stdlib_module_names:
            return
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):  # `from features import make`: features.make is no module
            return
        file = spec.origin if spec and spec.has_location else None
        if spec is None or file is None or not file.endswith(".py") or _is_library(module, file):
            return
        text = Path(file).read_text(encoding="utf-8")
        self.found[module] = digest(stripped(text))
        package = module if spec.submodule_search_locations else module.rpartition(".")[0]
        for name in _imported(text, package):
            self._add_text(name)


def _imported(text: str, package: str) -> Iterator[str]:
    """The names of modules, or of what is in them, that a module's text imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            base = importlib.util.resolve_name("." * node.level + base, package) if node.level else base
            yield from (base, *(f"{base}.{one.name}" for one in node.names))


def _is_library(module: str | None, file: str | None = None) -> bool:
    """Whether a module is installed, and not the project's own."""
    top = (module or "builtins").partition(".")[0]
    if top == _PACKAGE or top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return top != "__main__"
    found = file or getattr(sys.modules.get(module or ""), "__file__", None)
    if found is None:
        return False
    return found.startswith(LIBRARIES) or not {"site-packages", "dist-packages"}.isdisjoint(Path(found).parts)
