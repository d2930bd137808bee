"""MLflow's own pages under /alice/ in a real browser, for a lab with passwords: runs, the dataset of a run, a model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import chromium
import pytest

pytest.importorskip("mlflow")
pytest.importorskip("flask_wtf")
requests = pytest.importorskip("requests")
pytest.importorskip("playwright.sync_api")
pytestmark = chromium.needed
ALICE, WORDS = "alice@lab.example", "a long password"
TRAINING = """
    import mlflow, sys
    import pyarrow as pa
    import ailab_dataproc as adp
    from ailab_dataproc import Dataset, column
    from pathlib import Path

    here = Path(sys.argv[1])
    (here / "a.csv").write_text("user,price\\n" + "".join(f"{i},{i / 4}\\n" for i in range(40)))
    schema = pa.schema([column("user", pa.int64(), "who clicked"), column("price", pa.float32(), "bid", unit="JPY")])
    clicks = Dataset(name="test/clicks", version="1.0.0", schema=schema, splits={"train": [str(here / "a.csv")]})
    adp.prepare(clicks, data_dir=str(here / "data"), runner="inline", formats=("parquet",))
    mlflow.set_experiment("ctr")
    with mlflow.start_run(run_name="first") as run:
        frame = adp.load("test/clicks", split="train", backend="pandas", data_dir=str(here / "data"))
        used = adp.track(frame, strict=True)
        mlflow.log_metric("auc", 0.8)
        mlflow.log_text("It went well.", "notes/report.md")
        model = mlflow.initialize_logged_model(name="ctr-deepfm")
        mlflow.finalize_logged_model(model.model_id, "READY")
        version = mlflow.register_model(f"models:/{model.model_id}", "ctr-deepfm")
        mlflow.MlflowClient().set_registered_model_alias("ctr-deepfm", "champion", version.version)
    print("RUN", run.info.run_id, used.digest)
"""


def command(place: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "ailab_dataproc", "mlflow", *arguments, "--folder", str(place / "server")]


class Server:
    """`ailab-dataproc mlflow serve --identity password`, with what alice logged."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("AILAB_", "MLFLOW_"))
        }
        self.environment["HOME"] = str(place)
        (place / "whitelist.yaml").write_text(f"people: {{{ALICE}: [alice, team-ads], bob@lab.example: [bob]}}")
        done = self.run([*command(place, "user", ALICE), "--password", WORDS])
        assert done.returncode == 0, done.stderr
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        options = ["--identity", "password", "--whitelist", str(place / "whitelist.yaml")]
        self.log = (place / "log").open("w")
        self.process = subprocess.Popen(
            [*command(place, "serve"), *options, "--port", str(port), "--workers", "1"],
            env=self.environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def run(self, arguments: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        given = self.environment | more
        return subprocess.run(arguments, env=given, capture_output=True, text=True, check=False, cwd=self.place)

    def wait(self) -> None:
        while self.process.poll() is None:
            try:
                return requests.get(f"{self.url}/health", timeout=60).raise_for_status()
            except requests.ConnectionError:
                time.sleep(0.1)
        raise AssertionError((self.place / "log").read_text())

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.log.close()

    def script(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What a person runs, with MLflow's variables."""
        python = [sys.executable, "-c", textwrap.dedent(code), *arguments]
        return self.run(python, MLFLOW_TRACKING_URI=f"{self.url}/alice", MLFLOW_DISABLE_TELEMETRY="true")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("mlflow"))
    try:
        made.wait()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def logged(server):
    """What alice's training logged, with the password of ~/.mlflow/credentials: the run's id and the data's digest."""
    file = server.place / ".mlflow" / "credentials"
    file.parent.mkdir()
    file.write_text(f"[mlflow]\nmlflow_tracking_username = {ALICE}\nmlflow_tracking_password = {WORDS}\n")
    done = server.script(TRAINING, str(server.place))
    file.unlink()
    assert "RUN" in done.stdout, done.stdout + done.stderr
    return done.stdout.split("RUN")[1].split()[:2]


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as started:
        yield started


@pytest.fixture
def opened(browser, server, logged):
    """Open pages, `opened("/alice/#…")`: no request fails, none goes elsewhere, no script is wrong."""
    wrong: list[str] = []
    password = {"username": ALICE, "password": WORDS}
    context = browser.new_context(http_credentials=password, viewport={"width": 1400, "height": 900})

    def note(text: str, url: str) -> None:
        # A model's page looks for a signature in a file that only MLflow's own flavours write.
        if "path=MLmodel" not in url:
            wrong.append(text)

    def page(path: str):
        made = context.new_page()
        made.on("console", lambda one: note(one.text, one.location["url"]) if one.type == "error" else None)
        # Chromium's word for a table that is drawn in the next frame; MLflow's table of runs does it on a slow machine.
        made.on("pageerror", lambda one: None if "ResizeObserver loop" in str(one) else wrong.append(str(one)))
        made.on("response", lambda one: note(f"{one.status} {one.url}", one.url) if one.status >= 400 else None)
        made.on("request", lambda one: None if one.url.startswith((server.url, "data:")) else wrong.append(one.url))
        made.goto(server.url + path)
        return made

    yield page
    context.close()
    assert wrong == []


def test_the_workspaces_page_lists_its_experiments(opened, server):
    page = opened("/alice/")
    page.get_by_role("link", name="ctr").wait_for()
    assert page.url == f"{server.url}/#/experiments?workspace=alice"
    assert page.get_by_text(ALICE).first.is_visible()


def test_the_list_of_runs_shows_the_dataset_of_each(opened):
    page = opened("/alice/#/experiments/1/runs")
    page.get_by_text("test/clicks:1.0.0").first.wait_for()
    assert page.get_by_text("first").first.is_visible()


def test_the_link_that_mlflow_prints_opens_the_run_with_its_dataset(opened, logged):
    run, digest = logged
    page = opened(f"/alice/#/experiments/1/runs/{run}")
    page.get_by_text(f"test/clicks:1.0.0 ({digest})").first.click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_text("price").wait_for()
    shown = drawer.inner_text()
    assert digest in shown
    assert all(word in shown for word in ("user", "long", "price", "float", "split", "train", "fingerprint"))


def test_a_runs_artifact_is_shown(opened, logged):
    page = opened(f"/alice/#/experiments/1/runs/{logged[0]}/artifacts/notes/report.md")
    page.get_by_text("It went well.").wait_for()


def test_the_page_of_a_model_shows_its_versions_and_aliases(opened):
    page = opened("/alice/#/models/ctr-deepfm")
    page.get_by_text("champion").first.wait_for()
    assert page.get_by_text("Version 1").first.is_visible()


def test_the_page_of_a_version_names_its_run(opened):
    page = opened("/alice/#/models/ctr-deepfm/versions/1")
    page.get_by_role("link", name="first").wait_for()
    assert page.get_by_text("champion").first.is_visible()


def test_a_workspace_of_others_is_refused_in_the_browser(server):
    answer = requests.get(f"{server.url}/bob/", auth=(ALICE, WORDS), timeout=60)
    assert answer.status_code == 403
    assert "may not use the workspace 'bob'" in answer.text


def test_a_browser_is_asked_for_the_password(server):
    answer = requests.get(f"{server.url}/alice/", timeout=60)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_a_program_with_name_and_password_gets_what_its_person_may(server, logged):
    code = """
        import mlflow, os, sys
        for email, password in zip(sys.argv[1::2], sys.argv[2::2]):
            os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = email, password
            try:
                print([one.name for one in mlflow.search_experiments()])
            except mlflow.MlflowException as error:
                print(error.get_http_status_code())
    """
    people = [(ALICE, WORDS), (ALICE, "another password"), ("eve@lab.example", WORDS), ("", "")]
    done = server.script(code, *(word for pair in people for word in pair))
    assert done.stdout.splitlines() == ["['ctr']", "401", "401", "401"], done.stderr
