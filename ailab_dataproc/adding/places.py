"""Where the files of a new dataset go: into a repository beside its package, or into a folder of definitions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.settings import Settings

_REPOSITORY = ("pyproject.toml", ".git")


@dataclass(frozen=True, slots=True)
class Places:
    """The files of a dataset."""

    folder: Path  # of definitions
    definition: Path
    test: Path
    dummies: Path  # the folder of dummy sources, a file a split
    changelog: Path


def places_of(name: str, folder: Path) -> Places:
    """Where the files of a dataset belong.

    A folder of definitions in a repository has its tests and its changelog beside it; another one holds them itself,
    the tests in ``_tests``, where no definition is looked for.
    """
    folder = folder.expanduser().resolve()
    root = next((one for one in (folder.parent, folder.parent.parent) if _is_repository(one)), None)
    tests = root / "tests" if root else folder / "_tests"
    return Places(
        folder=folder,
        definition=folder / f"{name}.py",
        test=tests / f"test_{name.replace('/', '_')}.py",
        dummies=tests / "dummy" / name,
        changelog=(root or folder) / "CHANGELOG.md",
    )


def folder_for(asked: str | None, settings: Settings) -> Path:
    """The folder of definitions that a new one goes to.

    Raises:
        InvalidRequest: none is known, or it is a file.
    """
    if asked is None and not settings.datasets:
        raise InvalidRequest(
            "a new definition needs a folder, and the settings name none. Give --folder my_datasets, or set "
            "AILAB_DATASETS=my_datasets."
        )
    folder = Path(asked or settings.datasets[0]).expanduser()
    if folder.exists() and not folder.is_dir():
        raise InvalidRequest(f"{folder}: is a file, wanted a folder for definitions. Give another --folder.")
    return folder


def _is_repository(folder: Path) -> bool:
    return any((folder / one).exists() for one in _REPOSITORY)
