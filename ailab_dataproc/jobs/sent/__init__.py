"""The modules of jobs' projects, as workers have them: each job's own below this package, not under plain names.

`helpers` of the job whose folder is /data/.jobs/ann/j1 is the module `ailab_dataproc.jobs.sent./data/%2Ejobs/ann/j1
.helpers`: any process of the cluster that meets the name, as in a pickle from another worker, can find its code. What
such a module imports comes from its own project first, then from what is installed; so modules that import each other,
state of modules, classes and imports within functions are as ever, and two jobs with a `helpers.py` never meet.

In the job's own processes, that have the project's modules under their plain names, the names here mean those. The
scheduler runs none of them: it passes references on.

Not covered: `importlib.import_module("helpers")`, `importlib.resources` and unpickling by plain names in tasks (they
find nothing: ModuleNotFoundError, or KeyError from pickle); modules that talk to the cluster while they are imported;
a project's module that is named as one of Python's own, or as this package (those are taken).
"""

from __future__ import annotations

import atexit
import builtins
import importlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from ailab_dataproc.errors import ClusterFailed, InvalidRequest
from ailab_dataproc.functions import OWN

PLACE = "AILAB_JOB_FOLDER"  # the variable that names the job of this process
OPTIONS = "AILAB_JOB_OPTIONS"  # that with the options of its folder's store
_PREFIX = f"{__name__}."
_options: dict[str, Mapping[str, Any]] = {}  # of the store, by the URL of a job's folder
_codes: dict[str, tuple[Path, list[str]]] = {}  # the unpacked code, and its folders with modules
_lock = threading.RLock()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job's code is."""

    url: str  # of the job's folder
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of its store
    folders: tuple[str, ...] = ()  # within the project, in which the job looks for modules


def named(where: Place, module: str, name: str) -> Any:
    """A module of a job's project, or what it calls by a name.

    Args:
        where: the project.
        module: as the project calls it.
        name: within the module; empty: the module itself.
    """
    place = where.url
    if on_scheduler() and not is_mine(place):
        raise InvalidRequest(
            f"{module}.{name}: the scheduler can't run it, since it has no code of jobs. Run it in a task on a worker."
        )
    _options[place] = where.options
    if is_mine(place):
        found: Any = importlib.import_module(module)
    else:
        _look_in(place, where.folders)
        found = importlib.import_module(f"{_prefix(place)}.{module}")
    for part in name.split(".") if name else ():
        found = getattr(found, part)
    return found


def is_mine(place: str) -> bool:
    """Whether this is a process of that job itself."""
    return os.environ.get(PLACE) == place


def on_scheduler() -> bool:
    """Whether this is a scheduler's process, which must not run what users wrote."""
    scheduler, worker = sys.modules.get("distributed.scheduler"), sys.modules.get("distributed.worker")
    return bool(scheduler and scheduler.Scheduler._instances and not (worker and worker.Worker._instances))


def _prefix(place: str) -> str:
    return _PREFIX + place.replace("%", "%25").replace(".", "%2E")


def _is_there(place: str, top: str) -> bool:
    """Whether the project has a module or package of that name; a folder alone gives way to what is installed."""
    if top in sys.stdlib_module_names or top == OWN:
        return False
    spec = PathFinder.find_spec(top, _code(place))
    return spec is not None and (spec.loader is not None or PathFinder.find_spec(top) is None)


def _code(place: str) -> list[str]:
    """The project's folders with modules, on this machine; fetched once."""
    with _lock:
        if place not in _codes:
            _forget()
            _codes[place] = _fetched(place)
        return _codes[place][1]


def _look_in(place: str, folders: Sequence[str]) -> None:
    """Look there for modules, too: what the job has put into sys.path."""
    known = _code(place)
    paths = [str(_codes[place][0] / folder) for folder in folders]
    known += [path for path in paths if path not in known]


def _fetched(place: str) -> tuple[Path, list[str]]:
    from ailab_dataproc import storage
    from ailab_dataproc.jobs.code import module_folders, unpack
    from ailab_dataproc.jobs.record import ASKED, CODE, Asked

    job = storage.folder(place, dict(_options.get(place) or {}))
    try:
        script = Asked.of(job.read(ASKED)).script
        content = job.read(CODE)
    except (OSError, ValueError) as error:
        raise ClusterFailed(
            f"{place}: {getattr(_worker(), 'address', 'this process')} can't read the code of the job whose task it "
            f"runs ({error}). The folder of jobs (jobs_dir) must be one that all workers can read."
        ) from error
    folder = Path(tempfile.mkdtemp(prefix="code-", dir=getattr(_worker(), "local_directory", None)))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    unpack(content, folder)
    return folder, module_folders(folder, script)


def _worker() -> Any:
    known = sys.modules.get("distributed.worker")
    return next(iter(known.Worker._instances), None) if known else None


def _forget() -> None:
    """Let go of the modules of jobs that have ended: they may hold much."""
    from ailab_dataproc import storage
    from ailab_dataproc.jobs.record import ENDED

    for place, (folder, _) in list(_codes.items()):
        try:
            over = storage.folder(place, dict(_options.get(place) or {})).exists(ENDED)
        except (OSError, ValueError):  # it will be seen next time
            continue
        if over:
            top = _prefix(place)
            for name in [one for one in sys.modules if one == top or one.startswith(f"{top}.")]:
                del sys.modules[name]
            shutil.rmtree(folder, ignore_errors=True)
            del _codes[place], _options[place]


class _Finder:
    """Finds what lies below this package."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_PREFIX):
            return None
        token, _, module = fullname.removeprefix(_PREFIX).partition(".")
        place = token.replace("%2E", ".").replace("%25", "%")
        loader: Any
        if is_mine(place) and module:
            loader = _Same(module)
            return ModuleSpec(fullname, loader, is_package=True)
        if on_scheduler() or not module:
            loader = _Empty(place, module)
            spec = ModuleSpec(fullname, loader, is_package=True)
            spec.submodule_search_locations = [] if on_scheduler() or is_mine(place) else _code(place)
            return spec
        found = PathFinder.find_spec(fullname, path)
        if found is not None and isinstance(found.loader, SourceFileLoader) and found.origin:
            found.loader = _Loader(fullname, found.origin, place)
        return found


class _Loader(SourceFileLoader):
    """Runs a module whose imports come from its own project first."""

    def __init__(self, fullname: str, path: str, place: str) -> None:
        super().__init__(fullname, path)
        self._place = place

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = vars(builtins) | {"__import__": _importer(self._place)}
        super().exec_module(module)


def _importer(place: str) -> Any:
    """What `import` does in the modules of a project."""
    prefix = _prefix(place)
    known: dict[str, bool] = {}  # by the top of a name

    def import_(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        top = name.partition(".")[0]
        if not level and top not in known:
            known[top] = _is_there(place, top)
        if level or not known[top]:
            return builtins.__import__(name, globals, locals, fromlist, level)
        try:
            leaf = builtins.__import__(f"{prefix}.{name}", globals, locals, fromlist or ("",), 0)
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith(f"{prefix}."):
                raise
            plain = str(error.name).removeprefix(f"{prefix}.")
            raise ModuleNotFoundError(f"No module named {plain!r}", name=plain) from None
        return leaf if fromlist else sys.modules[f"{prefix}.{top}"]

    return import_


class _Same:
    """Gives the module that this process has under its plain name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._name)
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own


class _Empty:
    """The package of a job, or on a scheduler any module, which gives references to whatever is asked for."""

    def __init__(self, place: str, module: str) -> None:
        self._place, self._module = place, module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _References(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        if self._module:
            vars(module)["_asked"] = (Place(self._place, _options.get(self._place, {})), self._module)


class _References(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_asked" not in vars(self):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        from ailab_dataproc.jobs.travelling import reference

        where, module = vars(self)["_asked"]
        return reference(where, module, name)


sys.meta_path.insert(0, _Finder)
