"""A stand-in for Google's Identity-Aware Proxy: it knows who asks by a bearer token, and signs that with ES256."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

AUDIENCE = "/projects/1234/locations/asia-northeast1/services/mlflow"
ISSUER = "https://cloud.google.com/iap"
_HOP = {"connection", "transfer-encoding", "content-length", "host"}


def encoded(part):
    """A part of a token."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Iap:
    """Listens on a free port. A bearer token is the e-mail; ``everybody`` is who asks without one, as a browser."""

    def __init__(self, everybody=""):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.everybody = everybody
        self.server_port = 0  # of the server behind
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"iap": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.keys_url = f"{self.url}/iap-keys"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def public_keys(self):
        """As Google publishes them: PEM of each key's id."""
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return {"k1": self.key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()}

    def token(self, email, key=None, **claims):
        """What IAP puts into X-Goog-IAP-JWT-Assertion."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "email": email, "iat": now, "exp": now + 600, **claims}
        signed = f"{encoded({'alg': 'ES256', 'typ': 'JWT', 'kid': 'k1'})}.{encoded(claims)}"
        r, s = utils.decode_dss_signature((key or self.key).sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    iap: Iap

    def log_message(self, *_):
        pass

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/iap-keys":
            self._answer(200, [("content-type", "application/json")], json.dumps(self.iap.public_keys()).encode())
            return
        email = self.headers.get("authorization", "").removeprefix("Bearer ") or self.iap.everybody
        if not email:
            self._answer(401, [], b"Invalid IAP credentials: empty token")
            return
        passed = [
            (k, v) for k, v in self.headers.items() if k.lower() not in _HOP and not k.lower().startswith("x-goog")
        ]
        behind = http.client.HTTPConnection("127.0.0.1", self.iap.server_port, timeout=120)
        behind.putrequest(self.command, self.path, skip_accept_encoding=True)
        for key, value in [*passed, ("content-length", str(len(body)))]:
            behind.putheader(key, value)
        behind.putheader("X-Goog-IAP-JWT-Assertion", self.iap.token(email))
        behind.endheaders(body)
        answer = behind.getresponse()
        self._answer(answer.status, [(k, v) for k, v in answer.getheaders() if k.lower() not in _HOP], answer.read())
        behind.close()

    def _answer(self, status, headers, body):
        self.send_response_only(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _serve  # noqa: N815
