"""The whitelist's file, the paths of the lab's MLflow, its passwords, and what keeps it from starting."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial

import pytest
from mlflow_server import ask, free_port, served

from ailab_dataproc.errors import SettingsError
from ailab_dataproc.experiment.server.iap import Refused
from ailab_dataproc.experiment.server.paths import Asked
from ailab_dataproc.experiment.server.whitelist import WhitelistFile, read

pytest.importorskip("mlflow")

ALICE, BOB = "alice@lab.example", "bob@lab.example"
GOOD = f"people:\n  {ALICE}: [alice, team-ads]\n  {BOB}: [bob, 'team-ads:reader']\n"
PASSWORD = "correct horse battery"  # noqa: S105


@pytest.fixture
def file(tmp_path):
    """A whitelist's path."""
    path = tmp_path / "whitelist.yaml"
    path.write_text(GOOD)
    return path


def command(*arguments, env=None, text=""):
    """`ailab-dataproc mlflow …`, run to its end."""
    whole = [sys.executable, "-m", "ailab_dataproc", "mlflow", *arguments]
    return subprocess.run(
        whole, capture_output=True, text=True, check=False, input=text, env={**os.environ, **(env or {})}
    )


def test_a_whitelist_says_who_has_which_role(file):
    found = read(file)
    assert found.people[ALICE] == {"alice": "member", "team-ads": "member"}
    assert found.people[BOB] == {"bob": "member", "team-ads": "reader"}
    assert found.workspaces == ("alice", "bob", "team-ads")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found nothing"),
        ("people:", "people is None"),
        ("people: {}", "people is {}"),
        ("people: [alice@lab.example]", "wanted e-mails with their workspaces"),
        ("peple: {alice@lab.example: [alice]}", "the key 'peple'"),
        ("people: {alice: [alice]}", "'alice' is no e-mail"),
        ("people: {Alice@lab.example: [alice]}", "Write 'alice@lab.example'"),
        ("people: {alice@lab.example: alice}", "alice@lab.example has 'alice', wanted a list"),
        ("people: {alice@lab.example: []}", "alice@lab.example has []"),
        ("people: {alice@lab.example: [no]}", "found False"),
        ("people: {alice@lab.example: [12]}", "found 12"),
        ("people: {taro@lab.example: [Taro_Yamada]}", "with no '-' at its ends. Take 'taro-yamada'"),
        ("people: {taro@lab.example: [api]}", "'api' is a name of MLflow's own"),
        ("people: {taro@lab.example: [a]}", "2 to 63"),
        ("people: {taro@lab.example: [山田]}", "Take another"),
        ("people: {alice@lab.example: ['ads:raeder']}", "Did you mean 'reader'?"),
        ("people: {alice@lab.example: ['ads:']}", "the role ''"),
        ("people: {alice@lab.example: ['*']}", "wanted '*:admin'"),
        ("people: {alice@lab.example: [ads, 'ads:reader']}", "'ads' twice"),
        ("people:\n  alice@lab.example: [a1]\n  alice@lab.example: [b1]", "line 3: 'alice@lab.example' stands twice"),
        ("people:\n  alice@lab.example: [", "line 2"),
        ("people: {1: [ads]}", "1 is no text as a key"),
        ("ask: [x]\npeople: {alice@lab.example: [a1]}", "ask is ['x']"),
        ("people: !!python/object/apply:os.system ['true']", "line 1"),
    ],
)
def test_a_whitelist_that_cannot_be_right_is_told_with_its_line(file, text, told):
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        read(file)
    assert told in str(error.value)
    assert str(file) in str(error.value)


def test_a_whitelist_is_read_again_when_a_link_to_it_is_swapped(tmp_path, file):
    link, other = tmp_path / "mounted", tmp_path / "other.yaml"
    link.symlink_to(file)
    watched = WhitelistFile(link)
    assert set(watched.current().people) == {ALICE, BOB}
    other.write_text(f"people: {{{ALICE}: [alice]}}")
    (tmp_path / "next").symlink_to(other)
    (tmp_path / "next").replace(link)
    assert set(watched.current().people) == {ALICE}


def test_a_broken_edit_is_told_once_and_changes_nothing(file, caplog):
    watched = WhitelistFile(file)
    file.write_text("people: [")
    for _ in range(3):
        assert set(watched.current().people) == {ALICE, BOB}
    assert len(caplog.records) == 1
    file.write_text(f"people: {{{ALICE}: [alice]}}")
    assert set(watched.current().people) == {ALICE}


def test_a_path_names_the_workspace_and_loses_it():
    sent = [(b"X-MLFLOW-WORKSPACE", b"bob"), (b"x_mlflow_workspace", b"bob"), (b"accept", b"*/*")]
    asked = Asked.of("/alice/api/2.0/mlflow/runs/get", b"/alice/api/2.0/mlflow/runs/get", sent)
    scope = asked.rewritten(sent)
    assert (asked.workspace, scope["path"]) == ("alice", "/api/2.0/mlflow/runs/get")
    assert scope["raw_path"] == b"/api/2.0/mlflow/runs/get"
    assert scope["headers"] == [(b"accept", b"*/*"), (b"x-mlflow-workspace", b"alice")]


def test_a_file_whose_name_has_a_space_or_a_percent_keeps_it():
    asked = Asked.of("/alice/api/x/100% räw.txt", b"/alice/api/x/100%25%20r%C3%A4w.txt", [])
    assert asked.rewritten([])["raw_path"] == b"/api/x/100%25%20r%C3%A4w.txt"


@pytest.mark.parametrize("path", ["/alice/../bob", "/..", "//bob/api", "/alice/%2e%2e/bob", "/a\\..\\b", "/alice/\0"])
def test_a_path_that_climbs_is_refused(path):
    with pytest.raises(Refused):
        Asked.of(path, path.encode(), [])


def test_check_prints_who_may_what(file):
    done = command("check", str(file))
    assert done.returncode == 0
    assert done.stdout.splitlines()[1] == "bob@lab.example    bob (member), team-ads (reader)"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--host", "0.0.0.0"],  # noqa: S104
            "everybody who reaches it could read and write all",
        ),
        (["--identity", "iap", "--iap-audience", "x"], "Add --whitelist FILE"),
        (["--identity", "iap", "--whitelist", "w.yaml"], "--iap-audience is missing"),
        (["--whitelist", "w.yaml"], "nobody is asked who they are"),
        (["--identity", "password", "--whitelist", "absent.yaml"], "absent.yaml: the whitelist does not exist"),
        (["--folder", "/proc/ailab"], "/proc/ailab: can't be written"),
        (
            ["--backend-store-uri", "postgresql://lab:word@127.0.0.1:1/x"],
            "lab:***@127.0.0.1:1/x: the database can't be",
        ),
    ],
)
def test_a_server_that_cannot_be_is_told_in_one_line(tmp_path, options, told):
    done = command("serve", "--folder", str(tmp_path / "server"), "--port", str(free_port()), *options)
    assert (done.returncode, done.stderr.count("error:")) == (2, 1)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_told(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = command("serve", "--folder", str(tmp_path), "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "can't be listened on" in done.stderr


RACE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from ailab_dataproc.experiment.server.serving import Serving, prepare
from ailab_dataproc.experiment.server.whitelist import parse

folder = Path(sys.argv[1])
prepare(Serving(folder=folder, identity="password", whitelist=folder / "whitelist.yaml"))
from mlflow.server import auth
from ailab_dataproc.experiment.server.provision import provision

people = {f"p{n}@lab.example": [f"w{n}", "team", "old:reader"] for n in range(4)}
found = parse({"people": people | {"alice@lab.example": ["team:reader"]}})
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda _: provision(found), range(4)))
roles = auth.store.list_roles()
assert len({(role.workspace, role.name) for role in roles}) == len(roles)
for user, held in auth.store.list_users_with_roles():
    has = sorted(f"{role.workspace}:{role.name}:{len(role.permissions)}" for role in held)
    print(user.username, user.is_admin, *has)
"""


def test_several_processes_may_apply_a_whitelist_at_once(tmp_path, file):
    done = subprocess.run([sys.executable, "-c", RACE, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = set(done.stdout.splitlines())
    assert "p3@lab.example False old:ailab-reader:2 team:ailab-member:3 w3:ailab-member:3" in said
    assert {"alice@lab.example False team:ailab-reader:2", "bob@lab.example False", "mlflow True"} <= said


def children(pid):
    """The processes that a process started, and theirs."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            for child in file.read().split():
                found += [int(child), *children(int(child))]
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_for_oneself_serves_a_workspace_and_ends_whole(tmp_path, how):
    with served(tmp_path / "server", "--workers", "1") as (port, process, log):
        at = next(line for line in log.read_text().splitlines() if line.startswith("export ")).rpartition("/")[2]
        made = ask(port, f"/{at}/api/2.0/mlflow/experiments/create", {"name": "first"})
        assert made.status == 200
        assert ask(port, "/api/2.0/mlflow/experiments/search", {"max_results": 5}).status == 200
        started = children(process.pid)
        assert started
        process.send_signal(how)
        process.wait(60)
        for _ in range(100):
            left = [pid for pid in started if os.path.exists(f"/proc/{pid}")]
            if not left:
                break
            time.sleep(0.1)
        assert not left


@pytest.fixture(scope="module")
def passwords(tmp_path_factory):
    """A server that asks for passwords: its port and folder."""
    folder = tmp_path_factory.mktemp("passwords")
    whitelist = folder / "whitelist.yaml"
    whitelist.write_text(GOOD)
    with served(folder / "server", "--identity", "password", "--whitelist", str(whitelist)) as (port, _, _):
        for email in (ALICE, BOB, "eve@lab.example"):
            done = command("user", email, "--folder", str(folder / "server"), text=f"{PASSWORD}\n{PASSWORD}\n")
            assert done.returncode == 0, done.stderr
        yield port, folder / "server"


def basic(email, password=PASSWORD):
    return [("Authorization", "Basic " + base64.b64encode(f"{email}:{password}".encode()).decode())]


def test_a_password_lets_into_ones_own_workspace_only(passwords):
    port, _ = passwords
    search = "api/2.0/mlflow/experiments/search?max_results=5"
    assert ask(port, f"/alice/{search}", headers=basic(ALICE)).status == 200
    assert ask(port, f"/alice/{search}", headers=basic("Alice@Lab.example")).status == 200
    assert ask(port, f"/bob/{search}", headers=basic(ALICE)).status == 403


@pytest.mark.parametrize(
    "headers",
    [[], basic(ALICE, "wrong"), basic(ALICE, ""), basic("nobody@lab.example"), [("Authorization", "Basic ?")]],
)
def test_a_wrong_password_is_asked_for_again(passwords, headers):
    answer = ask(passwords[0], "/alice/api/2.0/mlflow/experiments/search?max_results=5", headers=headers)
    assert (answer.status, answer.headers["www-authenticate"].partition(" ")[0]) == (401, "Basic")


def test_a_password_alone_lets_nobody_in(passwords):
    answer = ask(passwords[0], "/", headers=basic("eve@lab.example"))
    assert (answer.status, "eve@lab.example is not in the lab's whitelist" in answer.text) == (403, True)


def test_an_iap_header_means_nothing_where_passwords_are_asked(passwords):
    headers = [("X-Goog-IAP-JWT-Assertion", "a.b.c"), ("X-Goog-Authenticated-User-Email", ALICE)]
    assert ask(passwords[0], "/alice/api/2.0/mlflow/experiments/search", headers=headers).status == 401


@pytest.mark.parametrize(
    ("email", "password", "told"),
    [("alice", PASSWORD, "wanted an e-mail"), (ALICE, "short", "has 5 characters, wanted 12 or more")],
)
def test_a_password_that_cannot_be_is_told(tmp_path, email, password, told):
    done = command("user", email, "--folder", str(tmp_path), text=f"{password}\n{password}\n")
    assert done.returncode == 2
    assert told in done.stderr


def test_a_change_that_another_process_made_first_is_no_error_and_any_other_is():
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import BAD_REQUEST
    from sqlalchemy.exc import DatabaseError, IntegrityError, SQLAlchemyError

    from ailab_dataproc.experiment.server import provision

    def refused(cause):
        try:
            raise cause
        except SQLAlchemyError as error:  # as MLflow's sessions do
            raise MlflowException(str(error), error_code=BAD_REQUEST) from error

    provision._unless_there(partial(refused, IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed"))))
    with pytest.raises(MlflowException, match="no such table"):
        provision._unless_there(partial(refused, DatabaseError("INSERT", {}, Exception("no such table"))))
