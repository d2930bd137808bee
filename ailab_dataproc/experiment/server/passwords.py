"""Who asks, by the e-mail and password of HTTP's basic authentication, for a lab without IAP."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus

from ailab_dataproc.experiment.server.iap import Refused


class PasswordIdentity:
    """Whose password MLflow's database knows."""

    challenge = 'Basic realm="mlflow", charset="UTF-8"'

    def email(self, headers: Mapping[str, str]) -> str:
        """The e-mail of who asks.

        Raises:
            Refused: there is no password, or a wrong one.
        """
        from mlflow.server import auth

        scheme, _, coded = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            told = "log in with your e-mail and password (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)."
            raise Refused(HTTPStatus.UNAUTHORIZED, told)
        try:
            email, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Refused(HTTPStatus.UNAUTHORIZED, "the e-mail and password can't be read.") from error
        email = email.lower()
        if auth._authenticate_cached(email, password) is None:  # scrypt, remembered for a few seconds
            raise Refused(HTTPStatus.UNAUTHORIZED, "there is no such e-mail with this password.")
        return email
