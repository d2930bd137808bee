"""What a cluster of this machine is and how it fares: the files of its folder, which the supervisor writes."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ailab_dataproc.cluster.lab import processes
from ailab_dataproc.errors import ClusterFailed, InvalidRequest

_ROOT = "~/.local/state/ailab_dataproc"  # then this machine's name: a home may be shared by several
_PLAN, _STATE = "plan.json", "state.json"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A process that is kept alive."""

    name: str  # scheduler, worker-0, gpu-0
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def schedules(self) -> bool:
        """Whether it is the scheduler, which ends last."""
        return self.name == "scheduler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """plan.json: what runs."""

    name: str
    address: str  # of the scheduler
    cookie: str
    members: tuple[Member, ...]
    environment: Mapping[str, str]  # of all members, beside that of who started them
    tls: str | None = None  # the folder of the certificates
    dashboard: str | None = None  # the host where its page is; None: the scheduler runs elsewhere

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The plan of a cluster; None where there is none."""
        values = _read(folder / _PLAN)
        if values is None:
            return None
        members = tuple(Member(**one | {"command": tuple(one["command"])}) for one in values.pop("members"))
        return cls(members=members, **values)

    def write(self, folder: Path) -> None:
        """Replace the file."""
        _write(folder / _PLAN, asdict(self))

    @property
    def files(self) -> dict[str, str]:
        """The files of TLS, as `security:` of a configuration names them."""
        return {key: f"{self.tls}/{key}.pem" for key in ("ca", "cert", "key")} if self.tls else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """How a process fares; a pid that began at another time is another's."""

    name: str
    pid: int | None = None  # None: it waits to be started again
    began: str = ""  # of `processes.began`
    since: str = ""  # ISO 8601, UTC
    restarts: int = 0
    last_exit: str = ""  # "exit code 1 at …", "SIGKILL at …"

    def alive(self) -> bool:
        """Whether this very process runs."""
        return self.pid is not None and bool(self.began) and processes.began(self.pid) == self.began


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """state.json: the supervisor and its processes."""

    supervisor: Life
    members: tuple[Life, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The state of a cluster; None where it was never started or was ended."""
        values = _read(folder / _STATE)
        if values is None:
            return None
        return cls(supervisor=Life(**values["supervisor"]), members=tuple(Life(**one) for one in values["members"]))

    def write(self, folder: Path) -> None:
        """Replace the file."""
        _write(folder / _STATE, asdict(self))

    @staticmethod
    def remove(folder: Path) -> None:
        """The cluster was ended."""
        (folder / _STATE).unlink(missing_ok=True)


def folder_of(name: str) -> Path:
    """The folder of a cluster's plan, state and logs on this machine.

    Raises:
        InvalidRequest: the name is no file name.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"cluster: found the name {name!r}, wanted up to 40 letters, digits and _.- such as lab.")
    return _here() / name


def names() -> list[str]:
    """The clusters that were started on this machine and not ended."""
    return sorted(file.parent.name for file in _here().glob(f"*/{_STATE}"))


def _here() -> Path:
    return Path(_ROOT).expanduser() / socket.gethostname()


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ClusterFailed(f"{file}: can't be read ({error}). Remove it, and end what it names by hand.") from error


def _write(file: Path, values: Any) -> None:
    draft = file.with_suffix(".tmp")
    draft.write_text(json.dumps(values, indent=1))
    draft.chmod(0o600)
    os.replace(draft, file)
