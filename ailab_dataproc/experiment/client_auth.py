"""Who asks the tracking server: a token of Google's for Identity-Aware Proxy, fresh with each request."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ailab_dataproc.errors import InvalidRequest, TrackingFailed, require, unknown

EARLY = 300.0  # seconds before a token's end that the next one is fetched: an upload begun now must still get in
SIGNED = 3600  # seconds that a token which a service account signs itself is good for: the longest that Google takes
KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
IAM = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"


class AilabAuthProvider:
    """What ``MLFLOW_TRACKING_AUTH=ailab`` names: MLflow asks it before each request.

    The variables that it reads:

    - ``AILAB_MLFLOW_AUDIENCE``: whom a service account's token is for. The client id of IAP's OAuth client
      (``….apps.googleusercontent.com``), or a URL; by default the URL ``https://<tracking server>/*``, which IAP takes
      from a token that the service account signs.
    - ``AILAB_MLFLOW_LOGIN``: ``key`` (the file that GOOGLE_APPLICATION_CREDENTIALS names), ``metadata`` (the machine's
      service account) or ``gcloud`` (the person who is logged in); by default the first of these that is there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}  # of what was asked for: the token and its end

    def get_name(self) -> str:
        """The word for ``MLFLOW_TRACKING_AUTH``."""
        return "ailab"

    def get_auth(self) -> Callable[[Any], Any]:
        """What puts the token on a request.

        Raises:
            InvalidRequest: the tracking server is asked in the clear over a network.
            TrackingFailed: no token is to be had.
        """
        server = _server()
        if not _private(server):
            raise InvalidRequest(
                f"{server}: found http, wanted https: a token is not sent in the clear. "
                f"Set MLFLOW_TRACKING_URI=https{server[4:]}."
            )
        host, token = _host(server), self._token(server)

        def sign(request: Any) -> Any:
            """Only for the tracking server: a store of artifacts or another server gets nothing."""
            if _host(request.url) == host and _private(request.url):
                request.headers["Authorization"] = f"Bearer {token}"
            return request

        return sign

    def _token(self, server: str) -> str:
        """The token at hand, or a new one shortly before its end; threads wait for one fetch."""
        audience = os.environ.get("AILAB_MLFLOW_AUDIENCE") or f"https://{urlsplit(server).hostname}/*"
        asked = (audience, *(os.environ.get(name, "") for name in ("AILAB_MLFLOW_LOGIN", KEY_FILE)))
        with self._lock:
            token, end = self._tokens.get(asked, ("", 0.0))
            if end - time.time() < EARLY:
                token, end = _fetch(_login(), audience)
                self._tokens[asked] = token, end
            return token


def _server() -> str:
    from mlflow.tracking import get_tracking_uri

    return str(get_tracking_uri())


def _host(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _private(url: str) -> bool:
    """Whether nobody on the way reads along: https, or this very machine."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"


def _login() -> str:
    """Which of `LOGINS`."""
    asked = os.environ.get("AILAB_MLFLOW_LOGIN", "")
    if asked and asked not in LOGINS:
        raise unknown("login", asked, LOGINS, where="AILAB_MLFLOW_LOGIN")
    if asked or os.environ.get(KEY_FILE):
        return asked or "key"
    require("google.auth", "experiment")
    from google.auth.compute_engine import _metadata

    return "metadata" if _metadata.is_on_gce(_request()) else "gcloud"


def _fetch(login: str, audience: str) -> tuple[str, float]:
    """A token and its end."""
    require("google.auth", "experiment")
    from google.auth import jwt
    from google.auth.exceptions import GoogleAuthError

    try:
        token = LOGINS[login](audience)
        return token, float(jwt.decode(token, verify=False)["exp"])
    except (GoogleAuthError, OSError, ValueError) as error:
        raise TrackingFailed(f"MLFLOW_TRACKING_AUTH=ailab, login {login}: {_first(error)} {ADVICE[login]}") from error


def _first(error: Exception) -> str:
    """What went wrong, as one sentence."""
    said = str(error.args[0] if len(error.args) == 1 else error).splitlines() or [type(error).__name__]
    return said[0].rstrip(". ") + "."


def _request() -> Any:
    from google.auth.transport.requests import Request

    return Request()


def _from_key(audience: str) -> str:
    """The service account of a key file."""
    from google.auth import jwt
    from google.oauth2.service_account import IDTokenCredentials

    file = os.environ.get(KEY_FILE, "")
    if not audience.startswith("https://"):
        made = IDTokenCredentials.from_service_account_file(file, target_audience=audience)
        made.refresh(_request())
        return str(made.token)
    signing = jwt.Credentials.from_service_account_file(file, audience=audience, token_lifetime=SIGNED)
    signing.refresh(None)
    return signing.token.decode()


def _from_metadata(audience: str) -> str:
    """The service account of this machine on Google Cloud."""
    from google.auth import compute_engine

    request = _request()
    if not audience.startswith("https://"):
        made = compute_engine.IDTokenCredentials(request, audience, use_metadata_identity_endpoint=True)
        made.refresh(request)
        return str(made.token)
    account = compute_engine.Credentials()
    account.refresh(request)
    return _signed(account, audience)


def _signed(account: Any, audience: str) -> str:
    """Without a key file Google signs: the account needs roles/iam.serviceAccountTokenCreator on itself."""
    from google.auth.transport.requests import AuthorizedSession

    email, now = account.service_account_email, int(time.time())
    claims = {"iss": email, "sub": email, "aud": audience, "iat": now, "exp": now + SIGNED}
    with AuthorizedSession(account) as session:
        answer = session.post(f"{IAM}/{email}:signJwt", json={"payload": json.dumps(claims)})
    if answer.status_code != 200:
        raise OSError(f"Google did not sign for {email} ({answer.status_code})")
    return str(answer.json()["signedJwt"])


def _from_gcloud(audience: str) -> str:
    """The person who is logged in; such a token is always for gcloud itself, which IAP must be told to take."""
    program = shutil.which("gcloud")
    if not program:
        raise OSError("no service account here, and gcloud is not on the PATH")
    done = subprocess.run(
        [program, "auth", "print-identity-token"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise OSError((done.stderr.strip().splitlines() or [f"gcloud ended with {done.returncode}"])[0])
    return done.stdout.strip()


LOGINS: dict[str, Callable[[str], str]] = {"key": _from_key, "metadata": _from_metadata, "gcloud": _from_gcloud}
ADVICE = {
    "key": "Set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account.",
    "metadata": "Give this machine a service account that may sign for itself, or set AILAB_MLFLOW_LOGIN=gcloud.",
    "gcloud": "Type: gcloud auth login",
}
