"""Paths such as /alice/api/2.0/…: which workspace they mean, and what MLflow gets to see of them."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, unquote

from ailab_dataproc.experiment.server.iap import Refused
from ailab_dataproc.experiment.server.whitelist import NAME, RESERVED

HEADER = b"x-mlflow-workspace"
# What runs commands or calls other services from the server: MLflow's assistant and its gateway to language models.
_OFF = ("/gateway/", "/ajax-api/3.0/mlflow/assistant/", "/ajax-api/2.0/mlflow/gateway-proxy")
# What MLflow's pages ask of them all the same, and how a server without any provider answers.
ANSWERS = {
    "/ajax-api/2.0/mlflow/gateway-proxy": b'{"endpoints": []}',
    "/ajax-api/3.0/mlflow/assistant/config": b'{"providers": {}, "projects": {}, "remote_access_allowed": false}',
    "/ajax-api/3.0/mlflow/assistant/providers": b'{"providers": [], "resolved": null, "gateway_vendor_options": {}}',
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is for."""

    workspace: str  # empty: none, or the one that MLflow holds for the default
    path: str  # without the workspace
    page: bool = False  # the workspace's own page

    @classmethod
    def of(cls, path: str, raw_path: bytes, headers: list[tuple[bytes, bytes]]) -> Asked:
        """Read a request.

        Args:
            path: as ASGI has it, with one layer of % taken off.
            raw_path: as it was sent.
            headers: all of them.

        Raises:
            Refused: the path is one that only an attack has, or two workspaces are named.
        """
        _check(path, raw_path)
        named = [value.decode("latin-1").strip() for key, value in headers if _names_workspace(key)]
        first, slash, rest = path[1:].partition("/")
        inner = path if first in RESERVED else f"/{rest}"
        if inner.startswith(_OFF) and inner not in ANSWERS:
            raise Refused(HTTPStatus.FORBIDDEN, f"{inner} is switched off on the lab's server.")
        if not first or first in RESERVED:
            if len(named) > 1:
                raise Refused(HTTPStatus.BAD_REQUEST, "the header X-MLFLOW-WORKSPACE stands twice.")
            return cls(named[0] if named else "", path)
        if not NAME.fullmatch(first):
            raise Refused(
                HTTPStatus.NOT_FOUND,
                f"{first!r} can't be a workspace: they have 2 to 63 of a-z, 0-9 and '-', with no '-' at the ends.",
            )
        return cls(first, f"/{rest}", page=not slash or not rest)

    def rewritten(self, headers: list[tuple[bytes, bytes]]) -> dict[str, object]:
        """What of ASGI's scope is another for MLflow: the path, and one header for the workspace."""
        kept = [(key, value) for key, value in headers if not _names_workspace(key)]
        if self.workspace:
            kept.append((HEADER, self.workspace.encode("latin-1")))
        return {"path": self.path, "raw_path": quote(self.path).encode(), "headers": kept}


def _names_workspace(key: bytes) -> bool:
    return key.lower().replace(b"_", b"-") == HEADER  # which are one header to WSGI


def _check(path: str, raw_path: bytes) -> None:
    plain = path
    while (less := unquote(plain)) != plain:  # MLflow takes off % again in some places
        plain = less
    parts = plain.split("/")
    odd = "//" in plain or "\\" in plain or "\0" in plain or not {".", ".."}.isdisjoint(parts)
    if odd or not path.startswith("/") or b"%2f" in raw_path.lower():
        raise Refused(HTTPStatus.BAD_REQUEST, "the path has '..', '//', a backslash or an encoded '/' in it.")
