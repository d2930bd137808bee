"""Tracking: a run says which data it used, gives them back, and goes on where the server doesn't."""

from __future__ import annotations

import contextlib
import copy
import gc
import http.server
import importlib
import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner
from conftest import CLICKS, clicks

import ailab_dataproc as adp
from ailab_dataproc.cli import cli
from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.errors import InvalidRequest, NotPrepared, TrackingFailed, UnknownName, VersionConflict
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.preparing import prepare

mlflow = pytest.importorskip("mlflow")

PERSONAL = pa.schema([column("user", pa.int64(), "who", pii=True), *list(CLICKS)[1:]])
NAME = "test/clicks:1.0.0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data directory with two versions of clicks, and clicks with personal data."""
    place = tmp_path_factory.mktemp("tracking")
    for split, rows in (("train", 80), ("test", 20)):
        (place / f"{split}.csv").write_text(clicks(rows))
    splits = {split: [str(place / f"{split}.csv")] for split in ("train", "test")}
    made = {"data_dir": str(place / "data"), "runner": "inline", "formats": ("parquet",)}
    for version in ("1.0.0", "1.1.0"):
        prepare(Dataset(name="test/clicks", version=version, schema=CLICKS, splits=splits), **made)
    prepare(Dataset(name="test/people", version="1.0.0", schema=PERSONAL, splits=splits), **made)
    return place


@pytest.fixture(scope="module")
def store(folder):
    """A tracking store without a server: the same API."""
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture(autouse=True)
def tracking(store, folder, monkeypatch):
    """The store is where runs go, the folder where data lie; and no run outlives its test."""
    monkeypatch.setenv("AILAB_DATA_DIR", str(folder / "data"))
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store)
    mlflow.set_experiment("Default")  # tests of other files in this process leave theirs
    yield
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)


def inputs(run):
    """The run's inputs as the REST API gives them."""
    found = mlflow.MlflowClient().get_run(run.info.run_id).to_dictionary()["inputs"]["dataset_inputs"]
    return sorted(found, key=lambda one: one["tags"].get("mlflow.data.context", ""))


def test_a_run_names_dataset_version_split_digest_and_source_type():
    with mlflow.start_run() as run:
        adp.load(NAME, split="train[:50%]", backend="pandas")
        used = adp.track()
    [found] = inputs(run)
    told = found["dataset"]
    assert (told["name"], told["digest"], told["source_type"]) == ("test/clicks:1.0.0", used.digest, "ailab")
    assert len(told["digest"]) <= 36
    assert json.loads(told["source"])["uri"] == "ailab://test/clicks/1.0.0?split=train[:50%25]"
    assert found["tags"]["split"] == "train[:50%]"


def test_the_tags_tell_how_this_run_loaded_them():
    with mlflow.start_run() as run:
        adp.load(NAME, split="train", backend="polars")
        adp.track(context="train")
    [tags] = [one["tags"] for one in inputs(run)]
    assert (tags["backend"], tags["rows"], tags["mlflow.data.context"]) == ("polars", "80", "train")
    assert float(tags["seconds"]) >= 0
    assert {"fingerprint", "reason", "peak_memory", "host", "cpus", "memory", "location"} <= set(tags)


def test_the_page_of_the_run_shows_the_line_of_the_report():
    with mlflow.start_run() as run:
        adp.load(NAME, split="train", backend="pandas")
        used = adp.track(context="train")
    tags = mlflow.get_run(run.info.run_id).data.tags
    told = tags[f"data.{used.digest[:6]}"]
    assert told.startswith("train: 80 rows of train with pandas (as asked) in ")
    assert told.endswith(f"; {NAME}")


def test_schema_and_profile_are_shown_with_meanings_and_units():
    with mlflow.start_run() as run:
        adp.track(NAME, split="test")
    told = inputs(run)[0]["dataset"]
    schema = json.loads(told["schema"])
    assert schema["mlflow_colspec"][2] == {"name": "word", "type": "string", "required": False}
    assert {"name": "price", "type": "float", "meaning": "winning bid", "unit": "JPY"} in schema["columns"]
    profile = json.loads(told["profile"])
    assert (profile["split"], profile["num_rows"], profile["num_columns"]) == ("test", 20, 3)


def test_rows_that_nobody_has_counted_are_at_most_so_many():
    filters = [("price", ">", 3)]
    with mlflow.start_run() as run:
        adp.track(adp.plan(NAME, split="train", filters=filters), context="plan")
        adp.track(adp.load(NAME, split="train", filters=filters, backend="pandas", columns=["user"]), context="load")
    assert [one["tags"]["rows"] for one in inputs(run)] == ["67", "at most 80"]


def test_mlflow_finds_the_source_by_its_entry_point():
    with mlflow.start_run() as run:
        adp.track(adp.plan(NAME, split="test", columns=["word", "price"]))
    [one] = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    frame = mlflow.data.get_source(one.dataset).load(backend="arrow")
    assert frame.equals(adp.load(NAME, split="test", columns=["word", "price"], backend="arrow"))


@pytest.mark.parametrize(
    ("uri", "split"),
    [
        ("ailab://test/clicks/1.0.0?split=train[:80%]", "train[:80%]"),
        ("ailab://test/clicks/1.0.0?split=train+test", "train+test"),
        ("ailab://test/clicks/1.0.0?split=train%5B%3A80%25%5D", "train[:80%]"),
        ("ailab://test/clicks:1.0.0", "all"),
    ],
)
def test_a_uri_is_resolved(uri, split):
    found = mlflow.data.dataset_source_registry.resolve_dataset_source(uri).used
    assert (found.reference, found.split) == ("test/clicks:1.0.0", split)


def test_the_uri_of_a_source_resolves_to_the_same_digest():
    from ailab_dataproc.experiment.source import AilabDatasetSource

    source = AilabDatasetSource(Used.of(NAME, split="train[:50%]+test"))
    assert mlflow.data.dataset_source_registry.resolve_dataset_source(source.uri).used == source.used


def test_train_and_test_both_appear():
    with mlflow.start_run() as run:
        adp.track(NAME, split="train", context="train")
        adp.track(NAME, split="test", context="test")
    assert [one["tags"]["split"] for one in inputs(run)] == ["test", "train"]


def test_the_same_split_with_other_columns_rows_or_filters_appears_again():
    with mlflow.start_run() as run:
        for given in (
            {},
            {"columns": ["user"]},
            {"filters": [("price", ">", 3)]},
            {"filters": [("price", ">", 4)]},
            {"limit": 5},
            {"sample": 5},
            {"sample": 5, "seed": 1},
        ):
            adp.track(adp.plan(NAME, split="train", **given))
    assert len(inputs(run)) == 7


def test_long_lists_in_filters_that_differ_in_the_middle_have_other_digests():
    first, second = list(range(100)), [*range(50), *range(51, 101)]
    plans = [adp.plan(NAME, filters=[("user", "in", values)]) for values in (first, second)]
    expressions = [adp.plan(NAME, filters=pc.field("user").isin(values)) for values in (first, second)]
    assert len({Used.of(one).digest for one in [*plans, *expressions]}) == 4


def test_the_digest_does_not_depend_on_the_order_of_columns_or_the_backend():
    first = Used.of(adp.plan(NAME, columns=["user", "price"], backend="arrow"))
    assert first.digest == Used.of(adp.plan(NAME, columns=["price", "user"], backend="pandas")).digest


def test_a_second_run_with_the_same_data_tells_its_own_backend():
    runs = []
    for backend in ("pandas", "arrow"):
        with mlflow.start_run() as run:
            adp.track(adp.load(NAME, split="test", limit=3, backend=backend))
            runs.append(run)
    assert [inputs(run)[0]["tags"]["backend"] for run in runs] == ["pandas", "arrow"]


@pytest.mark.parametrize("backend", ["arrow", "numpy", "pandas", "polars", "dask", "tf", "torch"])
def test_what_load_returned_is_known(backend):
    columns = ["user", "price"]
    frame = adp.load(NAME, split="train", columns=columns, backend=backend)
    adp.load(NAME, split="test", backend="arrow")
    assert Used.of(frame).split == "train"


def test_what_batches_returned_is_known():
    data = adp.batches(NAME, split="test", columns=["user"], batch_size=5)
    with mlflow.start_run() as run:
        adp.track(data)
    [found] = inputs(run)
    assert (found["tags"]["split"], found["tags"]["backend"]) == ("test", "numpy")


def test_a_report_is_known_after_a_later_load():
    adp.load(NAME, split="train", backend="arrow", limit=7)
    report = adp.last_report()
    adp.load(NAME, split="test", backend="arrow")
    assert Used.of(report).draw == "limit 7"


def test_the_report_of_a_preparation_is_the_whole_version_where_it_lies(folder, data_dir):
    report = prepare(
        Dataset(name="test/small", version="1.0.0", schema=CLICKS, splits={"train": [str(folder / "test.csv")]}),
        data_dir=data_dir,
        runner="inline",
        formats=("parquet",),
    )
    assert (Used.of(report).reference, Used.of(report).split) == ("test/small:1.0.0", "all")


def test_a_frame_is_not_kept_alive():
    from ailab_dataproc import loaded

    frame = adp.load(NAME, backend="pandas")
    key = id(frame)
    assert key in loaded._known
    del frame
    gc.collect()
    assert key not in loaded._known


def test_what_was_made_of_a_frame_is_not_known():
    frame = adp.load(NAME, backend="pandas")
    with pytest.raises(InvalidRequest, match="found a DataFrame that neither `load` nor `batches` returned"):
        adp.track(frame[frame.price > 3])


def test_a_report_from_elsewhere_is_not_known():
    adp.load(NAME, backend="arrow")
    with pytest.raises(InvalidRequest, match="found a Report"):
        adp.track(copy.copy(adp.last_report()))


def test_before_the_first_load_there_is_nothing_to_track():
    raised = []

    def work():
        try:
            adp.track()
        except InvalidRequest as error:
            raised.append(str(error))

    thread = threading.Thread(target=work)  # reports are a thread's own
    thread.start()
    thread.join()
    assert raised[0].startswith("track: nothing has been loaded in this thread yet.")


def test_a_split_goes_with_a_name_only():
    with pytest.raises(InvalidRequest, match="split='test' goes with a name"):
        adp.track(adp.plan(NAME), split="test")


def test_a_name_that_does_not_exist_is_an_error_with_near_names():
    with pytest.raises(UnknownName, match="Did you mean 'test/clicks'"):
        adp.track("test/klicks")


def test_without_an_active_run_one_is_started():
    adp.track(NAME)
    assert len(inputs(mlflow.active_run())) == 1


def test_a_run_that_is_not_active_can_be_named():
    with mlflow.start_run() as run:
        pass
    adp.track(NAME, run=run.info.run_id)
    adp.track(NAME, run=run, split="test")
    assert len(inputs(run)) == 2
    assert mlflow.active_run() is None


def test_the_run_of_a_job_names_the_job(monkeypatch):
    monkeypatch.setenv("AILAB_JOB", "clicks-7f3a")
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tls://shared:8786")
    with mlflow.start_run() as run:
        adp.track(NAME)
    tags = inputs(run)[0]["tags"]
    assert (tags["job"], tags["cluster"]) == ("clicks-7f3a", "tls://shared:8786")
    assert mlflow.get_run(run.info.run_id).data.tags["ailab.job"] == "clicks-7f3a"


def test_a_job_tracks_what_it_used(start, tmp_path, store, folder):
    (tmp_path / "learning.py").write_text(
        "import ailab_dataproc as adp, mlflow\n"
        "def train():\n"
        "    adp.load('test/clicks:1.0.0', split='test', backend='arrow')\n"
        "    with mlflow.start_run() as run:\n"
        "        adp.track(strict=True)\n"
        "    return run.info.run_id\n"
    )
    start(1)
    with adp.connect():
        job = adp.submit("learning:train", code=tmp_path, env={"MLFLOW_TRACKING_URI": store})
        run_id = job.result(timeout=120)
    [used] = adp.data_of(run_id)
    assert used.split == "test"
    assert mlflow.get_run(run_id).data.tags["ailab.job"] == job.id


def test_a_job_without_a_tracking_server_is_warned(monkeypatch):
    monkeypatch.setenv("AILAB_JOB", "clicks-7f3a")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mlflow.set_tracking_uri(None)
    with pytest.warns(UserWarning, match="this job knows no tracking server"):
        assert adp.track(NAME) is None


# Back to the data


@pytest.mark.parametrize(
    "given",
    [
        {"split": "train[:50%]+test", "columns": ["word", "user"]},
        {"filters": [("price", ">", 3.5), ("word", "is not", None)]},
        {"filters": [[("user", "in", [1, 2, 3])], [("price", "<=", 0.5)]]},
        {"filters": pc.field("user") * 2 > pc.field("price")},
        {"filters": [("word", "in", [None, "wörd 1"])]},
        {"limit": 9},
        {"sample": 0.2, "seed": 3, "split": "train"},
        {"filters": [("user", ">", 10)], "sample": 5},
    ],
    ids=str,
)
def test_the_same_rows_and_columns_come_back(given):
    with mlflow.start_run() as run:
        frame = adp.load(NAME, backend="arrow", **given)
        adp.track(frame)
    [used] = adp.data_of(run)
    assert used.load(backend="arrow").equals(frame)
    assert Used.of(used.load(backend="pandas")) is not None
    assert Used.of(adp.last_report()).digest == used.digest


def test_filters_on_times_decimals_and_bytes_come_back(folder, data_dir):
    schema = pa.schema(
        [
            column("at", pa.timestamp("us", "UTC"), "when"),
            column("day", pa.date32(), "on which day"),
            column("cost", pa.decimal128(9, 2), "how much"),
            column("raw", pa.binary(), "as sent"),
        ]
    )
    (folder / "times.csv").write_text(
        "at,day,cost,raw\n2026-01-01T00:00:00Z,2026-01-01,1.50,ab\n2026-01-02T00:00:00Z,2026-01-02,2.50,cd\n"
    )
    made = Dataset(name="test/times", version="1.0.0", schema=schema, splits={"train": [str(folder / "times.csv")]})
    prepare(made, data_dir=data_dir, runner="inline", formats=("parquet",))
    import datetime as dt

    for one in (
        ("at", ">", dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)),
        ("day", "==", dt.date(2026, 1, 2)),
        ("cost", ">=", Decimal("2.50")),
        ("raw", "in", [b"cd"]),
    ):
        frame = adp.load("test/times", filters=[one], backend="arrow", data_dir=data_dir)
        assert frame.num_rows == 1
        assert Used.of(frame).load(backend="arrow", data_dir=data_dir).equals(frame)


def test_data_of_one_context():
    with mlflow.start_run() as run:
        adp.track(NAME, split="train", context="train")
        adp.track(NAME, split="test", context="test")
    assert [one.split for one in adp.data_of(run, context="test")] == ["test"]


def test_data_that_are_not_ours_are_left_out():
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_pandas(adp.load(NAME, backend="pandas", dtypes="numpy", columns=["user"])))
    assert adp.data_of(run) == []


def test_data_that_somebody_else_wrote_in_our_name_are_left_out_and_told(caplog):
    from mlflow.entities import Dataset as Entity
    from mlflow.entities import DatasetInput

    with mlflow.start_run() as run:
        mlflow.MlflowClient().log_inputs(run.info.run_id, [DatasetInput(Entity(NAME, "0" * 32, "ailab", "{}"), [])])
        adp.track(NAME)
    assert len(adp.data_of(run)) == 1
    assert f"its data {NAME} can't be read" in caplog.text


def test_a_version_that_was_made_from_something_else_is_an_error(folder, data_dir):
    (folder / "other.csv").write_text(clicks(5))
    other = Dataset(name="test/clicks", version="1.0.0", schema=CLICKS, splits={"train": [str(folder / "other.csv")]})
    prepare(other, data_dir=data_dir, runner="inline", formats=("parquet",))
    with pytest.raises(VersionConflict, match=r"test/clicks:1\.0\.0: found the fingerprint .* wanted"):
        Used.of(NAME).load(data_dir=data_dir)


def test_a_version_that_is_not_here_is_an_error_that_says_where_it_was(tmp_path, folder):
    with pytest.raises(
        (NotPrepared, UnknownName), match=rf"test/clicks.* It was used from {folder}/data: pass data_dir="
    ):
        Used.of(NAME).load(data_dir=str(tmp_path / "empty"))


def test_a_run_that_does_not_exist_is_an_error():
    with pytest.raises(TrackingFailed, match=r"run nope: .*not found"):
        adp.data_of("nope")


@pytest.mark.parametrize("run", [None, "", 3, ["a"]])
def test_what_is_no_run_is_an_error(run):
    with pytest.raises(InvalidRequest, match="wanted a run of MLflow or its id"):
        adp.data_of(run)


def test_keys_of_a_newer_release_are_left_out():
    used = Used.of(NAME)
    assert Used.from_dict({**used.to_dict(), "colour": "red"}) == used


# Personal data


def test_values_that_personal_data_are_compared_with_are_nowhere():
    filters = [("user", "==", 77), ("price", ">", 3)]
    with mlflow.start_run() as run:
        adp.track(adp.plan("test/people", columns=["price"], filters=filters, allow_pii=True))
    [found] = inputs(run)
    assert found["tags"]["filters"] == "user == <not shown: PII> and price > 3.0"
    assert "77" not in json.dumps([found["tags"]["filters"], json.loads(found["dataset"]["source"])["filters"]])
    assert json.loads(found["dataset"]["source"])["rows_of"] == ""


def test_an_expression_on_personal_data_is_hidden_whole():
    used = Used.of(adp.plan("test/people", columns=["price"], filters=pc.field("user") == 77, allow_pii=True))
    assert (used.filters, used.rows_of) == ("<not shown: PII> of user", "")


def test_two_filters_on_personal_data_are_two_inputs():
    plans = [
        adp.plan("test/people", columns=["price"], filters=[("user", "==", user)], allow_pii=True) for user in (1, 2)
    ]
    assert len({Used.of(one).digest for one in plans}) == 2


def test_filters_that_were_not_kept_have_to_be_given_again():
    filters = [("user", "==", 7)]
    used = Used.of(adp.plan("test/people", columns=["price"], filters=filters, allow_pii=True))
    with pytest.raises(InvalidRequest, match="were not kept"):
        used.load(allow_pii=True)
    assert used.load(allow_pii=True, filters=filters, backend="arrow").num_rows == 2


def test_personal_data_are_tracked_by_name_without_being_read():
    with mlflow.start_run() as run:
        adp.track("test/people", split="train")
    with pytest.raises(InvalidRequest, match="personal data"):
        adp.data_of(run)[0].load()


# Which runs used it?


@pytest.fixture(scope="module")
def some_runs(folder):
    """Runs in two experiments of a store of their own."""
    uri = f"sqlite:///{folder}/runs.db"
    before, place = mlflow.get_tracking_uri(), os.environ.get("AILAB_DATA_DIR")
    os.environ["AILAB_DATA_DIR"] = str(folder / "data")
    mlflow.set_tracking_uri(uri)
    for experiment, name, version, split in (
        ("ctr", "first", "1.0.0", "train"),
        ("ctr", "second", "1.1.0", "train"),
        ("forecast", "third", "1.0.0", "test"),
    ):
        mlflow.set_experiment(experiment)
        with mlflow.start_run(run_name=name):
            adp.track(f"test/clicks:{version}", split=split, context="train")
            mlflow.log_metrics({"auc": 0.75, "loss": 0.5 if split == "train" else math.nan})
            time.sleep(0.01)
    with mlflow.start_run(run_name="none"):
        mlflow.log_metric("auc", 0.5)
    mlflow.set_experiment("Default")
    mlflow.set_tracking_uri(before)
    os.environ.pop("AILAB_DATA_DIR") if place is None else os.environ.update(AILAB_DATA_DIR=place)
    return uri


@pytest.mark.parametrize(
    ("asked", "split", "names"),
    [
        ("test/clicks", None, ["third", "second", "first"]),
        ("test/clicks:1.0.0", None, ["third", "first"]),
        ("test/clicks:1.*", None, ["third", "second", "first"]),
        ("test/clicks:1.0.0", "train", ["first"]),
        ("test/clicks:2.0.0", None, []),
        ("test/click_", None, []),
        ("test/click", None, []),
    ],
)
def test_the_runs_of_a_version(some_runs, asked, split, names):
    mlflow.set_tracking_uri(some_runs)
    assert [one.name for one in adp.runs_of(asked, split=split)] == names


def test_a_run_that_used_it_tells_experiment_metrics_and_backend(some_runs):
    mlflow.set_tracking_uri(some_runs)
    [one] = adp.runs_of("test/clicks:1.1.0")
    assert (one.experiment, one.context, one.metrics) == ("ctr", "train", {"auc": 0.75, "loss": 0.5})
    assert one.used.load(backend="arrow").num_rows == 80


def test_pages_of_runs_are_followed(some_runs, monkeypatch):
    from ailab_dataproc.experiment import finding

    monkeypatch.setattr(finding, "_PAGE", 1)
    mlflow.set_tracking_uri(some_runs)
    assert len(adp.runs_of("test/clicks")) == 3


def command(uri, *args):
    mlflow.set_tracking_uri(uri)
    return CliRunner().invoke(cli, ["runs", *args], env={"COLUMNS": "200"})


def test_the_command_tells_of_each_run(some_runs):
    told = command(some_runs, "test/clicks:1.0.0").stdout
    assert told.index("third") < told.index("first")
    assert {"forecast", "1.0.0 test (train)", "auc=0.75", "loss=nan"} <= {
        cell.strip() for line in told.splitlines() for cell in line.split("  ")
    }


def test_a_narrow_terminal_gets_the_whole_id(some_runs):
    mlflow.set_tracking_uri(some_runs)
    run_id = adp.runs_of("test/clicks")[0].run_id
    assert run_id in CliRunner().invoke(cli, ["runs", "test/clicks"], env={"COLUMNS": "70"}).stdout


def test_the_command_prints_json(some_runs):
    found = json.loads(command(some_runs, "test/clicks", "--json", "--split", "test").stdout)
    assert [(one["name"], one["version"], one["metrics"]["auc"]) for one in found] == [("third", "1.0.0", 0.75)]


def test_the_command_says_where_no_run_was_found(some_runs):
    done = command(some_runs, "test/klicks")
    assert done.stdout.startswith("No run in sqlite:///")
    assert done.exit_code == 0


def test_looking_for_runs_makes_no_store(tmp_path):
    done = command(f"sqlite:///{tmp_path}/mlflow.db", "test/clicks")
    assert done.stderr == (
        f"error: runs of test/clicks: there is no {tmp_path}/mlflow.db. Set MLFLOW_TRACKING_URI to where runs are "
        "tracked.\n"
    )
    assert not list(tmp_path.iterdir())


def test_the_command_ends_with_one_line_where_the_server_is_down():
    with refusing() as uri:
        done = command(uri, "test/clicks")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: runs of test/clicks: {uri} can't be reached (Connection refused).")
    assert done.stderr.count("\n") == 1


# A server that fails


@contextlib.contextmanager
def refusing():
    """An address where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextlib.contextmanager
def silent():
    """A server that accepts and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.contextmanager
def answering(reads, writes=None, body=b"<html>no</html>"):
    """A server that answers with these statuses; None: never."""
    release, asked = threading.Event(), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, status, content):
            asked.append(self.path)
            if status is None:
                release.wait(30)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self):
            self.answer(reads, b"{}" if reads == 200 else body)

        def do_POST(self):
            self.answer(writes, body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        release.set()
        server.shutdown()
        server.server_close()


def warned(**given):
    """The one warning of a `track` that could not write."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert adp.track(NAME, run="a" * 32, **given) is None
    told = [str(one.message) for one in found if "track" in str(one.message)]
    assert len(told) == 1
    return told[0]


def test_a_server_that_is_down_is_one_warning_with_its_address():
    with refusing() as uri:
        mlflow.set_tracking_uri(uri)
        told = warned()
    assert told == (
        f"track {NAME}: {uri} can't be reached (Connection refused). See that MLFLOW_TRACKING_URI is right and the "
        "server is up. The run goes on, without a note of its data."
    )


def test_a_server_that_is_down_raises_when_strict():
    with refusing() as uri:
        mlflow.set_tracking_uri(uri)
        with pytest.raises(TrackingFailed, match="can't be reached"):
            adp.track(NAME, run="a" * 32, strict=True)


def test_a_name_that_nobody_knows_is_one_warning():
    mlflow.set_tracking_uri("http://mlflow.invalid:5000")
    assert "can't be reached (Failed to resolve 'mlflow.invalid')" in warned()


def test_a_server_that_never_answers_is_asked_once(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with silent() as uri:
        mlflow.set_tracking_uri(uri)
        assert f"{uri} gave no answer in time" in warned()


def test_a_server_that_reads_but_never_writes_is_left(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with answering(200) as (uri, _):
        mlflow.set_tracking_uri(uri)
        assert f"{uri} gave no answer within 2 s" in warned()


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (401, "does not know who asks (401)"),
        (403, "refuses it to you (403)"),
        (500, "answered 500"),
        (502, "answered 502"),
    ],
)
def test_a_server_that_refuses_is_asked_once(status, wanted):
    with answering(status) as (uri, asked):
        mlflow.set_tracking_uri(uri)
        assert f"{uri} {wanted}" in warned()
    assert len(asked) == 1


def test_a_reader_who_may_not_write_is_told():
    body = b'{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}'
    with answering(200, 403, body) as (uri, _):
        mlflow.set_tracking_uri(uri)
        assert "refuses it to you (403)" in warned()


def test_what_the_server_says_of_a_refusal_is_told():
    said = "eve@lab.example is not in the lab's whitelist; ask the platform team."
    body = json.dumps({"error_code": "PERMISSION_DENIED", "message": said}).encode()
    with answering(403, body=body) as (uri, _):
        mlflow.set_tracking_uri(uri)
        assert f"{uri} refuses it to you (403). {said}" in warned()


def test_a_page_that_is_no_mlflow_is_told():
    with answering(200, 200) as (uri, _):
        mlflow.set_tracking_uri(uri)
        assert f"{uri}" in warned()


def test_without_a_run_a_server_that_is_down_starts_none():
    with refusing() as uri:
        mlflow.set_tracking_uri(uri)
        with pytest.warns(UserWarning, match="can't be reached"):
            assert adp.track(NAME) is None
        assert mlflow.active_run() is None


def test_a_password_in_the_address_is_not_told():
    with refusing() as uri:
        mlflow.set_tracking_uri(uri.replace("//", "//taro:s3cret@"))
        assert "s3cret" not in warned()


# Types


def test_every_arrow_type_has_a_place_in_the_schema():
    from mlflow.types import Schema

    from ailab_dataproc.experiment.describing import schema_text

    types = {
        "small": pa.int8(),
        "large": pa.uint64(),
        "half": pa.float16(),
        "cost": pa.decimal128(9, 2),
        "when": pa.time32("s"),
        "lasted": pa.duration("us"),
        "nothing": pa.null(),
        "day": pa.date32(),
        "vector": pa.list_(pa.float32(), 8),
        "lists": pa.list_(pa.list_(pa.string())),
        "record": pa.struct([pa.field("a", pa.int64()), pa.field("b", pa.list_(pa.binary()))]),
        "hollow": pa.struct([]),
        "map": pa.map_(pa.string(), pa.int32()),
        "numbered": pa.map_(pa.int32(), pa.int32()),
        "kind": pa.dictionary(pa.int8(), pa.string()),
        "large_text": pa.large_string(),
        "text_view": pa.string_view(),
        "byte_view": pa.binary_view(),
        "four": pa.binary(4),
        "large_list": pa.large_list(pa.bool_()),
        "list_view": pa.list_view(pa.int32()),
    }
    found = json.loads(schema_text(pa.schema(list(types.items()))))
    told = {one["name"]: one["type"] for one in found["mlflow_colspec"]}
    assert {
        "small": "integer",
        "large": "any",
        "cost": "any",
        "vector": "array",
        "kind": "string",
    }.items() <= told.items()
    assert len(Schema.from_json(json.dumps(found["mlflow_colspec"])).inputs) == len(types)


def test_a_schema_of_ten_thousand_columns_fits():
    from ailab_dataproc.experiment.describing import schema_text

    wide = pa.schema([column(f"feature_{i}", pa.float32(), "a long meaning " * 10) for i in range(10_000)])
    text = schema_text(wide)
    assert len(text.encode()) < 1_048_575
    assert len(json.loads(text)["mlflow_colspec"]) == 10_000


def test_importing_the_package_does_not_import_mlflow():
    code = "import sys, ailab_dataproc.cli, ailab_dataproc; ailab_dataproc.track; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_version_that_was_made_from_another_names_it(folder, monkeypatch):
    (folder / "making.py").write_text("def double(frame):\n    return frame.assign(price=frame.price * 2)\n")
    monkeypatch.syspath_prepend(str(folder))
    making = importlib.import_module("making")
    adp.map_partitions(making.double, NAME, name="test/doubled", version="1.0.0", split="train", runner="inline")
    with mlflow.start_run() as run:
        adp.track("test/doubled")
    assert inputs(run)[0]["tags"]["made_from"] == f"{NAME} train"


def test_the_rest_api_names_dataset_version_split_and_digest(store, folder):
    from mlflow.server import app, handlers

    with mlflow.start_run() as run:
        used = adp.track(adp.load(NAME, split="train", backend="arrow"), context="train")
    handlers.initialize_backend_stores(store, store, str(folder / "artifacts"))
    answer = app.test_client().get(f"/api/2.0/mlflow/runs/get?run_id={run.info.run_id}")
    [found] = answer.json["run"]["inputs"]["dataset_inputs"]
    tags = {one["key"]: one["value"] for one in found["tags"]}
    assert (found["dataset"]["name"], found["dataset"]["digest"]) == (NAME, used.digest)
    assert (tags["split"], tags["backend"], tags["mlflow.data.context"]) == ("train", "arrow", "train")
