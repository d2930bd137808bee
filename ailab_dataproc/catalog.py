"""Name to Dataset. The folder is the registry: datasets/products/a/clicks.py defines products/a/clicks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ailab_dataproc import __version__
from ailab_dataproc.dataset import Dataset, check_name
from ailab_dataproc.definition import run_file
from ailab_dataproc.errors import AilabError, InvalidDefinition, UnknownName, unknown
from ailab_dataproc.references import Reference
from ailab_dataproc.settings import Settings

ENTRY_POINTS = "ailab_dataproc.datasets"  # each names a package whose folder holds definitions


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of definitions, and who brings it."""

    folder: Path
    origin: str  # the distribution, or the folder
    package: str = ""  # the distribution with its version; nothing for a folder of the settings


@dataclass(frozen=True, slots=True)
class Definition:
    """Where a dataset is defined; its module is run only when it is asked for."""

    name: str
    path: Path
    place: Place
    rivals: tuple[Definition, ...] = ()  # others of the same name

    @property
    def origin(self) -> str:
        """The package or folder that brings it."""
        return self.place.origin

    @property
    def package(self) -> str:
        """The package with its version, or nothing."""
        return self.place.package

    def load(self) -> Dataset:
        """Run the module and return its ``dataset``.

        Raises:
            InvalidDefinition: two places define this name, or the module fails, defines no ``dataset``, or one of
                another name.
        """
        if self.rivals:
            places = " and by ".join(f"{one.origin} ({one.path})" for one in (self, *self.rivals))
            raise InvalidDefinition(
                f"{self.name}: is defined by {places}, wanted one place. Rename all but one, or remove a package."
            )
        try:
            found = getattr(run_file(self.path), "dataset", None)
        except AilabError:
            raise
        except (Exception, SystemExit) as error:
            raise InvalidDefinition(f"{self.path}: can't be imported ({type(error).__name__}: {error}).") from error
        if not isinstance(found, Dataset):
            raise InvalidDefinition(f"{self.path}: defines no `dataset = Dataset(…)` at its top level.")
        if found.name != self.name:
            raise InvalidDefinition(
                f"{self.path}: its dataset is named {found.name!r}, but its place in the folder says {self.name!r}. "
                "Rename one of them."
            )
        return found


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps definitions from being seen."""

    where: str  # an entry point, a folder or a file
    what: str  # a sentence


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a look at all places found."""

    definitions: dict[str, Definition]
    problems: tuple[Problem, ...]


def look(settings: Settings) -> Catalog:
    """Look at all places: built-in, of installed packages, and of the folders in the settings. No definition is run.

    Raises:
        InvalidDefinition: the settings name a folder that isn't there.
    """
    found: dict[str, Definition] = {}
    problems: list[Problem] = []
    for place in _places(settings, problems):
        for path in _files(place.folder, problems):
            name = "/".join(path.relative_to(place.folder).with_suffix("").parts)
            try:
                check_name(name)
            except InvalidDefinition as error:
                told = f"{path}: {error} Rename it; of a module that defines no dataset, begin the name with _."
                problems.append(Problem(str(path), told))
                continue
            found[name] = _with(found.get(name), Definition(name, path, place))
    return Catalog(found, tuple(problems))


def definitions(settings: Settings) -> dict[str, Definition]:
    """All definitions by name. No dataset's module is run; what can't be seen is told by `look`."""
    return look(settings).definitions


def find(name: str, settings: Settings) -> Dataset:
    """The definition of a dataset.

    Raises:
        UnknownName: there is none, with the nearest names.
    """
    return definition(name, settings).load()


def of_version(asked: Reference, settings: Settings) -> tuple[Definition, Dataset]:
    """A definition and its dataset, which must be of the version that is asked for, if one is.

    Raises:
        UnknownName: there is no such dataset, or it is of another version.
    """
    known = definition(asked.name, settings)
    found = known.load()
    if not asked.matches(found.version):
        hint = "Its definition makes no other."
        raise unknown("version", asked.version, [found.version], where=asked.name, hint=hint)
    return known, found


def definition(name: str, settings: Settings) -> Definition:
    """Where a dataset is defined; raises `UnknownName` as `find` does."""
    check_name(name)
    found = look(settings)
    if name not in found.definitions:
        raise no_dataset(name, found)
    return found.definitions[name]


def no_dataset(name: str, found: Catalog, prepared: Iterable[str] = ()) -> UnknownName:
    """The error for a name that is neither defined nor prepared; what couldn't be seen may have been it."""
    hint = f"Not seen: {found.problems[0].what}" if found.problems else ""
    if len(found.problems) > 1:
        hint += f" And {len(found.problems) - 1} more: ailab-dataproc list"
    return unknown("dataset", name, {*found.definitions, *prepared}, hint=hint)


def _with(known: Definition | None, new: Definition) -> Definition:
    """A definition beside those of its name; one file that is reached on two ways is no rival."""
    if known is None:
        return new
    if new.path.resolve() in {one.path.resolve() for one in (known, *known.rivals)}:
        return known
    return replace(known, rivals=(*known.rivals, new))


def _files(root: Path, problems: list[Problem]) -> Iterator[Path]:
    """The modules below a folder, sorted; names that begin with _ or . are no definitions."""

    def unreadable(error: OSError) -> None:
        problems.append(Problem(str(error.filename), f"{error.filename}: can't be listed ({error.strerror})."))

    for folder, below, files in os.walk(root, onerror=unreadable):
        below[:] = sorted(one for one in below if not one.startswith(("_", ".")))
        yield from (Path(folder, one) for one in sorted(files) if one.endswith(".py") and one[0] not in "_.")


def _places(settings: Settings, problems: list[Problem]) -> Iterator[Place]:
    yield Place(Path(__file__).parent / "datasets", "ailab_dataproc", f"ailab_dataproc {__version__}")
    # In an order of their own: metadata's is that of the folders on the disk.
    for entry in sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda one: (one.value, one.name)):
        origin = entry.dist.name if entry.dist else entry.name
        package = f"{origin} {entry.dist.version}" if entry.dist else ""
        try:
            yield from [Place(folder, origin, package) for folder in _folders(entry.value)]
        except (Exception, SystemExit) as error:  # whatever a package's own code raises: the others still work
            told = str(error) if isinstance(error, AilabError) else f"{type(error).__name__}: {error}"
            where = f"entry point {entry.name!r} of {origin}"
            advice = f"Install {origin} again, or remove it."
            problems.append(Problem(where, f"{where}: {entry.value!r} can't be imported ({told}). {advice}"))
    for one in settings.datasets:
        folder = Path(one).expanduser().resolve()
        if not folder.is_dir():
            raise InvalidDefinition(f"{folder}: is no folder, but the settings name it as a place of definitions.")
        yield Place(folder, str(folder))


def _folders(value: str) -> list[Path]:
    """The folders of the package that an entry point names.

    A package below another one is found by its folder, which runs neither of them. Where that fails (an editable
    install may map names to folders elsewhere) Python imports the package above.
    """
    module = value.partition(":")[0].strip()
    top, *below = module.split(".")
    if not all(part.isidentifier() for part in (top, *below)):
        raise InvalidDefinition("that is no package's name")
    spec = find_spec(top)
    folders = [Path(one, *below) for one in (spec.submodule_search_locations if spec else None) or ()]
    there = [one for one in folders if one.is_dir()]
    if below and not there:
        spec = find_spec(module)
        there = [Path(one) for one in (spec.submodule_search_locations if spec else None) or ()]
    if spec is None:
        raise InvalidDefinition("there is no such package")
    if not there:
        raise InvalidDefinition("it is a module, wanted a package with a folder")
    return there
