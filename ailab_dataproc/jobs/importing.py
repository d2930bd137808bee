"""Teaches Dask, in a job's process, to send what is the project's own as workers can read it (`travelling`, `sent`)."""

from __future__ import annotations

import copyreg
import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from ailab_dataproc import functions
from ailab_dataproc.jobs.sent import OPTIONS, PLACE

if TYPE_CHECKING:
    from ailab_dataproc.jobs.travelling import Project

_TAUGHT = ("distributed.protocol.pickle", "dask.tokenize")


def watch(code: Path) -> None:
    """Change two modules of Dask when they are imported, for a project whose code is in a folder."""
    sys.meta_path.insert(0, _Finder(code))


class _Finder:
    def __init__(self, code: Path) -> None:
        self._code = code
        self._project: Project | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Those two."""
        spec = PathFinder.find_spec(fullname, path) if fullname in _TAUGHT else None
        if spec and spec.loader:
            taught: Any = _Taught(spec.loader, self)  # no Loader: that takes 10 ms to import
            spec.loader = taught
        return spec

    def teach(self, module: ModuleType) -> None:
        """Change one."""
        from ailab_dataproc.jobs.travelling import Project  # imports cloudpickle

        if self._project is None:
            copyreg.pickle(functions.ByValue, _by_value)
            self._project = Project(os.environ[PLACE], json.loads(os.environ.get(OPTIONS) or "{}"), self._code)
        if module.__name__ == _TAUGHT[0]:
            _teach_pickle(module, self._project)
        else:
            _teach_names(module, self._project)


class _Taught:
    """Runs a module of Dask and then changes it, before anybody else sees it."""

    def __init__(self, loader: Any, finder: _Finder) -> None:
        self._loader, self._finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As ever."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run it, and change it."""
        self._loader.exec_module(module)
        self._finder.teach(module)


def _teach_pickle(module: Any, project: Project) -> None:
    """Dask pickles by reference what it can; what has a name of the project in it is pickled again, sealed."""
    original = module.dumps

    def dumps(x: Any, *, buffer_callback: Any = None, protocol: int = 5) -> bytes:
        buffers: list[Any] = []
        asked = {"protocol": protocol, "buffer_callback": buffers.append if buffer_callback else None}
        content: bytes = original(x, **asked)
        if project.is_in(content):
            buffers.clear()
            content = project.dumps(x, **asked)
        for one in buffers:
            buffer_callback(one)
        return content

    module.dumps = dumps


def _by_value(function: functions.ByValue) -> Any:
    """Nothing needs that here."""
    from ailab_dataproc.jobs.travelling import itself

    return itself, (function.function,)


def _teach_names(module: Any, project: Project) -> None:
    """Two jobs with different functions of one name aren't the same task, whose result Dask would share."""

    def mark(kind: type) -> None:
        default = module.normalize_token.dispatch(kind)

        def normalize(one: Any) -> Any:
            return (project.where.url, default(one)) if project.owns(one) else default(one)

        module.normalize_token.register(kind, normalize)

    for kind in (FunctionType, MethodType, type):
        mark(kind)
