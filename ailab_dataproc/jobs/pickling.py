"""What a job of Python calls, as bytes: which modules it needs, and where what can't be pickled hides."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import io
import pickle
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.functions import OWN
from ailab_dataproc.jobs.record import Work
from ailab_dataproc.report import count_bytes

LIMIT = 100_000_000  # bytes of a function with its arguments
_DEEP = 3  # levels that are searched for what can't be pickled


def pickled(work: Work, project: Path | None) -> bytes:
    """Pickle what a job calls; functions of modules that can't be imported where it runs travel by value.

    Args:
        work: what it calls.
        project: the folder that travels with it.

    Raises:
        InvalidRequest: something in it can't be pickled, needs a module that stays here, or is too large.
    """
    content, modules = _pickled(work)
    elsewhere = [module for module in modules if _origin(module, project) == "project, elsewhere"]
    if elsewhere:
        with _by_value(elsewhere):
            content, modules = _pickled(work)
    for module in modules:
        if _origin(module, project) == "nowhere":
            raise InvalidRequest(
                f"{_name(work)}: needs the module {module.__name__!r} ({module.__file__}), which is neither installed "
                f"nor below the project {project}. Move it there, name its folder by code=, or install it."
            )
    return content


def _pickled(work: Work) -> tuple[bytes, list[ModuleType]]:
    file = _Limited()
    pickler = _Pickler(file)
    try:
        pickler.dump(work)
    except _TooLarge:
        raise InvalidRequest(
            f"{_name(work)}: the function and its arguments are over {count_bytes(LIMIT)}. "
            "Put the data into a dataset or a file, and pass its name."
        ) from None
    except Exception as error:
        place = hiding_place(work)
        held = f"{place} can't be pickled" if place else "it can't be pickled"
        raise InvalidRequest(
            f"{_name(work)}: {held} ({type(error).__name__}: {error}). Make it within the function instead."
        ) from error
    names = sorted(pickler.modules)
    return file.getvalue(), [sys.modules[name] for name in names if name in sys.modules]


class _TooLarge(Exception):
    """More than the limit was written."""


class _Limited(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() + memoryview(data).nbytes > LIMIT:
            raise _TooLarge
        return super().write(data)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Remembers which modules are needed where it is unpickled."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, protocol=5)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        found = super().reducer_override(obj)
        if isinstance(obj, ModuleType):
            self.modules.add(obj.__name__)
        elif isinstance(obj, type | FunctionType) and (found is NotImplemented or isinstance(found, str)):
            self.modules.add(obj.__module__)  # by reference
        return found


def _origin(module: ModuleType, project: Path | None) -> str:
    """Where a module comes from, as seen from where the job runs."""
    file = getattr(module, "__file__", None)
    if module.__name__ == "__main__" or file is None:
        return "installed"  # built in, or made on the fly, which goes by value
    place = Path(file).resolve()
    roots = (Path(sysconfig.get_path("stdlib")).resolve(), Path(importlib.__file__).resolve().parent.parent)
    installed = not {"site-packages", "dist-packages"}.isdisjoint(place.parts)
    if installed or any(place.is_relative_to(root) for root in roots):
        return "installed"
    if project is not None and place.is_relative_to(project):
        parts = place.relative_to(project).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        wanted = tuple(module.__name__.split("."))
        return "project" if parts in (wanted, ("src", *wanted)) else "project, elsewhere"
    # A package that is installed in editable form lies in a folder of its own; the workers have it if they have us.
    return "installed" if module.__name__.split(".")[0] in _editable() else "nowhere"


@functools.cache
def _editable() -> frozenset[str]:
    """The names at the top of all packages that are installed."""
    from importlib import metadata

    return frozenset(metadata.packages_distributions()) | {OWN}


@contextlib.contextmanager
def _by_value(modules: list[ModuleType]) -> Iterator[None]:
    mine = [module for module in modules if module.__name__ not in cloudpickle.list_registry_pickle_by_value()]
    for module in mine:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in mine:
            cloudpickle.unregister_pickle_by_value(module)


def hiding_place(work: Work) -> str:
    """Where what can't be pickled hides, as ``"a _thread.lock in closure variable 'db'"``; empty if it isn't found."""
    named = {f"argument {number}": value for number, value in enumerate(work.args, start=1)}
    named |= {f"argument {name!r}": value for name, value in work.kwargs.items()}
    for where, value in ({"the function": work.function} | named).items():
        if not _fits(value):
            kind, path = _searched(value, where, _DEEP)
            return f"{path} holds a {kind}, which" if path != where else f"{where} is a {kind}, which"
    return ""


def _searched(value: Any, where: str, depth: int) -> tuple[str, str]:
    for name, inner in _parts(value):
        if not _fits(inner):
            return _searched(inner, f"{name} of {where}", depth - 1) if depth else (_kind(inner), where)
    return _kind(value), where


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, functools.partial):
        yield "the function", value.func
        yield from ((f"argument {number}", one) for number, one in enumerate(value.args, start=1))
        yield from ((f"argument {name!r}", one) for name, one in value.keywords.items())
    elif inspect.ismethod(value):
        yield "the object", value.__self__
    elif isinstance(value, FunctionType):
        used = inspect.getclosurevars(value)
        yield from ((f"closure variable {name!r}", one) for name, one in used.nonlocals.items())
        yield from ((f"global variable {name!r}", one) for name, one in used.globals.items())
        yield from ((f"default value {number}", one) for number, one in enumerate(value.__defaults__ or (), start=1))
    elif isinstance(value, Mapping):
        yield from ((f"item {name!r}", one) for name, one in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"item {number}", one) for number, one in enumerate(value))
    else:
        yield from ((f"attribute {name!r}", one) for name, one in getattr(value, "__dict__", {}).items())


def _fits(value: Any) -> bool:
    try:
        cloudpickle.Pickler(_Limited(), protocol=5).dump(value)
    except (_TooLarge, pickle.PicklingError, TypeError, ValueError, AttributeError, NotImplementedError, RuntimeError):
        return False
    return True


def _kind(value: Any) -> str:
    module = type(value).__module__
    name = type(value).__qualname__
    return name if module == "builtins" else f"{module}.{name}"


def _name(work: Work) -> str:
    function = work.function
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__qualname__", None) or (function if isinstance(function, str) else _kind(function))
