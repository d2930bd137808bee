"""What MLflow's database holds of the whitelist: workspaces, people and their roles."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ailab_dataproc.experiment.server.whitelist import EVERYWHERE, Whitelist

_PREFIX = "ailab-"
# MLflow's own role `user` may list experiments but not open their runs: both kinds are granted by name.
_GRANTS: dict[str, tuple[tuple[str, str], ...]] = {
    "admin": (("workspace", "MANAGE"),),
    "member": (("workspace", "USE"), ("experiment", "EDIT"), ("registered_model", "EDIT")),
    "reader": (("experiment", "READ"), ("registered_model", "READ")),
}


def provision(whitelist: Whitelist) -> None:
    """Make the database say what the whitelist says.

    Writes differences only, and may run in several processes at once. Takes away what people gave each other, or have
    for having made something, in workspaces where they are readers or nothing.
    """
    make_workspaces(whitelist.workspaces)
    store = _store()
    roles = {(role.workspace, role.name): role for role in store.list_roles()}
    for workspace in whitelist.workspaces:
        for role, grants in _GRANTS.items():
            there = roles.get((workspace, _PREFIX + role))
            whole = there is not None and _says(there) == set(grants)
            roles[workspace, _PREFIX + role] = there if whole else _role(workspace, role)
    people = {user.username: (user, held) for user, held in store.list_users_with_roles()}
    for email in whitelist.people:
        if email not in people:
            people[email] = (_user(email), [])
    for email, (user, held) in people.items():
        _person(user, held, whitelist, roles)
        if "@" in email and user.is_admin != whitelist.is_admin(email):
            store.update_user(email, is_admin=whitelist.is_admin(email))


def make_workspaces(names: Iterable[str]) -> None:
    """Make those that aren't there."""
    from mlflow.entities import Workspace
    from mlflow.server.workspace_helpers import _get_workspace_store

    store = _get_workspace_store()
    there = {workspace.name for workspace in store.list_workspaces()}
    for name in names:
        if name not in there:
            _unless_there(partial(store.create_workspace, Workspace(name=name)))


def set_password(email: str, password: str) -> bool:
    """Give a person a password; whether they had none before."""
    store = _store()
    if store.has_user(email):
        store.update_user(email, password=password)
        return False
    store.create_user(email, password)
    return True


def _store() -> Any:
    from mlflow.server import auth

    return auth.store


def _says(role: Any) -> set[tuple[str, str]]:
    return {(held.resource_type if held.resource_pattern == "*" else "", held.permission) for held in role.permissions}


def _role(workspace: str, role: str) -> Any:
    store = _store()
    _unless_there(partial(store.create_role, _PREFIX + role, workspace))
    made = store.get_role_by_name(workspace, _PREFIX + role)
    for held in store.list_role_permissions(made.id):
        if held.resource_pattern != "*" or (held.resource_type, held.permission) not in _GRANTS[role]:
            _unless_there(partial(store.remove_role_permission, held.id))
    for kind, permission in _GRANTS[role]:
        _unless_there(partial(store.add_role_permission, made.id, kind, "*", permission))
    return made


def _user(email: str) -> Any:
    store = _store()
    _unless_there(partial(store.create_user, email, secrets.token_urlsafe(32)))  # a password that nobody knows
    return store.get_user(email)


def _person(user: Any, held: list[Any], whitelist: Whitelist, roles: dict[tuple[str, str], Any]) -> None:
    store = _store()
    wanted = dict(whitelist.people.get(user.username, {}))
    wanted.pop(EVERYWHERE, None)
    due = {roles[workspace, _PREFIX + role].id for workspace, role in wanted.items()}
    for role in held:
        own = not role.name.startswith(_PREFIX)  # what someone has for having made it, or was given by another
        if role.id not in due and not (own and wanted.get(role.workspace) in ("admin", "member")):
            _unless_there(partial(store.unassign_role_from_user, user.id, role.id))
    for role_id in due - {role.id for role in held}:
        _unless_there(partial(store.assign_role_to_user, user.id, role_id))


def _unless_there(change: Callable[[], Any]) -> None:
    """Make a change that another process may have made a moment ago."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode
    from sqlalchemy.exc import IntegrityError

    try:
        change()
    except (MlflowException, IntegrityError) as error:
        # MLflow tells of a race either by a code or, where its own look came too early, by the database's refusal
        if isinstance(error, IntegrityError) or isinstance(error.__cause__, IntegrityError):
            return
        if ErrorCode.Value(error.error_code) not in (RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST):
            raise
