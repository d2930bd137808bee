"""A repository for a lab's own datasets: a package that pip installs and that is found through its entry point."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from ailab_dataproc import __version__
from ailab_dataproc.errors import InvalidRequest, StorageFailed

TEMPLATES = Path(__file__).with_name("templates")
_RENDERED = ".jinja"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Repository:
    """What was written."""

    package: str  # the name to import and to install
    folder: Path
    files: tuple[str, ...]  # by their paths within the folder
    datasets: tuple[str, ...]  # names of the examples


def new_package(package: str, folder: str | Path | None = None) -> Repository:
    """Write a repository with a package of datasets: examples of three kinds, tests, CI.

    Args:
        package: its name, such as ``mylab_datasets``; the examples lie below ``mylab``.
        folder: where; by default ``./<package>``. It must not exist, or hold nothing but ``.git``.

    Raises:
        InvalidRequest: the name can't be a package's, or the folder holds something.
        StorageFailed: the folder can't be written.
    """
    _check_name(package)
    root = Path(folder or package).expanduser().resolve()
    words = {"package": package, "team": package.removesuffix("_datasets"), "framework": __version__}
    files = dict(_rendered(words))
    try:
        _check_folder(root)
        for name, (content, mode) in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(mode)
    except OSError as error:
        raise StorageFailed(f"{error.filename or root}: can't be written ({error.strerror}).") from error
    inside = [Path(name).relative_to(package) for name in files if name.startswith(f"{package}/")]
    datasets = [one.with_suffix("").as_posix() for one in inside if one.suffix == ".py" and one.stem != "__init__"]
    return Repository(package, root, tuple(files), tuple(datasets))


def _check_name(package: str) -> None:
    if not _NAME.fullmatch(package):
        near = re.sub(r"[^a-z0-9]+", "_", package.lower()).strip("_")
        advice = f" Take {near!r}." if _NAME.fullmatch(near) else ""
        raise InvalidRequest(
            f"{package!r} can't be a package's name; wanted lower-case letters and digits in words joined by _, "
            f"beginning with a letter, such as mylab_datasets.{advice}"
        )
    if keyword.iskeyword(package) or package in sys.stdlib_module_names:
        raise InvalidRequest(f"{package!r} is a name of Python's own. Take another, such as '{package}_datasets'.")
    spec = find_spec(package)
    if spec and spec.origin:  # a folder that only lies here, without __init__.py, hides nothing
        raise InvalidRequest(
            f"{package!r} is installed already ({spec.origin}), and would hide this package or be hidden by it. "
            "Take another name."
        )


def _check_folder(root: Path) -> None:
    if root.is_dir():
        held = sorted(one.name for one in root.iterdir() if one.name != ".git")
        if held:
            more = f" and {len(held) - 1} more" if len(held) > 1 else ""
            raise InvalidRequest(
                f"{root}: holds {held[0]}{more}, wanted no such folder, or an empty one. Name another."
            )
    elif root.exists():
        raise InvalidRequest(f"{root}: is a file, wanted a folder that doesn't exist yet. Name another.")


def _rendered(words: dict[str, str]) -> Iterator[tuple[str, tuple[bytes, int]]]:
    """Each file of the repository: its path, its content, and who may read and run it."""
    # The words are names that were checked; in Python, TOML and Markdown the escapes of HTML would be wrong.
    environment = Environment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    for path in sorted(one for one in TEMPLATES.rglob("*") if one.is_file()):
        name = path.relative_to(TEMPLATES).as_posix().removesuffix(_RENDERED)
        parts = [_named(part, words) for part in name.split("/")]
        content = path.read_bytes()
        if path.suffix == _RENDERED:
            content = environment.from_string(content.decode()).render(words).encode()
        yield "/".join(parts), (content, 0o755 if content.startswith(b"#!") else 0o644)


def _named(part: str, words: dict[str, str]) -> str:
    """``PACKAGE`` and ``TEAM`` stand for names; ``dot.`` begins what would be hidden, and left out of our own wheel."""
    part = {"PACKAGE": words["package"], "TEAM": words["team"]}.get(part, part)
    return part.replace("dot.", ".", 1) if part.startswith("dot.") else part
