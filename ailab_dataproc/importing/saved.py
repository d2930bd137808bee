"""Folders that Hugging Face's `save_to_disk` has written: a dataset, or a dict of them with a folder each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import InvalidData
from ailab_dataproc.importing.naming import split_name
from ailab_dataproc.importing.words import Words, text

_DICT, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"


def is_saved(root: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return (root / _DICT).is_file() or (root / _STATE).is_file()


def look(root: Path) -> tuple[dict[str, tuple[str, ...]], Words]:
    """The files of each split that has rows, and what is said of the data.

    Raises:
        InvalidData: a file of the folder is missing or isn't as it was written.
    """
    if not (root / _DICT).is_file():
        state = _json(root / _STATE)
        files = _files(root, state)
        if not files:
            raise InvalidData(f"{root}: has no row. Save a dataset with rows.")
        return {split_name(state.get("_split") or "train"): files}, _words(root)
    names = _json(root / _DICT).get("splits") or []
    if not names:
        raise InvalidData(f"{root / _DICT}: names no split. Save the dataset again.")
    if len(set(map(split_name, names))) < len(names):
        raise InvalidData(f"{root / _DICT}: two of the splits {', '.join(names)} get one name here. Rename one.")
    found = {split_name(one): _files(root / one, _json(root / one / _STATE)) for one in names}
    full = {split: files for split, files in found.items() if files}
    if not full:
        raise InvalidData(f"{root}: none of its splits has a row. Save one with rows.")
    return full, _words(root / names[0])


def _files(folder: Path, state: dict[str, Any]) -> tuple[str, ...]:
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise InvalidData(
            f"{folder}: its rows are chosen by an index, as old versions of `datasets` save them. Load it with "
            "`datasets`, call flatten_indices(), and save it again."
        )
    names = [one.get("filename") for one in state.get("_data_files") or []]  # none where there are no rows
    missing = next((name for name in names if not (folder / str(name)).is_file()), None)
    if missing is not None:
        raise InvalidData(f"{folder}: {missing} is missing, which state.json names. Copy the whole folder again.")
    return tuple(str(folder / name) for name in names)


def _words(folder: Path) -> Words:
    info = _json(folder / _INFO) if (folder / _INFO).is_file() else {}
    return Words(
        description=text(info.get("description")),
        citation=text(info.get("citation")),
        license=text(info.get("license")),
        homepage=text(info.get("homepage")),
        features=info.get("features") or {},
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidData(f"{path}: is missing. Copy the whole folder again.") from error
    except ValueError as error:
        raise InvalidData(f"{path}: can't be read as JSON ({error}). Copy the folder again.") from error
    if not isinstance(found, dict):
        raise InvalidData(f"{path}: holds a {type(found).__name__}, wanted an object. Copy the folder again.")
    return found
