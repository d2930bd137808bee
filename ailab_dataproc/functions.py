"""Functions that people hand over, or name as MODULE:FUNCTION or FILE.py:FUNCTION: found, named, placed."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import os
import pickle
import sys
import sysconfig
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ailab_dataproc.errors import InvalidRequest, unknown

OWN = __name__.partition(".")[0]  # this package, which each process of a job has as it is installed there
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_registering = threading.Lock()  # cloudpickle's register is one for all threads
_parsing = threading.Lock()


def find(text: str) -> Callable[..., Any]:
    """The function that ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION`` names, imported from here.

    Raises:
        InvalidRequest: the text is something else, or importing the module raises.
        UnknownName: the module has no such function.
    """
    place, colon, name = text.rpartition(":")
    if not (place and colon and name):
        raise InvalidRequest(f"{text!r} is no MODULE:FUNCTION, such as features:make.")
    file = Path(place).expanduser()
    folder, module = (str(file.resolve().parent), file.stem) if file.suffix == ".py" else (os.getcwd(), place)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise InvalidRequest(
            f"{text}: importing {module!r} raised {type(error).__name__}: {error}. Mend it."
        ) from error
    known = [one for one in vars(found) if callable(getattr(found, one))]
    if name not in known:
        raise unknown("function", name, known, where=place)
    return getattr(found, name)


def parse(source: str | bytes) -> ast.Module:
    """What `ast.parse` gives, also in threads: Python 3.11's counts its depth once for all of them, and then fails.

    Raises:
        SyntaxError: it is no Python.
    """
    with _parsing:
        return ast.parse(source)


def label(function: Any, argument: str) -> str:
    """The name of a function for people, with its module's where that has one.

    Args:
        function: which; of a `functools.partial`, what that calls.
        argument: as what it was given, for the message.

    Raises:
        InvalidRequest: it isn't callable.
    """
    if isinstance(function, Known):
        return function.label
    function = _called(function)
    if not callable(function):
        raise InvalidRequest(f"{argument}={function!r}: wanted a function. Pass it without calling it.")
    module = getattr(function, "__module__", "")
    name = getattr(function, "__qualname__", type(function).__name__)
    return name if module in ("", None, "__main__") else f"{module}.{name}"


def file(function: Any) -> str | None:
    """The file that a function stands in; None for one that has none."""
    function = _called(function)
    return inspect.getsourcefile(function) if inspect.isroutine(function) else None


@dataclass(frozen=True, slots=True)
class Known:
    """A function with what is known of it where its text is: its name, and a hash of its code."""

    function: Callable[..., Any]
    label: str
    code: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self.function(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class ByValue:
    """A function that is pickled with its own and its project's code, for workers that can't import these."""

    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self.function(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """There it comes out as the function itself."""
        import cloudpickle

        own = _project(self.function)
        with _registering:
            for module in own:
                cloudpickle.register_pickle_by_value(module)
            try:
                pickled = cloudpickle.dumps(self.function)
            except Exception as error:  # whatever an object raises that can't be pickled
                raise InvalidRequest(
                    f"{label(self.function, 'function')}: can't be sent to workers, since what it uses can't be "
                    f"pickled ({type(error).__name__}: {error}). Make such things within the function."
                ) from error
            finally:
                for module in own:
                    cloudpickle.unregister_pickle_by_value(module)
        return pickle.loads, (pickled,)


def _project(function: Any) -> list[ModuleType]:
    """The imported modules that stand beside a function, or below its folder, but are no installed library."""
    import cloudpickle

    module = sys.modules.get(getattr(_called(function), "__module__", None) or "")
    found = getattr(module, "__file__", None)
    root = Path(found).resolve().parents[module.__name__.count(".")] if module and found else Path.cwd()
    known = cloudpickle.list_registry_pickle_by_value()
    return [one for name, one in list(sys.modules.items()) if name not in known and _is_below(one, root)]


def _is_below(module: ModuleType, root: Path) -> bool:
    file, name = getattr(module, "__file__", None), getattr(module, "__name__", "")
    if (
        not file
        or name == "__main__"
        or name.partition(".")[0] == "ailab_dataproc"
        or sys.modules.get(name) is not module
    ):
        return False
    return Path(file).resolve().is_relative_to(root) and not file.startswith(LIBRARIES)


def _called(function: Any) -> Any:
    """What a partial, or one of the classes here, calls."""
    while isinstance(function, functools.partial | Known | ByValue):
        function = function.func if isinstance(function, functools.partial) else function.function
    return function
