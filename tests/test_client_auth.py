"""The token of each request: a real stand-in for Google's servers on loopback, and a tracking server that notes it."""

from __future__ import annotations

import importlib
import json
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from ailab_dataproc.errors import InvalidRequest, TrackingFailed, UnknownName
from ailab_dataproc.experiment import client_auth

pytest.importorskip("google.auth")
pytest.importorskip("mlflow")

import mlflow
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt
from google.auth.compute_engine import _metadata
from mlflow import MlflowClient

EMAIL = "trainer@lab.iam.gserviceaccount.com"
CLIENT = "123.apps.googleusercontent.com"


def key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


KEY = key()
SIGNER = crypt.RSASigner.from_string(KEY, "one")


class Google(ThreadingHTTPServer):
    """Metadata server, IAM's signJwt, token endpoint of a key file, and a tracking server, in one."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.issued: list[str] = []  # the audience of each
        self.seen: list[str | None] = []  # what the tracking server was sent
        self.lasts = 3600
        self.refuses = False

    def token(self, audience: str) -> str:
        self.issued.append(audience)
        now = int(time.time())
        claims = {"iss": "x", "aud": audience, "iat": now, "exp": now + self.lasts, "n": len(self.issued)}
        return jwt.encode(SIGNER, claims).decode()


class Answers(BaseHTTPRequestHandler):
    server: Google

    def log_message(self, *_):
        pass

    def answer(self, body: str, status: int = 200, kind: str = "application/json"):
        self.send_response(status)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        asked = urlsplit(self.path)
        if "/mlflow/" in asked.path:
            self.server.seen.append(self.headers.get("Authorization"))
            return self.answer('{"experiments": []}')
        if self.server.refuses:
            return self.answer("no", 404, "text/plain")
        if asked.path.endswith("/identity"):
            return self.answer(self.server.token(parse_qs(asked.query)["audience"][0]), kind="text/plain")
        if asked.path.endswith("/token"):
            return self.answer(json.dumps({"access_token": "a", "expires_in": 3600, "token_type": "Bearer"}))
        return self.answer(json.dumps({"email": EMAIL, "scopes": [], "aliases": []}))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if "/mlflow/" in self.path:
            self.server.seen.append(self.headers.get("Authorization"))
            return self.answer('{"experiments": []}')
        if self.server.refuses:
            return self.answer("{}", 403)
        if self.path.endswith(":signJwt"):
            claims = json.loads(json.loads(body)["payload"])
            self.server.issued.append(claims["aud"])
            return self.answer(json.dumps({"signedJwt": jwt.encode(SIGNER, claims).decode()}))
        claims = jwt.decode(parse_qs(body)["assertion"][0], verify=False)
        return self.answer(json.dumps({"id_token": self.server.token(claims["target_audience"])}))


@pytest.fixture
def google(monkeypatch):
    """Google on loopback; this machine is one of theirs."""
    with Google() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("GCE_METADATA_HOST", server.url.removeprefix("http://"))
        monkeypatch.setenv("GCE_METADATA_IP", server.url.removeprefix("http://"))
        for name in ("GOOGLE_APPLICATION_CREDENTIALS", "NO_GCE_CHECK"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AILAB_MLFLOW_AUDIENCE", CLIENT)
        monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "ailab")
        monkeypatch.setattr(client_auth, "IAM", f"{server.url}/v1")
        importlib.reload(_metadata)  # it reads its variables when it is imported
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(f"{server.url}/alice")
        yield server
        mlflow.set_tracking_uri(before)
        server.shutdown()
        thread.join()
    monkeypatch.undo()
    importlib.reload(_metadata)


@pytest.fixture
def provider():
    return client_auth.AilabAuthProvider()


def claims(sent: str | None) -> dict:
    assert sent
    return jwt.decode(sent.removeprefix("Bearer "), verify=False)


def ask(provider, url) -> None:
    requests.get(f"{url}/mlflow/x", auth=provider.get_auth(), timeout=60)


def key_file(tmp_path, monkeypatch, url) -> None:
    info = {"type": "service_account", "client_email": EMAIL, "private_key": KEY, "private_key_id": "one"}
    (tmp_path / "key.json").write_text(json.dumps(info | {"token_uri": f"{url}/oauth"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))


def gcloud(tmp_path, monkeypatch, script: str) -> None:
    program = tmp_path / "bin" / "gcloud"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("AILAB_MLFLOW_LOGIN", "gcloud")


def test_mlflow_itself_sends_the_token_that_the_machine_has(google):
    assert MlflowClient().search_experiments() == []
    assert claims(google.seen[0])["aud"] == CLIENT


def test_one_token_serves_many_requests_and_threads(google, provider):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: ask(provider, google.url), range(24)))
    assert len(google.seen) == 24
    assert google.issued == [CLIENT]


def test_a_new_token_is_fetched_shortly_before_the_end_of_the_old_one(google, provider):
    google.lasts = int(client_auth.EARLY) - 1
    ask(provider, google.url)
    google.lasts = 3600
    ask(provider, google.url)
    ask(provider, google.url)
    assert [claims(one)["n"] for one in google.seen] == [1, 2, 2]


def test_another_server_gets_no_token(google, provider):
    with Google() as other:
        thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        ask(provider, other.url)
        other.shutdown()
        thread.join()
        assert other.seen == [None]


@pytest.mark.parametrize("place", ["http://mlflow.lab.example/alice", "http://10.0.0.7:5000"])
def test_no_token_is_sent_in_the_clear(google, provider, place):
    mlflow.set_tracking_uri(place)
    with pytest.raises(InvalidRequest, match=r"found http, wanted https.*Set MLFLOW_TRACKING_URI=https://"):
        provider.get_auth()
    assert google.issued == []


def test_a_machine_signs_for_the_url_of_the_server_when_no_client_is_named(google, provider, monkeypatch):
    monkeypatch.delenv("AILAB_MLFLOW_AUDIENCE")
    ask(provider, google.url)
    found = claims(google.seen[0])
    assert (found["aud"], found["iss"], found["sub"]) == ("https://127.0.0.1/*", EMAIL, EMAIL)


def test_a_key_file_gets_an_id_token_for_the_client(google, provider, tmp_path, monkeypatch):
    key_file(tmp_path, monkeypatch, google.url)
    ask(provider, google.url)
    assert claims(google.seen[0])["aud"] == CLIENT
    assert google.issued == [CLIENT]


def test_a_key_file_signs_for_the_url_of_the_server_without_asking_anyone(google, provider, tmp_path, monkeypatch):
    key_file(tmp_path, monkeypatch, google.url)
    monkeypatch.delenv("AILAB_MLFLOW_AUDIENCE")
    ask(provider, google.url)
    found = claims(google.seen[0])
    assert (found["aud"], found["iss"], found["sub"]) == ("https://127.0.0.1/*", EMAIL, EMAIL)
    assert google.issued == []


def test_a_person_sends_the_token_that_gcloud_prints(google, provider, tmp_path, monkeypatch):
    gcloud(tmp_path, monkeypatch, f"echo {google.token('gcloud')}")
    ask(provider, google.url)
    assert claims(google.seen[0])["aud"] == "gcloud"


def test_a_person_who_is_not_logged_in_is_told_what_to_type(google, provider, tmp_path, monkeypatch):
    gcloud(tmp_path, monkeypatch, "echo 'ERROR: You do not have an active account.\nmore' >&2; exit 1")
    with pytest.raises(TrackingFailed, match=r"login gcloud: ERROR: You do not.* account\. Type: gcloud auth login$"):
        provider.get_auth()


def test_without_gcloud_and_service_account_the_error_says_so(google, provider, tmp_path, monkeypatch):
    monkeypatch.setenv("AILAB_MLFLOW_LOGIN", "gcloud")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TrackingFailed, match="gcloud is not on the PATH"):
        provider.get_auth()


@pytest.mark.parametrize("audience", [CLIENT, None])
def test_a_machine_without_the_right_is_told_what_to_give_it(google, provider, audience, monkeypatch):
    if not audience:
        monkeypatch.delenv("AILAB_MLFLOW_AUDIENCE")
    monkeypatch.setenv("AILAB_MLFLOW_LOGIN", "metadata")
    google.refuses = True
    with pytest.raises(TrackingFailed, match=r"login metadata: .*Give this machine a service account"):
        provider.get_auth()


@pytest.mark.parametrize("audience", [CLIENT, None])
@pytest.mark.parametrize("content", [None, "{", '{"type": "authorized_user"}'])
def test_a_key_file_that_is_none_is_refused_in_one_sentence(google, provider, tmp_path, monkeypatch, content, audience):
    file = tmp_path / "key.json"
    if content:
        file.write_text(content)
    if not audience:
        monkeypatch.delenv("AILAB_MLFLOW_AUDIENCE")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    monkeypatch.setenv("AILAB_MLFLOW_LOGIN", "key")
    with pytest.raises(TrackingFailed, match=r"login key: .*\. Set GOOGLE_APPLICATION_CREDENTIALS") as caught:
        provider.get_auth()
    assert "\n" not in str(caught.value)


def test_an_unknown_login_is_told_with_the_near_one(google, provider, monkeypatch):
    monkeypatch.setenv("AILAB_MLFLOW_LOGIN", "gclod")
    with pytest.raises(UnknownName, match=r"AILAB_MLFLOW_LOGIN: no login 'gclod'\. Did you mean 'gcloud'"):
        provider.get_auth()


def test_the_module_loads_neither_google_nor_mlflow():
    code = "import sys, ailab_dataproc.experiment.client_auth; print({'google.auth', 'mlflow'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
