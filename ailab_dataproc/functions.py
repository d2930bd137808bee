"""Functions that people hand over, or name as MODULE:FUNCTION or FILE.py:FUNCTION: found, named, placed."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import InvalidRequest, unknown


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


def label(function: Any, argument: str) -> str:
    """The name of a function for people, with its module's where that has one.

    Args:
        function: which; of a `functools.partial`, what that calls.
        argument: as what it was given, for the message.

    Raises:
        InvalidRequest: it isn't callable.
    """
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


def _called(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function
