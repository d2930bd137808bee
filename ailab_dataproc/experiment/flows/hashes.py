"""Checksums of files and folders, remembered while a file's size and times stay as they are."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from ailab_dataproc import storage
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.experiment.flows.values import digest

_FILE = ".hashes.json"
_SETTLED = 2.0  # seconds: a file that is younger may change again without another time


@dataclass(slots=True)
class Hashes:
    """Checksums by path, kept in a file of the flow's folder."""

    folder: Path
    _known: dict[str, list[int | str]] = field(default_factory=dict)  # size, two times and inode, checksum
    _changed: bool = False

    def __post_init__(self) -> None:
        with contextlib.suppress(FileNotFoundError, ValueError):  # there is none yet, or it was cut
            self._known = json.loads((self.folder / _FILE).read_text(encoding="utf-8"))

    def token(self, path: Path, where: str) -> str:
        """A token of a file's name and content, or of all files of a folder.

        Raises:
            InvalidRequest: there is no such file.
        """
        if path.is_file():
            return f"{path.name} {self.of(path)}"
        if not path.is_dir():
            raise InvalidRequest(f"{where}: there is no file {path}. Mend the Path; a place to write to is a text.")
        return digest(*(f"{name} {self.of(path / name)}" for name in storage.folder(path).sizes()))

    def of(self, path: Path) -> str:
        """The checksum of a file."""
        about = path.stat()
        mark = [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
        name = str(path.absolute())
        known = self._known.get(name, [])
        if known[:-1] == mark:
            return str(known[-1])
        with path.open("rb") as file:
            found = storage.checksum_of(file)
        if time.time() - max(about.st_mtime, about.st_ctime) > _SETTLED:
            self._known[name] = [*mark, found]
            self._changed = True
        return found

    def keep(self) -> None:
        """Write them, without those of files that are gone."""
        if self._changed:
            self._known = {name: one for name, one in self._known.items() if os.path.exists(name)}
            storage.folder(self.folder).write(_FILE, json.dumps(self._known).encode())
            self._changed = False
