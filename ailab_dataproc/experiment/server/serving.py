"""Starts the lab's MLflow server: folder, secrets, database and whitelist first, then `mlflow server` itself."""

from __future__ import annotations

import getpass
import ipaddress
import os
import re
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from ailab_dataproc.errors import InvalidRequest, SettingsError, StorageFailed, TrackingFailed, require
from ailab_dataproc.experiment.server import whitelist as listed
from ailab_dataproc.experiment.server.app import AUDIENCE, IAP_KEYS, IDENTITY, WHITELIST

IDENTITIES = ("none", "iap", "password")
_PASSWORD = 12  # characters, as MLflow wants of its admin's
_REMEMBERED = 30  # seconds that a worker takes a password for right without asking the database


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a server is to be."""

    folder: Path  # the database, artifacts and secrets, where nothing else is said
    host: str = "127.0.0.1"
    port: int = 5000
    workers: int = 2
    database: str = ""  # a URI; empty: SQLite in the folder
    artifacts: str = ""  # a folder or URL; empty: in the folder
    identity: str = "none"
    whitelist: Path | None = None
    audience: str = ""  # of IAP
    iap_keys: str = ""  # a URL; empty: Google's
    allowed_hosts: str = ""  # a,b; empty: this machine and private addresses

    def check(self) -> None:
        """Check that the parts go together.

        Raises:
            InvalidRequest: they don't.
        """
        if self.identity == "none" and self.whitelist:
            raise InvalidRequest(
                "--whitelist: nobody is asked who they are. Add --identity iap or --identity password."
            )
        if self.identity == "none" and not _is_loopback(self.host):
            raise InvalidRequest(
                f"--host {self.host}: everybody who reaches it could read and write all. "
                "Add --identity iap or --identity password with a --whitelist, or leave --host out."
            )
        if self.identity != "none" and not self.whitelist:
            raise InvalidRequest(f"--identity {self.identity}: who may use what? Add --whitelist FILE.")
        if (self.identity == "iap") != bool(self.audience):
            raise InvalidRequest(
                f"--identity {self.identity}: --iap-audience is {self.audience or 'missing'}, and goes with "
                "--identity iap, whose tokens are for one server. Google Cloud's page of IAP shows it."
            )

    @property
    def store(self) -> str:
        """The database of experiments as SQLAlchemy's URI."""
        return _with_driver(self.database) if self.database else f"sqlite:///{self.folder.resolve()}/mlflow.db"

    @property
    def people(self) -> str:
        """The database of people and roles as SQLAlchemy's URI; tables of their own in one PostgreSQL database."""
        return self.store if self.database else f"sqlite:///{self.folder.resolve()}/people.db"

    @property
    def workspace(self) -> str:
        """Whose the server of one person is."""
        name = re.sub(r"[^a-z0-9]+", "-", getpass.getuser().lower()).strip("-")[:63]
        return name if listed.NAME.fullmatch(name) and name not in listed.RESERVED else "me"


def become(serving: Serving) -> NoReturn:
    """Become `mlflow server`, once `prepare` has made what it needs."""
    arguments = [sys.executable, "-m", "mlflow", "server", *_options(serving)]
    sys.stdout.flush()
    os.execv(sys.executable, arguments)  # noqa: S606 - signals then reach MLflow, which ends its workers


def prepare(serving: Serving) -> None:
    """Set up this process's environment for the server, its database, and what the whitelist says in it.

    Raises:
        AilabError: a folder can't be written, the database can't be reached, or the whitelist can't be right.
    """
    for module in ("mlflow", "flask_wtf", "google.auth"):
        require(module, "experiment")
    found = listed.read(serving.whitelist) if serving.whitelist else None
    os.environ.update(_environment(serving))
    os.environ.pop("MLFLOW_WORKSPACE", None)  # a client's, which MLflow refuses in a server
    if "psycopg" in serving.store:
        require("psycopg", "experiment")
    if serving.database:
        _reach(serving.store)
    with _told(serving):
        from mlflow.server.handlers import initialize_backend_stores

        from ailab_dataproc.experiment.server import provision

        initialize_backend_stores(serving.store, serving.store, "mlflow-artifacts:/")
        if serving.identity == "none":
            provision.make_workspaces((serving.workspace,))
        else:
            from mlflow.server import auth

            auth.bootstrap_admin_user()
        if found:
            provision.provision(found)


def give_password(serving: Serving, email: str, password: str) -> bool:
    """Set what a person logs in with; whether they had nothing before.

    Raises:
        AilabError: it is no e-mail, the password is too short, or the database can't be reached.
    """
    if not listed.EMAIL.fullmatch(email.lower()):
        raise InvalidRequest(f"{email}: wanted an e-mail, such as alice@lab.example. Mend it.")
    if len(password) < _PASSWORD:
        raise InvalidRequest(f"{email}: the password has {len(password)} characters, wanted {_PASSWORD} or more.")
    prepare(replace(serving, identity="password"))
    from ailab_dataproc.experiment.server import provision

    with _told(serving):
        return provision.set_password(email.lower(), password)


def _environment(serving: Serving) -> dict[str, str]:
    """What MLflow and the layer before it read; the database's URI may hold a password and is no argument."""
    folder = serving.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        given = {
            "MLFLOW_BACKEND_STORE_URI": serving.store,
            "MLFLOW_AUTH_CONFIG_PATH": str(_private(folder / "auth.ini", _settings(serving))),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": os.environ.get("MLFLOW_FLASK_SERVER_SECRET_KEY") or _secret(folder),
        }
    except OSError as error:
        raise StorageFailed(f"{folder}: can't be written ({error.strerror}). Give another with --folder.") from error
    return given | {
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "MLFLOW_AUTH_ADMIN_PASSWORD": secrets.token_urlsafe(32),  # MLflow wants an account that no whitelist has
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes and 1 GB for what a lab doesn't use
        "MLFLOW_RBAC_SEED_DEFAULT_ROLES": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        IDENTITY: serving.identity,
        WHITELIST: str(serving.whitelist.absolute()) if serving.whitelist else "",
        AUDIENCE: serving.audience,
        IAP_KEYS: serving.iap_keys,
    }


def _options(serving: Serving) -> list[str]:
    artifacts = serving.artifacts or str(serving.folder.resolve() / "artifacts")
    options = [f"--host={serving.host}", f"--port={serving.port}", f"--workers={serving.workers}"]
    options += ["--app-name=ailab", "--enable-workspaces", "--default-artifact-root=mlflow-artifacts:/"]
    options += [f"--artifacts-destination={artifacts}", "--uvicorn-opts=--timeout-graceful-shutdown 5"]
    if serving.allowed_hosts:
        hosts = [host.strip() for host in serving.allowed_hosts.split(",")]
        origins = [f"{scheme}://{host}" for host in hosts for scheme in ("https", "http")]
        options += [f"--allowed-hosts={','.join(hosts)}", f"--cors-allowed-origins={','.join(origins)}"]
    return options


def _settings(serving: Serving) -> str:
    lines = {
        "default_permission": "READ",  # of those with a role in the workspace
        "database_uri": serving.people.replace("%", "%%"),
        "admin_username": "mlflow",
        "authorization_function": "ailab_dataproc.experiment.server.app:authenticate",
        "grant_default_workspace_access": "false",
        "auth_cache_ttl_seconds": str(_REMEMBERED),
    }
    return "\n".join(["[mlflow]", *(f"{key} = {value}" for key, value in lines.items()), ""])


def _secret(folder: Path) -> str:
    file = folder / "secret_key"
    if not file.exists():
        _private(file, secrets.token_hex(32))
    return file.read_text(encoding="utf-8").strip()


def _private(file: Path, text: str) -> Path:
    """A file that only its owner reads, whole or not at all."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    return part.replace(file)


def _with_driver(uri: str) -> str:
    """Say psycopg 3, which is what the extra installs; what SQLAlchemy means without it changed between versions."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", uri)


def _reach(uri: str) -> None:
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(uri, connect_args={"connect_timeout": 10} if "postgresql" in uri else {})
        with engine.connect():
            pass
        engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise TrackingFailed(f"{_shown(uri)}: the database can't be reached ({reason}). Check its URI.") from error


def _shown(uri: str) -> str:
    return re.sub(r"//([^:/@]*):[^@]*@", r"//\1:***@", uri)


@contextmanager
def _told(serving: Serving) -> Iterator[None]:
    """What MLflow and SQLAlchemy raise, in one sentence."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise TrackingFailed(f"{_shown(serving.store)}: the server can't start ({reason}).") from error


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> None:
    """Check that a port can be listened on, before what takes longer.

    Raises:
        SettingsError: it can't.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        raise SettingsError(f"{host}:{port}: can't be listened on ({error.strerror}). Give another --port.") from error
