"""The whitelist: which person may use which workspace of the lab's MLflow, in what role."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ailab_dataproc.errors import SettingsError

ROLES = ("admin", "member", "reader")
EVERYWHERE = "*"
ASK = "the platform team"
NAME = re.compile(r"[a-z0-9][-a-z0-9]{0,61}[a-z0-9]")  # what MLflow takes as a workspace
# MLflow's own, and first parts of the server's paths.
RESERVED = frozenset(
    {"ajax-api", "api", "default", "docs", "favicon.ico", "gateway", "get-artifact", "graphql", "health", "metrics"}
    | {"mlflow", "model-versions", "openapi.json", "redoc", "signup", "static", "static-files", "v1", "version"}
    | {"workspaces"}
)
EMAIL = re.compile(r"[a-z0-9][a-z0-9._%+'-]*@[a-z0-9-]+(\.[a-z0-9-]+)+")
_log = logging.getLogger("ailab_dataproc.whitelist")


@dataclass(frozen=True, slots=True)
class Whitelist:
    """Who may what."""

    people: Mapping[str, Mapping[str, str]]  # of each e-mail: workspace, or "*", to role
    ask: str = ASK

    @property
    def workspaces(self) -> tuple[str, ...]:
        """All that are named, sorted."""
        return tuple(sorted({name for roles in self.people.values() for name in roles} - {EVERYWHERE}))

    def is_admin(self, email: str) -> bool:
        """Whether a person may do everything everywhere."""
        return EVERYWHERE in self.people.get(email, {})

    def may_enter(self, email: str, workspace: str) -> bool:
        """Whether a person has any role in a workspace."""
        return self.is_admin(email) or workspace in self.people.get(email, {})


class WhitelistFile:
    """The whitelist of a file, read again when the file changes. A broken edit leaves the last good one in force."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = self._stamp()
        self._good = read(path)

    def current(self) -> Whitelist:
        """The whitelist as the file says now."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp  # what can't be read is told once, not with each request
            try:
                self._good = read(self.path)
                _log.warning("%s: read again, %d people.", self.path, len(self._good.people))
            except SettingsError as error:
                _log.error("%s The whitelist as it was before stays in force.", error)
        return self._good

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()  # of what a symbolic link names: a mounted secret swaps it
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino


def read(path: Path) -> Whitelist:
    """Read a whitelist.

    Raises:
        SettingsError: it can't be read, or a line of it can't be right.
    """
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)  # noqa: S506 - a SafeLoader
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: the whitelist does not exist. Create it, or give its path.") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"{path}{line}: {error.problem or 'this is no YAML'}. Mend the line.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: the whitelist can't be read ({error}).") from error
    return parse(found, str(path))


def parse(found: Any, where: str = "whitelist") -> Whitelist:
    """Check what a whitelist says.

    Args:
        found: the document: ``people``, and who to ``ask``.
        where: what errors call it.

    Raises:
        SettingsError: something in it can't be right.
    """
    if not isinstance(found, dict) or not found:
        raise SettingsError(f"{where}: found nothing, wanted people: {{alice@lab.example: [alice]}}. Add a person.")
    for key in found:
        if key not in ("people", "ask"):
            raise SettingsError(f"{where}: found the key {key!r}, wanted people or ask. Remove it.")
    people, ask = found.get("people"), found.get("ask", ASK)
    if not isinstance(people, dict) or not people:
        raise SettingsError(f"{where}: people is {people!r}, wanted e-mails with their workspaces. Add a person.")
    if not isinstance(ask, str) or not ask.strip() or "\n" in ask:
        raise SettingsError(f"{where}: ask is {ask!r}, wanted one line that says whom to ask for access. Mend it.")
    return Whitelist({email: _person(email, entries, where) for email, entries in people.items()}, ask.strip())


def _person(email: Any, entries: Any, where: str) -> dict[str, str]:
    if not isinstance(email, str) or not EMAIL.fullmatch(email):
        small = f" Write {email.lower()!r}." if isinstance(email, str) and EMAIL.fullmatch(email.lower()) else ""
        raise SettingsError(f"{where}: {email!r} is no e-mail in lower case, such as alice@lab.example.{small}")
    if not isinstance(entries, list) or not entries:
        raise SettingsError(f"{where}: {email} has {entries!r}, wanted a list such as [alice, 'team-ads:reader'].")
    roles: dict[str, str] = {}
    for entry in entries:
        workspace, role = _entry(entry, f"{where}: {email}")
        if workspace in roles:
            raise SettingsError(f"{where}: {email} has the workspace {workspace!r} twice. Keep one of them.")
        roles[workspace] = role
    return roles


def _entry(entry: Any, where: str) -> tuple[str, str]:
    if not isinstance(entry, str):
        raise SettingsError(f"{where}: found {entry!r}, wanted a workspace such as 'team-ads:reader'. Quote it.")
    workspace, colon, role = entry.partition(":")
    role = role if colon else "member"
    if role not in ROLES:
        near = difflib.get_close_matches(role, ROLES, n=1)
        advice = f"Did you mean {near[0]!r}?" if near else "Take one of them."
        raise SettingsError(f"{where}: {entry!r} has the role {role!r}, wanted {', '.join(ROLES)}. {advice}")
    if workspace == EVERYWHERE:
        if role != "admin":
            raise SettingsError(f"{where}: {entry!r} stands for all workspaces, wanted '*:admin'. Name the workspaces.")
    else:
        check_name(workspace, where)
    return workspace, role


def check_name(workspace: str, where: str) -> None:
    """Check the name of a workspace by MLflow's rule, and that it is no path of the server.

    Raises:
        SettingsError: it can't be one; the message has a near name that can.
    """
    if workspace in RESERVED:
        raise SettingsError(f"{where}: the workspace {workspace!r} is a name of MLflow's own. Take another.")
    if not NAME.fullmatch(workspace):
        near = re.sub(r"[^a-z0-9]+", "-", workspace.lower()).strip("-")[:63].strip("-")
        advice = f"Take {near!r}." if NAME.fullmatch(near) and near not in RESERVED else "Take another."
        raise SettingsError(
            f"{where}: {workspace!r} can't be a workspace, wanted 2 to 63 of a-z, 0-9 and '-', "
            f"with no '-' at its ends. {advice}"
        )


class _Strict(yaml.SafeLoader):
    """YAML whose keys stand once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(None, None, f"{key!r} is no text as a key", key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(None, None, f"{key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
