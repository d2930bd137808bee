"""Where results are kept: a folder a step and key, whose record is written last. In a bucket a copy is worked with.

<flow>/<step>/<key>/step.json     what it was made from, and its result; a result without it doesn't count
<flow>/<step>/<key>/files/…       what the step wrote below `out`
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ailab_dataproc import storage
from ailab_dataproc.errors import StorageFailed
from ailab_dataproc.experiment.flows.hashes import Hashes
from ailab_dataproc.experiment.flows.values import digest
from ailab_dataproc.settings import Settings
from ailab_dataproc.storage.lock import Held, locked

RECORD, JOB, _FILES, _LAST = "step.json", "job.json", "files", "flow.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An argument of a step, as it was."""

    text: str  # for people
    token: str  # its digest
    made_by: list[str] = field(default_factory=list)  # the steps whose results it is, or holds
    data: list[dict[str, Any]] = field(default_factory=list)  # what is known of the versions of datasets that it names


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A finished step."""

    step: str  # the function's name
    key: str
    code: dict[str, str]  # a hash by function
    inputs: dict[str, Input]
    result: Any  # as `keeping.kept` made it
    token: str  # the digest of the result
    files: dict[str, str]  # checksums, by name
    seconds: float
    finished: str  # ISO 8601, UTC
    on: str = ""  # "cluster", or a job's id

    @property
    def when(self) -> str:
        """When it was finished, for people."""
        return f"{self.finished[:19].replace('T', ' ')} UTC"

    @classmethod
    def read(cls, content: bytes) -> Record | None:
        """Of a file's content; None of one that is no whole record."""
        try:
            told = json.loads(content)
            inputs = {name: Input(**one) for name, one in told.pop("inputs").items()}
            return cls(inputs=inputs, **told)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


class Store:
    """The folder of a flow."""

    def __init__(self, place: str, settings: Settings) -> None:
        self.place = storage.folder(place, settings.storage_options)
        copies = Path(settings.cache_dir).expanduser() / "flows" / digest(self.place.url)
        self.local = Path(self.place.url) if self.place.is_local else copies.absolute()
        try:
            self.local.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = f"can't be made ({error.strerror})"
            raise StorageFailed(f"{self.local}: the folder of a flow {why}. Name another folder.") from error
        self.hashes = Hashes(self.local)

    def record(self, step: str, key: str) -> Record | None:
        """A finished step; None where there is none."""
        try:
            return Record.read((self.place / step / key).read(RECORD))
        except FileNotFoundError:
            return None

    def damage(self, record: Record) -> str:
        """What is wrong with a record's files, in words; a file that only the copy of a bucket lacks is fetched."""
        folder = self.place / record.step / record.key / _FILES
        for name, checksum in record.files.items():
            file = self.folder(record.step, record.key) / name
            if not file.exists() and not self.place.is_local:
                self._fetch(folder, name, file)
            if not file.exists():
                return f"{name} is gone"
            if self.hashes.of(file) != checksum:
                return f"{name} was changed"
        return ""

    def _fetch(self, folder: storage.Folder, name: str, file: Path) -> None:
        copy = storage.folder(file.parent)
        try:
            with folder.open(name) as source, copy.create(file.name) as target:
                shutil.copyfileobj(source, target)
        except FileNotFoundError:
            return  # the caller sees that there is none

    @contextmanager
    def making(self, step: str, key: str) -> Iterator[Path]:
        """Hold the lock of a result; the folder for its files is that of nobody else."""
        with locked(self.place / step, key, f"step {step}"):
            yield self.folder(step, key)

    def folder(self, step: str, key: str) -> Path:
        """Where the files of a result are, or will be."""
        return self.local / step / key / _FILES

    def clear(self, step: str, key: str, *, record_too: bool = True) -> None:
        """Delete a result, its record first; or only the files here."""
        if record_too:
            (self.place / step / key).remove_files([RECORD])
            (self.place / step / key).remove()
        storage.folder(self.local / step / key).remove()

    def finish(self, record: Record) -> None:
        """Make a result count; its files are there."""
        folder = self.place / record.step / record.key
        folder.write(RECORD, json.dumps(asdict(record), indent=1).encode())

    def upload(self, step: str, key: str, names: Iterable[str]) -> None:
        """Bring files of a result into the bucket; of a folder they are there already."""
        for name in names if not self.place.is_local else ():
            source, target = self.folder(step, key) / name, self.place / step / key / _FILES
            with source.open("rb") as file, target.create(name) as sent:
                shutil.copyfileobj(file, sent)

    def files(self, step: str, key: str) -> dict[str, str]:
        """The checksums of what a step wrote."""
        folder = self.folder(step, key)
        return {name: self.hashes.of(folder / name) for name in storage.folder(folder).sizes()}

    def last(self) -> dict[str, tuple[str, str]]:
        """Step and key of each label of the last run."""
        try:
            return {label: (step, key) for label, (step, key) in json.loads(self.place.read(_LAST)).items()}
        except (FileNotFoundError, ValueError, AttributeError, TypeError):
            return {}

    def keep_last(self, keys: dict[str, tuple[str, str]]) -> None:
        """Remember which results a run used."""
        self.place.write(_LAST, json.dumps(keys, indent=1).encode())
        self.hashes.keep()

    def unused(self, used: Collection[tuple[str, str]], keep: int) -> Iterator[tuple[str, str]]:
        """Step and key of results, also of unfinished ones, without those that are used and the newest of each step."""
        for step in self.place.names():
            folder = self.place / step
            keys = [] if step.startswith(".") or step == _LAST else [key for key in folder.names() if key[0] != "."]
            found = folder.read_many(f"{key}/{RECORD}" for key in keys)
            records = {key: Record.read(found.get(f"{key}/{RECORD}", b"")) for key in keys if (step, key) not in used}
            newest = sorted(records, key=lambda key: one.finished if (one := records[key]) else "", reverse=True)
            yield from ((step, key) for key in newest[keep:])

    def drop(self, step: str, key: str) -> bool:
        """Delete a result, unless it is being made."""
        if (self.place / step / key).exists(JOB) and not (self.place / step / key).exists(RECORD):
            return False
        try:
            with locked(self.place / step, key, f"step {step}", wait=False):
                self.clear(step, key)
        except Held:
            return False
        return True
