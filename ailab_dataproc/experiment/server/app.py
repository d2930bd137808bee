"""The layer before MLflow's server: each request's person and workspace, checked against the whitelist."""

from __future__ import annotations

import json
import os
import threading
from contextvars import ContextVar
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from ailab_dataproc.experiment.server.iap import KEYS, IapIdentity, Refused
from ailab_dataproc.experiment.server.passwords import PasswordIdentity
from ailab_dataproc.experiment.server.paths import ANSWERS, Asked
from ailab_dataproc.experiment.server.provision import provision
from ailab_dataproc.experiment.server.whitelist import Whitelist, WhitelistFile

# How `serve` tells the workers what to do.
IDENTITY, WHITELIST = "AILAB_MLFLOW_IDENTITY", "AILAB_MLFLOW_WHITELIST"
AUDIENCE, IAP_KEYS = "AILAB_MLFLOW_IAP_AUDIENCE", "AILAB_MLFLOW_IAP_KEYS"
# What /alice/ shows. MLflow prints links such as /alice/#/experiments/1/runs/…; only browsers see what follows #.
_DOORWAY = """<!doctype html><title>MLflow</title>
<script>
  const at = location.hash.slice(1) || "/experiments";
  location.replace("/#" + at + (at.includes("?") ? "&" : "?") + "workspace=WORKSPACE");
</script>
<noscript>MLflow's pages need JavaScript.</noscript>
"""
_caller: ContextVar[str] = ContextVar("caller")


class Identity(Protocol):
    """A way to know who asks."""

    challenge: str  # the value of WWW-Authenticate with a 401, if any

    def email(self, headers: dict[str, str]) -> str:
        """The e-mail of who asks, or `Refused`."""


class Gate:
    """Who may enter which workspace."""

    def __init__(self, identity: Identity, whitelist: WhitelistFile) -> None:
        self.identity = identity
        self._file = whitelist
        self._applied: Whitelist | None = None
        self._lock = threading.Lock()

    def enter(self, headers: dict[str, str], workspace: str) -> str:
        """The e-mail of who asks, who may enter; a changed whitelist is applied first.

        Raises:
            Refused: nobody knows who it is, or they may not enter.
        """
        email = self.identity.email(headers)
        whitelist = self._current()
        if email not in whitelist.people:
            told = f"{email} is not in the lab's whitelist; ask {whitelist.ask}."
            raise Refused(HTTPStatus.FORBIDDEN, told)
        if workspace and workspace != "default" and not whitelist.may_enter(email, workspace):
            told = f"{email} may not use the workspace {workspace!r}; ask {whitelist.ask}."
            raise Refused(HTTPStatus.FORBIDDEN, told)
        return email

    def _current(self) -> Whitelist:
        with self._lock:
            found = self._file.current()
            if found is not self._applied:
                provision(found)
                self._applied = found
        return found


class Layer:
    """ASGI: /alice/api/… becomes /api/… in the workspace alice, if whoever asks may enter it."""

    def __init__(self, app: Any, gate: Gate | None) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http" or scope["path"] == "/health":
            await self._app(scope, receive, send)
            return
        try:
            asked = Asked.of(scope["path"], scope["raw_path"], scope["headers"])
            if self._gate is not None:
                await self._enter(self._gate, scope["headers"], asked.workspace)
        except Refused as refusal:
            await self._refuse(refusal, scope["path"], send)
            return
        if asked.path in ANSWERS:
            await _answer(send, HTTPStatus.OK, ANSWERS[asked.path], **{"content-type": "application/json"})
            return
        if asked.page:
            page = _DOORWAY.replace("WORKSPACE", asked.workspace).encode()
            await _answer(send, HTTPStatus.OK, page, **{"content-type": "text/html; charset=utf-8"})
            return
        await self._app({**scope, **asked.rewritten(scope["headers"])}, receive, send)

    async def _enter(self, gate: Gate, headers: list[tuple[bytes, bytes]], workspace: str) -> None:
        import anyio.to_thread

        plain: dict[str, str] = {}
        for key, value in headers:
            name = key.decode("latin-1").lower()
            plain[name] = f"{plain[name]}, {value.decode('latin-1')}" if name in plain else value.decode("latin-1")
        _caller.set(await anyio.to_thread.run_sync(gate.enter, plain, workspace))

    async def _refuse(self, refusal: Refused, path: str, send: Any) -> None:
        challenge = self._gate.identity.challenge if self._gate else ""
        more = {"www-authenticate": challenge} if challenge and refusal.status == HTTPStatus.UNAUTHORIZED else {}
        if "/api/" in path or "/ajax-api/" in path:  # MLflow's clients show its message
            codes = {HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED", HTTPStatus.FORBIDDEN: "PERMISSION_DENIED"}
            code = codes.get(refusal.status, "BAD_REQUEST")
            text = json.dumps({"error_code": code, "message": str(refusal)})
            more["content-type"] = "application/json"
        else:
            text = f"{refusal}\n"
        await _answer(send, refusal.status, text.encode(), **more)


async def _answer(send: Any, status: HTTPStatus, body: bytes, **headers: str) -> None:
    given = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), **headers}
    lines = [(key.encode(), value.encode("latin-1")) for key, value in given.items()]
    await send({"type": "http.response.start", "status": status.value, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def authenticate() -> Any:
    """Whom MLflow takes the request to be from (its ``authorization_function``): whom the layer let in."""
    from werkzeug.datastructures import Authorization

    return Authorization("basic", {"username": _caller.get(), "password": ""})


def create_app() -> Layer:
    """The app of `mlflow server --app-name ailab` (entry point ``mlflow.app``), set up by environment variables."""
    kind = os.environ.get(IDENTITY, "")
    if kind == "none":
        from mlflow.server.fastapi_app import app

        return Layer(app, None)
    from mlflow.server import auth

    identity: Identity
    if kind == "iap":
        identity = IapIdentity(os.environ[AUDIENCE], os.environ.get(IAP_KEYS) or KEYS)
    else:
        identity = PasswordIdentity()
    return Layer(auth.create_app(), Gate(identity, WhitelistFile(Path(os.environ[WHITELIST]))))
