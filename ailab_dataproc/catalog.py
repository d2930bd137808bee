"""Name to Dataset. The folder is the registry: datasets/products/a/clicks.py defines products/a/clicks."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ailab_dataproc.dataset import Dataset, check_name
from ailab_dataproc.definition import run_file
from ailab_dataproc.errors import AilabError, InvalidDefinition, unknown
from ailab_dataproc.settings import Settings

ENTRY_POINTS = "ailab_dataproc.datasets"  # each names a package whose folder holds definitions


@dataclass(frozen=True, slots=True)
class Definition:
    """Where a dataset is defined; its module is run only when it is asked for."""

    name: str
    path: Path
    origin: str  # the package or folder that brings it

    def load(self) -> Dataset:
        """Run the module and return its ``dataset``.

        Raises:
            InvalidDefinition: the module fails, defines no ``dataset``, or one of another name.
        """
        try:
            found = getattr(run_file(self.path), "dataset", None)
        except AilabError:
            raise
        except Exception as error:
            raise InvalidDefinition(f"{self.path}: can't be imported ({type(error).__name__}: {error}).") from error
        if not isinstance(found, Dataset):
            raise InvalidDefinition(f"{self.path}: defines no `dataset = Dataset(…)` at its top level.")
        if found.name != self.name:
            raise InvalidDefinition(
                f"{self.path}: its dataset is named {found.name!r}, but its place in the folder says {self.name!r}. "
                "Rename one of them."
            )
        return found


def definitions(settings: Settings) -> dict[str, Definition]:
    """All definitions by name: built-in, of installed packages, and of the folders in the settings.

    No dataset's module is run.

    Raises:
        InvalidDefinition: two places define one name.
    """
    found: dict[str, Definition] = {}
    for origin, root in _roots(settings):
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if any(part.startswith(("_", ".")) for part in parts):
                continue
            name = "/".join(parts)
            check_name(name)
            if name in found and found[name].path != path:
                raise InvalidDefinition(f"{name}: is defined by both {found[name].path} and {path}. Rename one.")
            found[name] = Definition(name, path, origin)
    return found


def find(name: str, settings: Settings) -> Dataset:
    """The definition of a dataset.

    Raises:
        UnknownName: there is none, with the nearest names.
    """
    return definition(name, settings).load()


def definition(name: str, settings: Settings) -> Definition:
    """Where a dataset is defined; raises `UnknownName` as `find` does."""
    check_name(name)
    known = definitions(settings)
    if name not in known:
        raise unknown("dataset", name, known)
    return known[name]


def _roots(settings: Settings) -> list[tuple[str, Path]]:
    roots = [("ailab_dataproc", Path(__file__).parent / "datasets")]
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        spec = importlib.util.find_spec(entry.value)
        if spec is None or not spec.submodule_search_locations:
            raise InvalidDefinition(f"entry point {entry.name!r}: {entry.value!r} is no installed package.")
        roots += [(entry.name, Path(place)) for place in spec.submodule_search_locations]
    for place in settings.datasets:
        folder = Path(place).expanduser().resolve()
        if not folder.is_dir():
            raise InvalidDefinition(f"{folder}: is no folder, but the settings name it as a place of definitions.")
        roots.append((str(folder), folder))
    return roots
