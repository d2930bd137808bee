"""What is said of versions after they were made: deprecated, retired. A file beside them, since they never change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ailab_dataproc.errors import DamagedData
from ailab_dataproc.storage import Folder
from ailab_dataproc.storage.lock import locked

NOTICES = "notices.json"  # in the dataset's folder
_LONGEST = 500  # characters of a reason
_log = logging.getLogger("ailab_dataproc")
_warned: set[str] = set()  # folders of versions


class Notice(BaseModel):
    """Why a version should no longer be used."""

    model_config = ConfigDict(frozen=True)

    reason: str
    use: str = ""  # the version to take instead
    at: str = ""  # ISO 8601, UTC

    def __str__(self) -> str:
        return self.reason + (f" (use {self.use})" if self.use else "")


class Gone(BaseModel):
    """A version that was removed."""

    model_config = ConfigDict(frozen=True)

    at: str  # ISO 8601, UTC
    fingerprint: str  # should it be prepared again, it has to be from the same


class Notices(BaseModel):
    """What is said of the versions of a dataset."""

    model_config = ConfigDict(frozen=True)

    told: dict[str, Notice] = Field(default_factory=dict)  # by the command, by version
    defined: dict[str, Notice] = Field(default_factory=dict)  # by the definition that was prepared last
    retired: dict[str, Gone] = Field(default_factory=dict)  # by version; one may have been prepared again

    @property
    def deprecated(self) -> dict[str, Notice]:
        """By version; what the command says goes before what the definition says."""
        return {**self.defined, **self.told}

    @classmethod
    def of(cls, content: bytes | None, where: str) -> Notices:
        """Read the file's content; None where there is no file.

        Raises:
            DamagedData: it isn't what was written.
        """
        try:
            return cls() if content is None else cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise DamagedData(f"{where}: can't be read ({first['msg']}). Restore or remove the file.") from error


def read_notices(folder: Folder) -> Notices:
    """What is said of the versions in a dataset's folder."""
    return Notices.of(folder.read_many([NOTICES]).get(NOTICES), folder.path(NOTICES))


def deprecate(folder: Folder, version: str, reason: str, use: str = "") -> Notices:
    """Say that a version should no longer be used.

    Args:
        folder: of the dataset.
        version: which.
        reason: for people; it becomes one line.
        use: the version to take instead.
    """
    notice = Notice(reason=clean(reason), use=use, at=_now())
    return _change(folder, lambda found: {"told": {**found.told, version: notice}})


def undo(folder: Folder, version: str) -> Notices:
    """Take back what `deprecate` has said of a version."""
    return _change(folder, lambda found: {"told": {one: found.told[one] for one in found.told if one != version}})


def retire(folder: Folder, version: str, fingerprint: str) -> Notices:
    """Note that a version is removed, when, and what it was made from."""
    gone = Gone(at=_now(), fingerprint=fingerprint)
    return _change(folder, lambda found: {"retired": {**found.retired, version: gone}})


def follow(folder: Folder, reasons: Mapping[str, str]) -> Notices:
    """Take over what a definition says of its versions; what it no longer says is gone.

    Args:
        folder: of the dataset.
        reasons: by version.
    """
    wanted = {version: clean(reason) for version, reason in reasons.items()}
    found = read_notices(folder)
    if wanted == {version: one.reason for version, one in found.defined.items()}:
        return found
    news = {version: Notice(reason=reason, at=_now()) for version, reason in wanted.items()}
    return _change(folder, lambda found: {"defined": {**news, **_kept(found.defined, wanted)}})


def warn(name: str, version: str, place: str, notice: Notice) -> None:
    """Say once in this process that a version that is used is deprecated.

    Args:
        name: of the dataset.
        version: of it.
        place: where it lies; the same version elsewhere is another one.
        notice: why.
    """
    if place not in _warned:
        _warned.add(place)
        use = f" Use {name}:{notice.use}." if notice.use else ""
        _log.warning("%s:%s is deprecated: %s.%s", name, version, notice.reason.rstrip("."), use)


def clean(reason: str) -> str:
    """A reason as one line without control characters, which a terminal would obey."""
    line = " ".join(reason.split())
    return "".join(one for one in line if one.isprintable())[:_LONGEST]


def _change(folder: Folder, change: Callable[[Notices], Mapping[str, object]]) -> Notices:
    """Replace fields of the file while no other process does."""
    with locked(folder, "notices", folder.path(NOTICES)):
        before = read_notices(folder)
        made = before.model_copy(update=dict(change(before)))
        folder.write(NOTICES, made.model_dump_json(indent=1).encode())
    return made


def _kept(found: Mapping[str, Notice], wanted: Mapping[str, str]) -> dict[str, Notice]:
    """Those that say the same as before, with the time when they first did."""
    return {version: one for version, one in found.items() if wanted.get(version) == one.reason}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
