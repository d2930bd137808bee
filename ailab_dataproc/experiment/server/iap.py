"""Who asks, by the signed header of Google's Identity-Aware Proxy."""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus

from ailab_dataproc.errors import AilabError

HEADER = "x-goog-iap-jwt-assertion"
KEYS = "https://www.gstatic.com/iap/verify/public_key"  # of each key's id: PEM
_ISSUER = "https://cloud.google.com/iap"
_SKEW = 30  # seconds, as Google's page on signed headers says
_FRESH, _PAUSE = 3600.0, 20.0  # seconds: how old keys may be, and between two attempts to fetch them
_log = logging.getLogger("ailab_dataproc.iap")


class Refused(AilabError, PermissionError):
    """A request that isn't let in."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Keys:
    """IAP's public keys, fetched when they are old or a token names one that isn't known."""

    def __init__(self, url: str = KEYS) -> None:
        self._url = url
        self._known: Mapping[str, str] = {}
        self._fetched = self._tried = float("-inf")
        self._lock = threading.Lock()

    def of(self, key_id: str) -> str | None:
        """The key of an id, as PEM; None where there is none."""
        with self._lock:
            now = time.monotonic()
            wanted = key_id not in self._known or now - self._fetched > _FRESH
            if wanted and now - self._tried > _PAUSE:  # made-up ids don't make us ask again and again
                self._tried = now
                self._fetch()
            if not self._known:
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"the keys of IAP can't be fetched from {self._url}.")
            return self._known.get(key_id)

    def _fetch(self) -> None:
        try:
            with urllib.request.urlopen(self._url, timeout=10) as answer:  # noqa: S310 - the operator's
                self._known = json.load(answer)
            self._fetched = time.monotonic()
        except (OSError, ValueError) as error:
            _log.error("%s: the keys of IAP can't be fetched (%s).", self._url, error)


class IapIdentity:
    """Whom IAP let in.

    Follows "Getting the user's identity with signed headers" of Google's documentation: ES256, issuer, audience, time.
    """

    challenge = ""

    def __init__(self, audience: str, keys: str = KEYS) -> None:
        self._audience = audience
        self._keys = Keys(keys)

    def email(self, headers: Mapping[str, str]) -> str:
        """The e-mail of who asks.

        Raises:
            Refused: there is no token, or it isn't IAP's for this server and this time.
        """
        from google.auth import exceptions, jwt

        token = headers.get(HEADER)
        if not token:
            raise Refused(HTTPStatus.UNAUTHORIZED, "the request did not come through IAP, which signs each.")
        try:
            header = jwt.decode_header(token)
            if header.get("alg") != "ES256" or not isinstance(header.get("kid"), str):
                raise ValueError("it is not signed with ES256")
            key = self._keys.of(header["kid"])
            if key is None:
                raise ValueError("its key is none of IAP's")
            claims = jwt.decode(token, certs=key, audience=self._audience, clock_skew_in_seconds=_SKEW)
            if claims.get("iss") != _ISSUER:
                raise ValueError("its issuer is not IAP")
            email = claims.get("email")
            if not isinstance(email, str) or "@" not in email:
                raise ValueError("it names no e-mail")
        except (ValueError, TypeError, exceptions.GoogleAuthError) as error:
            raise Refused(HTTPStatus.UNAUTHORIZED, f"the token of IAP is refused: {error}.") from error
        return email.lower()
