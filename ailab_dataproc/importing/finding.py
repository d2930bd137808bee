"""What a folder holds that can be imported: files of one kind, by split, with what is said of them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ailab_dataproc.errors import InvalidData, InvalidRequest, StorageFailed
from ailab_dataproc.importing import cards, saved
from ailab_dataproc.importing.naming import by_split
from ailab_dataproc.importing.words import Words
from ailab_dataproc.storage import is_local

KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_PACKED = re.compile(r"\.(gz|bz2|xz|zst)$")
# Beside the data, and no data; in lower case.
_BESIDE = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json", "package.json"}
_WANTED = "Parquet, Arrow, CSV or JSON Lines (.parquet, .arrow, .csv, .tsv, .jsonl)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The files to import."""

    root: Path
    kind: str  # parquet, arrow, csv or jsonl
    files: Mapping[str, tuple[str, ...]]  # absolute paths by split, sorted
    words: Words = field(default_factory=Words)
    notes: tuple[str, ...] = ()  # for people

    @property
    def all_files(self) -> list[str]:
        """The files of all splits."""
        return [file for files in self.files.values() for file in files]


def find(path: str, config: str | None = None) -> Found:
    """Look into a folder, or at a file.

    Args:
        path: the folder or file.
        config: of a dataset card that describes several.

    Raises:
        InvalidRequest: it is a URL.
        StorageFailed: there is no such folder.
        InvalidData: it holds nothing that can be read, or files of several kinds.
        UnknownName: the card has no such configuration.
    """
    if not is_local(path):
        raise InvalidRequest(f"{path}: lies elsewhere, and only what is on this machine is imported. Fetch it first.")
    root = Path(os.path.abspath(os.path.expanduser(path)))
    if not root.exists():
        raise StorageFailed(f"{root}: there is no such folder. Give a folder or file of {_WANTED}.")
    if root.is_file():
        return Found(root=root.parent, kind=_one_kind(root.parent, [root]), files={"train": (str(root),)})
    if saved.is_saved(root):
        files, words = saved.look(root)
        return Found(root=root, kind="arrow", files=files, words=words)
    card = cards.read(root, config)
    there = _members(root / card.folder)
    kind = _one_kind(root, [one for files in card.files.values() for one in files] or there)
    mine = [one for one in there if kind_of(one) == kind]
    chosen = card.files or by_split(root / card.folder, mine)
    left = [one for one in there if kind_of(one) is None]
    notes = [f"left out: {_counted(left)}"] if left else []
    texts = {split: tuple(sorted(str(one) for one in files)) for split, files in chosen.items()}
    return Found(root=root, kind=kind, files=texts, words=card.words, notes=tuple(notes))


def kind_of(path: Path) -> str | None:
    """The kind of a file by its ending; None where it isn't read."""
    return None if path.name.lower() in _BESIDE else KINDS.get(_ending(path))


def _ending(path: Path) -> str:
    return Path(_PACKED.sub("", path.name.lower())).suffix


def _members(root: Path) -> list[Path]:
    """The files below a folder, without those that are hidden or written beside data (README.md, _SUCCESS)."""
    found = []
    for above, folders, names in os.walk(root):
        folders[:] = sorted(one for one in folders if not one.startswith((".", "__")))
        found += [Path(above, one) for one in sorted(names) if not one.startswith((".", "_")) and not _is_text(one)]
    return [one for one in found if one.name.lower() not in _BESIDE]


def _is_text(name: str) -> bool:
    return name.lower().endswith((".md", ".py", ".yaml", ".yml", ".bib")) or name.upper().startswith(
        ("LICENSE", "NOTICE")
    )


def _one_kind(root: Path, files: Iterable[Path]) -> str:
    files = list(files)
    kinds: dict[str, list[Path]] = {}
    for one in files:
        kind = kind_of(one)
        if kind:
            kinds.setdefault(kind, []).append(one)
    if not kinds:
        told = f"holds {_counted(files)}" if files else "is empty"
        raise InvalidData(f"{root}: {told}, wanted files of {_WANTED}. Give the folder that holds the data.")
    if len(kinds) > 1:
        most, next_ = sorted(kinds.values(), key=len, reverse=True)[:2]
        raise InvalidData(
            f"{root}: holds {_counted(most)} and {_counted(next_)}, such as {_below(root, most[0])} and "
            f"{_below(root, next_[0])}, wanted files of one kind. Import a folder of it, or a file, by itself."
        )
    return next(iter(kinds))


def _below(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _counted(files: Iterable[Path]) -> str:
    endings = Counter(_ending(one) or "no ending" for one in files)
    told = [f"{count} file{'s' * (count != 1)} of {ending}" for ending, count in endings.most_common(4)]
    return ", ".join(told) + (", …" if len(endings) > 4 else "")
