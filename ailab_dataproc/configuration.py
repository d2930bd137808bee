"""Named YAML files: a site's own in ~/.config/ailab_dataproc, then those that come with this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ailab_dataproc.errors import SettingsError, unknown

_PACKAGE = Path(__file__).parent


def folders(kind: str) -> tuple[Path, ...]:
    """Where configurations of a kind lie, the user's before the package's.

    Args:
        kind: ``"clusters"`` or ``"beam"``.
    """
    installed = _PACKAGE / "configs"
    shipped = installed if installed.is_dir() else _PACKAGE.parent / "configs"  # a checkout has them beside
    return Path("~/.config/ailab_dataproc").expanduser() / kind, shipped / kind


def names(kind: str) -> list[str]:
    """The names of all configurations of a kind, sorted."""
    return sorted({file.stem for folder in folders(kind) for file in folder.glob("*.yaml")})


def is_path(name: str) -> bool:
    """Whether a name is a path to a file rather than the name of a configuration."""
    return name.endswith((".yaml", ".yml")) or "/" in name


def find(kind: str, name: str) -> Path | None:
    """The file of a name, or of a path; None where there is no such name.

    Raises:
        SettingsError: a path was given, and there is no such file.
    """
    if is_path(name):
        path = Path(name).expanduser()
        if not path.is_file():
            raise SettingsError(f"{path}: the configuration does not exist. Create it, or name one of {names(kind)}.")
        return path
    found = (folder / f"{name}.yaml" for folder in folders(kind))
    return next((file for file in found if file.is_file()), None)


def read(file: Path, wanted: dict[str, type | tuple[type, ...]], kind: str = "key") -> dict[str, Any]:
    """Read a YAML file whose keys are all known and whose values have the right type.

    Args:
        file: the YAML file; an empty one has no keys.
        wanted: the type or types of each key; a key may be left out.
        kind: what errors call a key.

    Raises:
        SettingsError: the file isn't a mapping, has an unknown key, or a value of another kind.
    """
    import yaml

    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{file}: can't be read as YAML ({error}).") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{file}: found a {type(values).__name__}, wanted keys and values: {', '.join(wanted)}.")
    for key, value in values.items():
        if key not in wanted:
            raise SettingsError(str(unknown(kind, str(key), wanted, where=str(file))))
        if not isinstance(value, wanted[key]):
            raise SettingsError(f"{file}: {key} is {value!r}, which has the wrong type ({type(value).__name__}).")
    return values
