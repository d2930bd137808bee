"""Run the module of a definition: from its file here, from its text in a worker that has no such file."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_PREFIX = "ailab_dataproc_definition_"
_TEXT = "__definition_text__"


def run_file(path: Path) -> ModuleType:
    """The module of a definition's file, run once for each text, so that a notebook or a worker gets the new one."""
    text = path.read_text(encoding="utf-8")
    mark = hashlib.blake2b(f"{path}\0{text}".encode(), digest_size=8).hexdigest()
    return run_text(f"{_PREFIX}{path.stem}_{mark}", str(path), text)


def run_text(name: str, path: str, text: str) -> ModuleType:
    """Run a module's text under a name that pickles find again.

    Args:
        name: its key in ``sys.modules``; the module there, if any, is returned as it is.
        path: where the text comes from, for tracebacks.
        text: Python.
    """
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = path
    module.__dict__[_TEXT] = text
    sys.modules[name] = module
    try:
        exec(compile(text, path, "exec"), module.__dict__)  # noqa: S102 - the author's definition is code to be run
    except BaseException:
        del sys.modules[name]
        raise
    return module


def module_text(function: Any) -> tuple[str, str, str] | None:
    """What `run_text` needs for the module of a definition's function; None for a function from elsewhere."""
    module = sys.modules.get(getattr(function, "__module__", "") or "")
    if module is None or not module.__name__.startswith(_PREFIX) or not module.__file__:
        return None
    return module.__name__, module.__file__, module.__dict__[_TEXT]
