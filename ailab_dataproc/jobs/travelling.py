"""What is a project's own travels to workers as sealed bytes, that name the job's code, past the scheduler unopened.

Dask's scheduler unpickles the tasks that it is given, and pickles them again for workers. It has no code of jobs, and
should have none; an error there ends its connections, and with them its workers. So each function, class, module or
object of the project (and of the script itself) goes as one `Sealed`. A function is opened where it is called, in the
task's thread; anything else where it arrives at a worker. What can't be opened raises its error where it is used.

Not covered: objects of other libraries that use one of the project's while they are unpickled, as a sorted container
does; identity of an object that is in two places of one message.
"""

from __future__ import annotations

import inspect
import io
import os
import pickle
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

import cloudpickle

from ailab_dataproc.functions import OWN
from ailab_dataproc.jobs import sent

_MISSING = object()
_KINDS = tuple(inspect._ParameterKind)
_OPTIONAL = 8  # added to the kind of a parameter with a default


class Sealed:
    """Stands for what its bytes hold."""

    def __init__(self, place: str, content: bytes, title: str, parameters: tuple[tuple[str, int], ...] | None) -> None:
        """Keep it shut.

        Args:
            place: the URL of the job's folder.
            content: a pickle.
            title: a name for people.
            parameters: names and kinds, for a function, which is opened late.
        """
        self._sealed = (place, content, title, parameters)
        self._found: Any = _MISSING
        self._error: BaseException | None = None
        self.__name__ = title

    def __reduce__(self) -> Any:
        return restored, self._sealed

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self.opened()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_sealed", "_found", "_error") or sent.on_scheduler():
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.opened(), name)

    def __dask_tokenize__(self) -> Any:
        return self._sealed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and self._sealed == other._sealed

    def __hash__(self) -> int:
        return hash(self._sealed[:2])

    def __repr__(self) -> str:
        return f"<{self._sealed[2]} of the job {self._sealed[0].rpartition('/')[2]}>"

    @property
    def __signature__(self) -> inspect.Signature:
        """Dask looks for arguments by name also on the scheduler."""
        given = [
            inspect.Parameter(name, _KINDS[kind & 7], default=None if kind & _OPTIONAL else inspect.Parameter.empty)
            for name, kind in self._sealed[3] or ()
        ]
        return inspect.Signature(given)

    def opened(self) -> Any:
        """What it holds."""
        if self._error is not None:
            raise self._error
        if self._found is _MISSING:
            self._found = pickle.loads(self._sealed[1])  # noqa: S301 - of the user's own job
        return self._found

    def tried(self) -> Any:
        """What it holds; itself where that can't be opened, so that the error comes where it is used."""
        try:
            return self.opened()
        except Exception as error:  # whatever the project's modules do when they are imported
            self._error = error
            return self


def restored(place: str, content: bytes, title: str, parameters: Any) -> Any:
    """What was sealed, where it may be opened now; else the same, sealed."""
    found = Sealed(place, content, title, parameters)
    if sent.is_mine(place):
        return found.opened()
    return found if parameters is not None or sent.on_scheduler() else found.tried()


class _Reference:
    def __init__(self, *asked: Any) -> None:
        self._asked = asked

    def __reduce__(self) -> Any:
        return sent.named, self._asked


def reference(where: sent.Place, module: str, name: str) -> Sealed:
    """What a module of a job's project calls by a name, sealed."""
    return Sealed(where.url, pickle.dumps(_Reference(where, module, name)), name, ())


def itself(one: Any) -> Any:
    """What it is given."""
    return one


class Project:
    """Knows what is the project's own in this process of a job, and pickles it."""

    def __init__(self, url: str, options: Mapping[str, Any], code: Path) -> None:
        """Of a job.

        Args:
            url: of its folder.
            options: of its store.
            code: the folder with the project.
        """
        self.where = sent.Place(url, dict(options))
        self._roots = tuple(dict.fromkeys([f"{code}/", f"{code.resolve()}/"]))
        self._path: list[str] = []  # sys.path, when it was looked at
        self._names = re.compile(b"")
        self._known: dict[str, bool] = {"__main__": True, OWN: False}  # by the top of a module's name

    def is_in(self, content: bytes) -> bool:
        """Whether a pickle may name one of its modules."""
        if self._path != sys.path:
            self._path = list(sys.path)
            found = {folder: self._within(folder) for folder in self._path}
            self.where = replace(self.where, folders=tuple(one for one in found.values() if one))
            self._names = _names([Path(folder) for folder, one in found.items() if one])
        return self._names.search(content) is not None

    def _within(self, folder: str) -> str:
        """The path of a folder within the project; empty where it is none there."""
        path = os.path.abspath(folder)
        roots = [root for root in self._roots if f"{path}/".startswith(root)]
        return os.path.relpath(path, roots[0]) if roots and os.path.isdir(path) else ""

    def has(self, name: Any) -> bool:
        """Whether a module of that name is its own, as far as it was imported here."""
        if not isinstance(name, str):
            return False
        top = name.partition(".")[0]
        if top not in self._known:
            module = sys.modules.get(top)
            if module is None:
                return False
            paths = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
            self._known[top] = any(str(path).startswith(self._roots) for path in paths if path)
        return self._known[top]

    def owns(self, one: Any) -> bool:
        """Whether it is a module, or was defined in one, or is an object of such a class or a method of one."""
        if isinstance(one, ModuleType):
            return self.has(one.__name__)
        if isinstance(one, MethodType) and self.owns(one.__self__):
            return True
        return self.has(getattr(type(one), "__module__", None)) or self.has(_module_of(one))

    def dumps(self, one: Any, **asked: Any) -> bytes:
        """A pickle in which all that is its own is sealed."""
        file = io.BytesIO()
        _Outer(self, file, **asked).dump(one)
        return file.getvalue()

    def sealed(self, one: Any) -> Sealed:
        """Something of its own."""
        file = io.BytesIO()
        _Inner(self, file, protocol=5).dump(one)
        title = getattr(one, "__name__", None) or type(one).__name__
        late = inspect.isroutine(one) and not inspect.iscoroutinefunction(one)
        return Sealed(self.where.url, file.getvalue(), str(title), _parameters(one) if late else None)

    def name_of(self, one: Any) -> tuple[str, str] | None:
        """The module and the name under which it is found there; None where it isn't."""
        if isinstance(one, ModuleType):
            return (one.__name__, "") if self.has(one.__name__) and one.__name__ != "__main__" else None
        module, name = _module_of(one), getattr(one, "__qualname__", None)
        if not isinstance(name, str) or module == "__main__" or not self.has(module):
            return None
        found: Any = sys.modules.get(str(module))
        for part in name.split("."):
            found = getattr(found, part, None)
        return (str(module), name) if found is one else None


def _names(folders: Sequence[Path]) -> re.Pattern[bytes]:
    """The names at the top of folders with modules, as pickle writes them."""
    found = {one.name.partition(".")[0] for folder in folders for one in folder.iterdir()} | {"__main__"}
    names = b"|".join(re.escape(name).encode() for name in sorted(found) if name.isidentifier())
    return re.compile(rb"(?:\x8c.|X....)(?:" + names + rb")\b", re.DOTALL)


def _module_of(one: Any) -> Any:
    return getattr(one, "__module__", None)


def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, int], ...]:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple((one.name, int(one.kind) | (_OPTIONAL if one.default is not one.empty else 0)) for one in found)


class _Outer(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, project: Project, file: Any, **asked: Any) -> None:
        super().__init__(file, **asked)
        self._project = project

    def reducer_override(self, obj: Any) -> Any:
        if self._project.owns(obj):
            return self._project.sealed(obj).__reduce__()
        return super().reducer_override(obj)


class _Inner(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, project: Project, file: Any, **asked: Any) -> None:
        super().__init__(file, **asked)
        self._project = project

    def reducer_override(self, obj: Any) -> Any:
        found = self._project.name_of(obj)
        if found is None:
            return super().reducer_override(obj)
        return sent.named, (self._project.where, *found)
