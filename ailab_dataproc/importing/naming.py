"""Which split a file belongs to, by its name and its folders."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ailab_dataproc.errors import InvalidData

_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_BY_WORD = {word: split for split, words in _WORDS.items() for word in words}
_NUMBERED = re.compile(r"(\w+?)-\d{5}-of-\d{5}\b.*")  # as the Hub names shards
_BETWEEN = re.compile(r"[-._ 0-9]+")


def by_split(root: Path, files: Iterable[Path]) -> dict[str, list[Path]]:
    """The files of each split: by shard names such as ``data/train-00000-of-00002``, else by words; else train.

    The words are those of Hugging Face: train, training; validation, valid, val, dev; test, testing, eval, evaluation,
    as a part of a folder's name, or else of the file's.
    """
    members = list(files)
    numbered = {one: _NUMBERED.fullmatch(one.name) for one in members}
    in_data = {one.relative_to(root).parent.as_posix() for one in members} <= {"data"}
    if in_data and all(numbered.values()):
        return _sorted((split_name(found[1]), one) for one, found in numbered.items() if found)
    return _sorted((_by_words(one.relative_to(root)), one) for one in members)


def split_name(text: str) -> str:
    """A split's name as ours may be.

    Raises:
        InvalidData: nothing of it can stay.
    """
    name = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")
    if not re.match(r"[a-z]", name) or name == "all":
        raise InvalidData(f"{text!r} can't be a split's name; wanted letters, digits and _. Rename the files.")
    return name


def _by_words(path: Path) -> str:
    for part in reversed(path.parts[:-1]):
        key, _, value = part.partition("=")
        if key == "split" and value:
            return split_name(value)
        found = None if "=" in part else _word(part)
        if found:
            return found
    return _word(path.name.split(".", 1)[0]) or "train"


def _word(text: str) -> str | None:
    return next((_BY_WORD[part] for part in _BETWEEN.split(text.lower()) if part in _BY_WORD), None)


def _sorted(pairs: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for split, file in pairs:
        found.setdefault(split, []).append(file)
    usual = list(_WORDS)
    order = sorted(found, key=lambda one: (usual.index(one) if one in usual else len(usual), one))
    return {split: found[split] for split in order}
