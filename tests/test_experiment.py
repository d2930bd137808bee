"""The example of a whole experiment, run as its user runs it: what it makes, what it remembers, and its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import chromium
import pytest

import ailab_dataproc as adp
from ailab_dataproc.settings import load_settings

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
mlflow = pytest.importorskip("mlflow")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # three whole runs, each in a process of its own
SCRIPT = Path(__file__).parent.parent / "examples" / "ctr" / "experiment.py"
LOG, FEATURES, MODEL = "products/ad_log/impressions:1.0.0", "experiments/ctr_impressions:1.0.0", "ctr-impressions"
ROWS = "40000"


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The script in a folder, with no setting of the person who tests."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AILAB_", "MLFLOW_"))}
    command = [sys.executable, str(SCRIPT), "--rows", ROWS, *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str], what: str) -> list[str]:
    return re.findall(rf"^ctr: (\w+): {what}", done.stderr, re.MULTILINE)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> SimpleNamespace:
    """The experiment three times: from nothing, again, and with another learning rate."""
    folder = tmp_path_factory.mktemp("experiment")
    first, again, changed = run(folder), run(folder), run(folder, "--learning-rate", "0.2")
    results = folder / "experiment_results"
    return SimpleNamespace(folder=folder, first=first, again=again, changed=changed, results=results)


@pytest.fixture
def store(made, monkeypatch) -> Iterator[SimpleNamespace]:
    """Its data and its runs, the oldest first."""
    monkeypatch.setenv("AILAB_DATA_DIR", str(made.results / f"data-{ROWS}"))
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{made.results / 'mlflow.db'}")
    runs = mlflow.search_runs(experiment_names=["ctr"], order_by=["start_time"], output_format="list")
    yield SimpleNamespace(runs=runs, settings=load_settings())
    mlflow.set_tracking_uri(before)


def test_it_runs_from_nothing_to_the_report(made):
    assert made.first.returncode == 0, made.first.stderr
    assert told(made.first, "done") == ["preprocess", "train", "evaluate", "publish"]
    assert (made.results / "report.html").is_file()


def test_the_second_time_all_steps_come_from_memory_and_it_says_so(made):
    assert told(made.again, "remembered") == ["preprocess", "train", "evaluate", "publish"]
    assert "All steps came from memory" in made.again.stdout


def test_another_learning_rate_runs_training_and_what_follows(made):
    assert told(made.changed, "remembered") == ["preprocess"]
    assert told(made.changed, "runs: learning_rate 0.1 → 0.2") == ["train"]
    assert "ran: train, evaluate, publish" in made.changed.stdout


def test_it_tells_where_report_runs_and_model_are(made):
    assert str(made.results / "report.html") in made.first.stdout
    assert "mlflow ui" in made.first.stdout
    assert f"{MODEL}:1" in made.first.stdout


def test_nothing_is_written_beside_the_results(made):
    assert [one.name for one in made.folder.iterdir()] == ["experiment_results"]


def test_the_model_beats_the_mean_rate(store):
    found = store.runs[0].data.metrics
    assert found["auc"] > 0.58
    assert found["log_loss"] < found["log_loss_of_mean_rate"]
    assert found["predicted_over_observed"] == pytest.approx(1, abs=0.15)


def test_the_run_names_dataset_version_split_and_digest(store):
    inputs = {
        (one.dataset.name, tag.value): one.dataset.digest
        for one in store.runs[0].inputs.dataset_inputs
        for tag in one.tags
        if tag.key == "split"
    }
    splits = [(LOG, "all"), (FEATURES, "train[:95%]"), (FEATURES, "train[95%:]"), (FEATURES, "test")]
    assert inputs.keys() == set(splits)
    plan = adp.plan(FEATURES, split="train[:95%]", backend="dask")
    assert inputs[FEATURES, "train[:95%]"] == adp.track(plan, run=store.runs[0]).digest


def test_the_version_of_the_model_names_the_same_digest(store):
    entry = adp.models.show(f"{MODEL}:1").entry
    digests = {one.dataset.digest for one in store.runs[0].inputs.dataset_inputs}
    assert {one.digest for one in entry.data} <= digests
    assert [one.split for one in entry.data] == ["train[:95%]", "test"]


@pytest.mark.parametrize(
    "asked", [{"words": "クリック率"}, {"metric": "auc>0.5"}, {"dataset": "experiments/ctr_impressions"}]
)
def test_the_zoo_finds_the_model(store, asked):
    assert MODEL in [one.name for one in adp.models.search(**asked)]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--learning-rate", "fast"], "error: argument --learning-rate: invalid float value: 'fast'"),
        (["--learning-rate", "-1"], "error: --learning-rate -1.0: wanted more than 0, and 10 at most"),
        (["--rows", "3"], "error: --rows 3 --epochs 2: wanted at least 20,000 rows and one epoch"),
        (["--learnrate", "1"], "error: unrecognized arguments: --learnrate 1"),
        (["--results", "/proc/none"], "error: /proc/none: "),
        (["--dataset", "products/open_bandit/mens"], "error: products/open_bandit/mens"),
    ],
)
def test_a_wrong_option_is_one_sentence(tmp_path, options, sentence):
    done = run(tmp_path, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


@chromium.needed
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_with_its_pictures_and_fits_a_phone(made, scheme):
    wrong: list[str] = []
    with chromium.browser() as browser:
        page = browser.new_page(viewport={"width": 400, "height": 800}, color_scheme=scheme)
        page.on("console", lambda one: wrong.append(one.text) if one.type in ("error", "warning") else None)
        page.on("pageerror", lambda one: wrong.append(str(one)))
        page.goto((made.results / "report.html").as_uri())
        assert page.locator("img").count() == 3
        assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 400)")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert wrong == []
