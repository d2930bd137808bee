"""What a job runs: a script or a function, checked before anything is sent, and the project that it belongs to."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ailab_dataproc import functions
from ailab_dataproc.errors import InvalidRequest, unknown
from ailab_dataproc.jobs import code

_LOOKING = threading.Lock()  # the search path is that of all threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A script or a function that was found."""

    label: str  # for people: train.py, features:make
    project: Path | None  # the folder that travels with it; None: nothing of it does
    script: str | None = None  # its path within the project
    function: Callable[..., Any] | str | None = None
    file: str | None = None  # within the project, that travels even if git ignores it

    @property
    def name(self) -> str:
        """The last part: train, make."""
        return re.split(r"[.:/]", self.label.removesuffix(".py"))[-1].strip("<>")


def entry_of(given: Callable[..., Any] | str | os.PathLike[str], project: str | os.PathLike[str] | None) -> Entry:
    """Find what a user has named.

    Args:
        given: a function, ``"module:function"``, or a script.
        project: its folder, if not the one that is found.

    Raises:
        InvalidRequest, UnknownName: there is no such thing, or it lies outside the project.
    """
    named = None if project is None else code.checked(project)
    if isinstance(given, os.PathLike) or (isinstance(given, str) and given.endswith(".py")):
        return _script(Path(given), named)
    if isinstance(given, str):
        if ":" not in given:
            raise InvalidRequest(
                f"{given!r}: found neither a script nor a function, wanted train.py or module:function."
            )
        return _named(given, named)
    return Entry(
        label=functions.label(given, "function_or_script"),
        project=named or code.project_of_function(given),
        function=given,
    )


def _script(path: Path, project: Path | None) -> Entry:
    file = path.expanduser()
    if not file.is_file():
        here = file.parent if file.parent.is_dir() else Path()
        near = get_close_matches(file.name, [one.name for one in here.glob("*.py")], n=3, cutoff=0.5)
        advice = f"Did you mean {' or '.join(str(file.parent / one) for one in near)}?" if near else "Mend the path."
        raise InvalidRequest(f"{path}: there is no such script in {here.resolve()}. {advice}")
    try:
        compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise InvalidRequest(f"{path}: is no Python that can be run ({error}). Mend it.") from error
    project = project or code.project_of(file)
    name = code.name_within(project, file)
    return Entry(label=file.name, project=project, script=name, file=name)


def _named(text: str, project: Path | None) -> Entry:
    place, _, name = text.rpartition(":")
    file = Path(place).expanduser() if place.endswith(".py") else _source(text, place, project)
    if file is None:  # installed: it is imported where the job runs
        return Entry(label=text, project=project, function=text)
    if not file.is_file():
        raise InvalidRequest(f"{text}: there is no file {file}. Mend the path.")
    known = _top_level(text, file)
    if known is not None and name not in known:
        raise unknown("function", name, known, where=place)
    project = project or code.project_of(file)
    within = code.name_within(project, file)
    return Entry(label=text, project=project, function=f"{_importable(place, within)}:{name}", file=within)


def _importable(place: str, within: str) -> str:
    """The module's name where the code's root and src are looked through, else its file."""
    names = within.removesuffix(".py").removesuffix("/__init__")
    return place if names.removeprefix("src/").replace("/", ".") == place else within


def _source(text: str, module: str, project: Path | None) -> Path | None:
    """The file of a module, without running it; None where it is installed."""
    with _LOOKING:
        folders = [str(folder) for folder in (project, Path.cwd()) if folder and str(folder) not in sys.path]
        sys.path[:0] = folders
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, AttributeError, ValueError) as error:
            raise InvalidRequest(f"{text}: importing {module!r} failed ({error}). Mend it.") from error
        finally:
            for folder in folders:
                sys.path.remove(folder)
    if found is None:
        near = get_close_matches(module, [one.stem for one in Path().glob("*.py")], n=3, cutoff=0.5)
        advice = f"Did you mean {' or '.join(near)}?" if near else "Name its project by code=, or install it."
        raise InvalidRequest(f"{text}: there is no module {module!r} in {Path.cwd()} nor installed. {advice}")
    file = found.origin
    if (
        module.partition(".")[0] == functions.OWN
        or not file
        or not file.endswith(".py")
        or not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)
    ):
        return None
    place = Path(file).resolve()
    return None if place.is_relative_to(Path(os.__file__).resolve().parent) else place


def _top_level(text: str, file: Path) -> list[str] | None:
    """The names that a module defines; None where that can't be told without running it."""
    try:
        tree = functions.parse(file.read_bytes())
    except SyntaxError as error:
        raise InvalidRequest(f"{text}: {file} is no Python that can be run ({error}). Mend it.") from error
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.asname or alias.name for alias in node.names]
            if "*" in names:
                return None
            found += names
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            found += [one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
        elif not isinstance(node, ast.Expr):
            return None  # names that come about within `if`, `try` or `with`
    return found
