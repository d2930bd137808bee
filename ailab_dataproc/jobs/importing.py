"""Modules of the project travel by value with the Dask tasks of a job: its workers don't have the project's code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

_LONGEST = 255  # bytes of a name in the short form of pickle


def watch(code: Path, job: str) -> None:
    """Mark each module that is imported from the project from now on, and teach Dask to mind the marks."""
    roots = tuple(dict.fromkeys([f"{code}/", f"{code.resolve()}/"]))
    sys.meta_path.insert(0, _Finder(roots, job))


class _Finder:
    def __init__(self, roots: tuple[str, ...], job: str) -> None:
        self._roots, self._job = roots, job

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The project's modules, and the two of Dask that are told of them."""
        if fullname in _TAUGHT:
            spec = PathFinder.find_spec(fullname, path)
            if spec and spec.loader:
                taught: Any = _Taught(spec.loader, fullname, self._job)  # no Loader: that takes 10 ms to import
                spec.loader = taught
            return spec
        places = sys.path if path is None else path
        own = [place for place in places if f"{place}/".startswith(self._roots)]
        spec = PathFinder.find_spec(fullname, own) if own else None
        if spec is None or not isinstance(spec.loader, SourceFileLoader) or not spec.origin:
            return None
        spec.loader = _Own(fullname, spec.origin)
        return spec


class _Own(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        """Run the module, and mark it."""
        import cloudpickle

        cloudpickle.register_pickle_by_value(module)
        super().exec_module(module)


class _Taught:
    """Runs a module of Dask and then changes it, before anybody else sees it."""

    def __init__(self, loader: Any, name: str, job: str) -> None:
        self._loader, self._name, self._job = loader, name, job

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As ever."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run it, and change it."""
        self._loader.exec_module(module)
        _TAUGHT[self._name](module, self._job)


def _teach_pickle(module: Any, _job: str) -> None:
    """Dask pickles by reference what it can, and minds the marks of the outermost object only."""
    import cloudpickle

    original = module.dumps

    def dumps(x: Any, *, buffer_callback: Any = None, protocol: int = 5) -> bytes:
        buffers: list[Any] = []
        asked = {"protocol": protocol, "buffer_callback": buffers.append if buffer_callback else None}
        content: bytes = original(x, **asked)
        if any(_written(name) in content for name in cloudpickle.list_registry_pickle_by_value()):
            buffers.clear()
            content = cloudpickle.dumps(x, **asked)
        for one in buffers:
            buffer_callback(one)
        return content

    module.dumps = dumps


def _teach_names(module: Any, job: str) -> None:
    """Two jobs with different functions of one name aren't the same task, whose result Dask would share."""
    import cloudpickle

    def mark(kind: type) -> None:
        default = module.normalize_token.dispatch(kind)

        def normalize(one: Any) -> Any:
            own = one.__module__ in cloudpickle.list_registry_pickle_by_value()
            return (job, default(one)) if own else default(one)

        module.normalize_token.register(kind, normalize)

    mark(FunctionType)
    mark(type)


def _written(name: str) -> bytes:
    """A name as pickle writes it."""
    text = name.encode()
    return b"\x8c" + bytes([len(text)]) + text if len(text) <= _LONGEST else text


_TAUGHT = {"distributed.protocol.pickle": _teach_pickle, "dask.tokenize": _teach_names}
