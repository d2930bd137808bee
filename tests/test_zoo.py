"""The model zoo: what is pushed is found by its words, data and metrics, and comes back byte by byte."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import CLICKS, clicks

import ailab_dataproc as adp
from ailab_dataproc.cli import cli
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.errors import DamagedData, InvalidRequest, TrackingFailed, UnknownName
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.experiment.zoo import cards, files
from ailab_dataproc.experiment.zoo.drafting import used
from ailab_dataproc.experiment.zoo.registry import Asked
from ailab_dataproc.experiment.zoo.searching import Bound
from ailab_dataproc.preparing import prepare

mlflow = pytest.importorskip("mlflow")

DATA = "test/clicks:1.0.0"
CARD = """---
task: ctr
tags: [ads, 広告]
license: apache-2.0
language: ja
owner: team-ads
---
# クリック率の予測

広告の表示ログからクリック
率を予測する。It's 100% "sure" about a_b.
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with prepared clicks, and a model."""
    folder = tmp_path_factory.mktemp("zoo")
    for split, rows in (("train", 40), ("test", 10)):
        (folder / f"{split}.csv").write_text(clicks(rows))
    splits = {split: [str(folder / f"{split}.csv")] for split in ("train", "test")}
    data = Dataset(name="test/clicks", version="1.0.0", schema=CLICKS, splits=splits)
    prepare(data, data_dir=str(folder / "data"), runner="inline", formats=("parquet",))
    write(folder / "model")
    return folder


def write(folder: Path, card: str | None = CARD, **more: bytes) -> Path:
    """A small model."""
    (folder / "variables").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 20)
    (folder / "variables" / "日本 語.txt").write_text("v")
    if card:
        (folder / "README.md").write_text(card, encoding="utf-8")
    for name, content in more.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def store(place):
    """A registry without a server, with one experiment whose files lie in the folder."""
    before, uri = mlflow.get_tracking_uri(), f"sqlite:///{place}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment("zoo", artifact_location=(place / "artifacts").as_uri())
    mlflow.set_tracking_uri(before)
    return uri


@pytest.fixture(scope="module")
def server(place):
    """A real MLflow server on loopback, through which all files pass."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = place / "server"
    own.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{own}/m.db", "--artifacts-destination", str(own / "files")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with open(own / "log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=own, env={**os.environ, **quiet}, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, (own / "log").read_text()
            try:
                asked(f"{url}/health")
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait()


@pytest.fixture(autouse=True)
def tracking(request, place, store, tmp_path, monkeypatch):
    """Runs and models go to the store, files to a cache of the test; no run outlives its test."""
    monkeypatch.setenv("AILAB_DATA_DIR", str(place / "data"))
    monkeypatch.setenv("AILAB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store)
    mlflow.set_experiment("zoo")
    yield
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)


@pytest.fixture
def model(place):
    return place / "model"


@pytest.fixture
def pushed(store, model, place):
    """The model in the zoo, as ctr.deepfm: two versions, the first the better one."""
    found = adp.models.search("", all_versions=True, task="ctr")
    mine = [one for one in found if one.name == "ctr.deepfm"]
    if not mine:
        adp.models.push(model, "ctr.deepfm", metrics={"auc": 0.71, "loss": 0.3}, data=f"{DATA}[train]")
        data = {"train": f"{DATA}[train[:50%]]", "test": f"{DATA}[test]"}
        adp.models.push(model, "ctr.deepfm", metrics={"auc": 0.69}, data=data)
    return "ctr.deepfm"


def asked(url: str):
    return urllib.request.urlopen(url)  # noqa: S310 - of a server that the test started


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != files.MANIFEST
    }


# ------------------------------------------------------------------------------------------- through the REST API


def test_through_a_server_the_version_names_the_digest_of_the_runs_input_and_is_found_and_pulled(server, model):
    mlflow.set_tracking_uri(server)
    mlflow.set_experiment("served")
    with mlflow.start_run() as run:
        frame = adp.load(DATA, split="train", backend="pandas")
        tracked = adp.track(frame, context="train", strict=True)
        entry = adp.models.push(model, "ctr.served", metrics={"auc": 0.71})
    with asked(f"{server}/api/2.0/mlflow/runs/get?run_id={run.info.run_id}") as answer:
        [told] = json.load(answer)["run"]["inputs"]["dataset_inputs"]
    with asked(f"{server}/api/2.0/mlflow/model-versions/get?name=ctr.served&version=1") as answer:
        version = json.load(answer)["model_version"]
    tags = {one["key"]: one["value"] for one in version["tags"]}
    assert told["dataset"]["digest"] == tracked.digest
    assert tags["data.0"] == f"{DATA} train {tracked.digest} train"
    assert version["run_id"] == run.info.run_id
    for question in ({"words": "クリック率"}, {"metric": "auc>0.7"}, {"dataset": DATA}):
        assert [one.uri for one in adp.models.search(**question)] == ["models:/ctr.served/1"], question
    assert adp.models.search(metric="auc>0.8") == []
    assert adp.models.alias("ctr.served", "champion", 1).aliases == ("champion",)
    assert contents(adp.models.pull("ctr.served@champion")) == contents(model)
    shown = adp.models.show("ctr.served")
    assert shown.run.startswith(f"{server}/#/experiments/")
    assert shown.run.endswith(run.info.run_id)
    assert shown.used == (Used.of(DATA, split="train"),)
    assert entry.model_id in {
        one.model_id for one in mlflow.MlflowClient().get_run(run.info.run_id).outputs.model_outputs
    }


def test_a_file_that_was_changed_on_the_server_is_told_and_never_looks_pulled(server, model, place, tmp_path):
    mlflow.set_tracking_uri(server)
    mlflow.set_experiment("served")
    entry = adp.models.push(model, "ctr.damaged", data=DATA)
    [stored] = [one for one in (place / "server" / "files").rglob("weights.bin") if entry.model_id in str(one)]
    good = stored.read_bytes()
    stored.write_bytes(good[:-1] + b"?")
    with pytest.raises(DamagedData, match=r"weights\.bin is not what was pushed"):
        adp.models.pull("ctr.damaged", tmp_path / "here")
    assert not (tmp_path / "here").exists()
    stored.write_bytes(good)
    assert contents(adp.models.pull("ctr.damaged", tmp_path / "here")) == contents(model)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


# ------------------------------------------------------------------------------------------- push


def test_metrics_are_numbers_of_the_logged_model_on_the_test_data(pushed):
    entry = adp.models.show(f"{pushed}:2").entry
    [metric] = mlflow.MlflowClient().get_logged_model(entry.model_id).metrics
    assert (metric.key, metric.value, metric.dataset_name) == ("auc", 0.69, DATA)
    assert metric.dataset_digest == Used.of(DATA, split="test").digest


def test_without_a_run_one_is_made_that_holds_the_data(pushed):
    entry = adp.models.show(f"{pushed}:2").entry
    assert {one.digest for one in adp.data_of(entry.run_id)} == {one.digest for one in entry.data}
    assert mlflow.get_run(entry.run_id).info.status == "FINISHED"


def test_data_of_the_run_are_taken_where_none_are_given(model):
    with mlflow.start_run():
        adp.track(DATA, split="train", context="train", strict=True)
        adp.track(DATA, split="test", context="test", strict=True)
        entry = adp.models.push(model, "ctr.of_run")
    assert {(one.context, one.split) for one in entry.data} == {("train", "train"), ("test", "test")}


def test_a_model_without_data_is_refused_and_what_to_write_is_told(model):
    with pytest.raises(InvalidRequest, match=r"which data was it trained on\?.*data=\[\]"):
        adp.models.push(model, "ctr.nodata")


def test_a_notebook_needs_no_data(tmp_path):
    (tmp_path / "a.ipynb").write_text("{}")
    entry = adp.models.push(tmp_path / "a.ipynb", "note", kind="notebook", card=CARD)
    assert (entry.kind, entry.files, entry.data) == ("notebook", 2, ())
    assert sorted(contents(adp.models.pull("note"))) == ["README.md", "a.ipynb"]


@pytest.mark.parametrize(
    ("card", "told"),
    [
        (None, "there is no README.md, the card. Write one that begins with ---"),
        ("# Title only\n", "names no task. Write at its head"),
        ("---\ntask: [a\n---\n", "can't be read"),
        ("---\ntask: no\n---\n", "task: False is no text. Put it into quotes"),
        ("---\n- a\n---\n", "is no list of key: value"),
    ],
)
def test_a_card_that_is_missing_or_names_no_task_is_one_sentence(card, told, tmp_path):
    with pytest.raises(InvalidRequest) as raised:
        adp.models.push(write(tmp_path / "m", card), "ctr.bad", data=DATA)
    assert told in str(raised.value)


def test_a_task_that_contradicts_the_card_is_refused(model):
    with pytest.raises(InvalidRequest, match="the card says task: ctr, but task='cvr'"):
        adp.models.push(model, "ctr.bad", task="cvr", data=DATA)


def test_a_card_of_the_hugging_face_hub_is_understood():
    found = cards.read("---\npipeline_tag: text-classification\nlanguage: [ja, en]\n---\n# T\n\nIt reads\ntexts.\n")
    assert (found.task, found.language, found.title, found.summary) == (
        "text-classification",
        ("ja", "en"),
        "T",
        "It reads texts.",
    )


def test_lines_of_japanese_are_joined_without_a_space():
    assert cards.read(CARD).summary.startswith("広告の表示ログからクリック率を予測する。")


@pytest.mark.parametrize(
    ("name", "told"),
    [("ctr/deepfm", "a name has no /. Write it with a dot, as 'ctr.deepfm'"), ("モデル", "ASCII"), ("", "ASCII")],
)
def test_a_name_that_can_not_be_is_told(name, told, model):
    with pytest.raises(InvalidRequest) as raised:
        adp.models.push(model, name, data=DATA)
    assert told in str(raised.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "0.7", None])
def test_a_metric_is_a_finite_number(value, model):
    with pytest.raises(InvalidRequest, match=r"metric auc is .*, wanted a finite number"):
        adp.models.push(model, "ctr.bad", metrics={"auc": value}, data=DATA)


def test_a_path_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(InvalidRequest, match="there is no such file or folder"):
        adp.models.push(tmp_path / "nothing", "ctr.bad", data=DATA)


def test_an_empty_folder_is_told(tmp_path):
    (tmp_path / "empty" / ".git").mkdir(parents=True)
    with pytest.raises(InvalidRequest, match=r"there is no file to push but \.git/, which stays out"):
        adp.models.push(tmp_path / "empty", "ctr.bad", data=DATA)


@pytest.mark.parametrize("name", [".env", "server.pem", "id_rsa", "my-credentials.json", "client_secret_1.json"])
def test_what_looks_like_a_secret_is_refused_unless_it_is_asked_for(name, tmp_path):
    folder = write(tmp_path / "m", **{name: b"x"})
    with pytest.raises(InvalidRequest, match="looks like a secret"):
        files.gather(folder)
    assert name in files.gather(folder, also=[name]).paths


def test_a_private_key_under_another_name_is_refused(tmp_path):
    folder = write(tmp_path / "m", notes=b"-----BEGIN RSA PRIVATE KEY-----\n")
    with pytest.raises(InvalidRequest, match="notes: looks like a secret"):
        files.gather(folder)


def test_a_tokenizer_is_no_secret(tmp_path):
    folder = write(tmp_path / "m", **{"tokenizer.json": b"{}", "special_tokens_map.json": b"{}", "vocab.txt": b"a"})
    assert {"tokenizer.json", "special_tokens_map.json", "vocab.txt"} <= files.gather(folder).paths.keys()


def test_hidden_files_and_caches_stay_out(tmp_path):
    folder = write(tmp_path / "m", **{".DS_Store": b"x", "a.pyc": b"x"})
    for name in (".git", "__pycache__"):
        (folder / name).mkdir()
        (folder / name / "x").write_bytes(b"x")
    found = files.gather(folder)
    assert sorted(found.paths) == ["README.md", "variables/日本 語.txt", "weights.bin"]
    assert sorted(found.left_out) == [".DS_Store", ".git/", "__pycache__/", "a.pyc"]


def test_links_within_the_folder_are_followed_and_links_out_of_it_refused(tmp_path):
    folder = write(tmp_path / "m")
    (folder / "best.bin").symlink_to("weights.bin")
    assert "best.bin" in files.gather(folder).paths
    (folder / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(InvalidRequest, match="is a link out of the folder, to /etc/passwd"):
        files.gather(folder)


def test_a_link_within_the_folder_comes_back_as_a_file(tmp_path):
    folder = write(tmp_path / "m")
    (folder / "best.bin").symlink_to("weights.bin")
    adp.models.push(folder, "ctr.linked", data=[])
    found = adp.models.pull("ctr.linked", tmp_path / "to")
    assert not (found / "best.bin").is_symlink()
    assert (found / "best.bin").read_bytes() == (folder / "weights.bin").read_bytes()


def test_a_name_that_a_url_would_cut_is_refused(tmp_path):
    with pytest.raises(InvalidRequest, match="'#' can't be in a file's name"):
        files.gather(write(tmp_path / "m", **{"a#b": b"x"}))


def test_a_file_that_changes_while_it_is_pushed_is_told(tmp_path):
    folder = write(tmp_path / "m")
    found = files.gather(folder)
    (folder / "weights.bin").write_bytes(b"other")
    with pytest.raises(InvalidRequest, match="changed while it was pushed"):
        files.unchanged(found)


def test_a_push_that_fails_on_the_way_registers_nothing(tmp_path, store, place):
    folder = write(tmp_path / "m")
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidRequest, match="is no file but a pipe"):
        adp.models.push(folder, "ctr.half", data=[])
    with pytest.raises(UnknownName):
        adp.models.pull("ctr.half")


def test_what_was_pulled_can_be_pushed_again(pushed, tmp_path):
    folder = adp.models.pull(pushed, tmp_path / "copy")
    assert adp.models.push(folder, "ctr.copy", data=DATA).files == 3


def test_files_stay_where_they_are_by_reference_and_are_pulled_from_there(tmp_path):
    folder = write(tmp_path / "big")
    entry = adp.models.push(folder, "ctr.big", data=DATA, by_reference=True)
    assert entry.location == str(folder)
    stored = {one.path for one in mlflow.MlflowClient().list_logged_model_artifacts(entry.model_id)}
    assert stored == {"README.md", files.MANIFEST}
    assert contents(adp.models.pull("ctr.big")) == contents(folder)


def test_files_that_were_registered_where_they_lay_and_are_gone_are_told(tmp_path):
    folder = write(tmp_path / "big")
    adp.models.push(folder, "ctr.gone", data=DATA, by_reference=True)
    (folder / "weights.bin").unlink()
    with pytest.raises(DamagedData, match=r"weights\.bin is gone; it was registered where it lay"):
        adp.models.pull("ctr.gone")


def test_a_bucket_is_registered_without_uploading_and_pulled(bucket, gcs, model, place, monkeypatch):
    monkeypatch.setenv("AILAB_STORAGE_OPTIONS", json.dumps(gcs.options))
    monkeypatch.setenv("AILAB_DATA_DIR", str(place / "data"))
    from ailab_dataproc import storage

    there = storage.folder(f"{bucket}/ckpt", gcs.options)
    for name, content in contents(model).items():
        there.write(name, content)
    entry = adp.models.push(f"{bucket}/ckpt", "ctr.bucket", data=DATA, by_reference=True)
    assert entry.location == f"{bucket}/ckpt"
    assert contents(adp.models.pull("ctr.bucket")) == contents(model)


# ------------------------------------------------------------------------------------------- search


@pytest.mark.parametrize(
    "words",
    [
        "クリック率",
        "予測 広告",
        "ｸﾘｯｸ",
        "DeepFM",
        "team-ads",
        "100%",
        '"sure"',
        "it's",
        "a_b",
        "test/clicks",
        "ctr クリック",
    ],
)
def test_words_are_found_in_name_card_tags_and_data_in_any_case_and_width(words, pushed):
    assert pushed in {one.name for one in adp.models.search(words, limit=100)}


@pytest.mark.parametrize("words", ["a%b", "axb", "100_", "'; DROP TABLE x; --", "\\", "猫", "%", "' OR '1'='1"])
def test_signs_of_sql_in_words_widen_nothing_and_break_nothing(words, pushed):
    found = {one.name for one in adp.models.search(words, limit=100)}
    assert pushed not in found or words == "%"  # the card has a % of its own


def test_the_best_come_first_where_a_metric_is_bounded_and_a_name_is_there_once(pushed):
    found = adp.models.search("deepfm", metric="auc>0.5", all_versions=True)
    assert [one.metrics["auc"] for one in found if one.name == pushed] == [0.71, 0.69]
    assert [one.version for one in adp.models.search("deepfm", metric="auc>0.5") if one.name == pushed] == ["1"]


def test_the_newest_come_first_without_a_metric(pushed):
    assert [one.version for one in adp.models.search("deepfm") if one.name == pushed] == ["2"]


def test_several_bounds_hold_together(pushed):
    names = {one.uri for one in adp.models.search(metric=["auc>=0.71", "loss<0.5"])}
    assert f"models:/{pushed}/1" in names
    assert all(one.metrics["loss"] < 0.5 for one in adp.models.search(metric=["auc>0", "loss<0.5"]))


@pytest.mark.parametrize(
    ("dataset", "found"), [("test/clicks", True), (DATA, True), ("test/clicks:2.*", False), ("test/click", False)]
)
def test_a_dataset_is_looked_for_with_or_without_version(dataset, found, pushed):
    assert (pushed in {one.name for one in adp.models.search(dataset=dataset, limit=100)}) == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [({"task": "ctr"}, True), ({"task": "cvr"}, False), ({"kind": "notebook"}, False), ({"owner": "team-ads"}, True)],
)
def test_task_kind_and_owner_are_exact(asked, found, pushed):
    assert (pushed in {one.name for one in adp.models.search(limit=100, **asked)}) == found


def test_a_word_far_down_a_long_card_is_found(tmp_path):
    folder = write(tmp_path / "m", CARD + "語 " * 10_000 + "\n尻尾\n")
    adp.models.push(folder, "ctr.long", data=[])
    assert [one.name for one in adp.models.search("尻尾")] == ["ctr.long"]


@pytest.mark.parametrize("text", ["auc", "auc>", ">0.7", "auc>x", "auc!0.7", "auc>1.2.3"])
def test_a_bound_that_can_not_be_read_is_told(text):
    with pytest.raises(InvalidRequest, match=r"such as 'auc>0\.7'"):
        adp.models.search(metric=text)


def test_names_of_metrics_may_have_dots_slashes_and_digits():
    assert Bound.parse("val/recall@10 >= 1e-3".replace("@", ".")) == Bound("val/recall.10", ">=", 0.001)


def test_a_kind_that_does_not_exist_is_told_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'model'"):
        adp.models.search(kind="models")


def test_what_mlflow_itself_registered_is_passed_over_in_search_and_told_by_pull():
    mlflow.MlflowClient().create_registered_model("theirs")
    with mlflow.start_run() as run:
        mlflow.MlflowClient().create_model_version("theirs", f"runs:/{run.info.run_id}/x", run.info.run_id)
    assert "theirs" not in {one.name for one in adp.models.search(limit=100)}
    with pytest.raises(TrackingFailed, match=r"was not pushed here but logged by MLflow itself\. Take it with"):
        adp.models.pull("theirs")


# ------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ctr", Asked("ctr")),
        ("ctr@champion", Asked("ctr", alias="champion")),
        ("ctr:3", Asked("ctr", version="3")),
        ("ctr@latest", Asked("ctr", alias="latest")),
        ("models:/ctr/3", Asked("ctr", version="3")),
        ("models:/ctr@champion", Asked("ctr", alias="champion")),
        ("models:/ctr/latest", Asked("ctr", alias="latest")),
    ],
)
def test_names_are_written_as_in_mlflow_or_shorter(text, found):
    assert Asked.parse(text) == found


@pytest.mark.parametrize("text", ["ctr:x", "ctr:0", "ctr@", "ctr:1@a", "models:/a/b/1", "../ctr", 3])
def test_a_name_that_can_not_be_read_is_told(text):
    with pytest.raises(InvalidRequest):
        Asked.parse(text)


def test_the_champion_is_meant_by_a_plain_name_and_the_newest_where_there_is_none(tmp_path):
    folder = write(tmp_path / "m")
    for _ in range(2):
        adp.models.push(folder, "ctr.two", data=[])
    assert adp.models.show("ctr.two").entry.version == "2"
    adp.models.alias("ctr.two", "champion", 1)
    assert adp.models.show("ctr.two").entry.version == "1"
    assert adp.models.show("ctr.two@latest").entry.version == "2"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("ctr.deepfn", "Did you mean 'ctr.deepfm'"),
        ("ctr.deepfm:9", "no version '9'. There is: 1, 2."),
        ("ctr.deepfm@chalenger", "no alias 'chalenger'."),
    ],
)
def test_what_does_not_exist_is_told_with_what_does(asked, told, pushed):
    with pytest.raises(UnknownName) as raised:
        adp.models.show(asked)
    assert told in str(raised.value)


@pytest.mark.parametrize("alias", ["latest", "v3", "a b", "", "日本"])
def test_an_alias_that_mlflow_keeps_for_itself_or_refuses_is_told(alias, pushed):
    with pytest.raises(InvalidRequest, match="Such as 'champion'"):
        adp.models.alias(pushed, alias, 1)


def test_an_alias_of_a_version_that_does_not_exist_is_told(pushed):
    with pytest.raises(UnknownName, match="no version '7'"):
        adp.models.alias(pushed, "champion", 7)


def test_a_server_that_is_down_is_one_sentence(model):
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    for call in (
        lambda: adp.models.search("a"),
        lambda: adp.models.pull("ctr"),
        lambda: adp.models.push(model, "ctr", data=[]),
    ):
        with pytest.raises(TrackingFailed, match="can't be reached"):
            call()


def test_data_are_named_with_their_split_in_brackets():
    assert used(f"{DATA}[train[:50%]]") == Used.of(DATA, split="train[:50%]")
    assert used(DATA) == Used.of(DATA)


# ------------------------------------------------------------------------------------------- show and pull


def test_show_gives_the_lines_that_load_the_same_data(pushed):
    shown = adp.models.show(f"{pushed}:2")
    assert shown.loads == (f"adp.load('{DATA}', split='train[:50%]')", f"adp.load('{DATA}', split='test')")
    assert len(eval(shown.loads[1].replace(")", ", backend='pandas')"), {"adp": adp})) == 10  # noqa: S307


def test_show_gives_card_files_and_versions(pushed):
    shown = adp.models.show(f"{pushed}:1")
    assert shown.card == CARD
    assert {one.path: one.bytes for one in shown.files}["weights.bin"] == 5120
    assert shown.versions == (2, 1)


def test_pulled_twice_the_files_are_checked_and_mended(pushed):
    folder = adp.models.pull(pushed)
    (folder / "weights.bin").write_bytes(b"broken")
    assert adp.models.pull(pushed) == folder
    assert (folder / "weights.bin").stat().st_size == 5120


def test_a_folder_with_something_else_in_it_is_left_alone(pushed, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InvalidRequest, match=r"holds something else than ctr\.deepfm"):
        adp.models.pull(pushed, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_nothing_that_is_pulled_is_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    folder = write(tmp_path / "m", **{"model.pkl": pickle.dumps(Bomb())})
    adp.models.push(folder, "ctr.pickle", data=[])
    adp.models.pull("ctr.pickle")
    adp.models.show("ctr.pickle")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a\\..\\x"])
def test_a_manifest_that_names_a_file_outside_is_refused(path):
    with pytest.raises(DamagedData, match="wanted one below it"):
        files.checked([{"path": path, "bytes": 1, "checksum": "sha256:0"}], "model ctr:1")


# ------------------------------------------------------------------------------------------- the command line


def command(*words: str):
    return CliRunner().invoke(cli, ["models", *words])


def test_the_commands_push_search_alias_show_and_pull(model, tmp_path):
    done = command("push", str(model), "ctr.cli", "--metric", "auc=0.5", "--data", f"test={DATA}[test]")
    assert (done.exit_code, done.stdout.splitlines()[0].split(" in ")[0]) == (0, "ctr.cli:1"), done.output
    assert "ctr.cli:1" in command("search", "cli", "--metric", "auc>0.4").stdout
    assert command("alias", "ctr.cli", "champion", "1").stdout == "ctr.cli@champion is ctr.cli:1\n"
    shown = command("show", "ctr.cli").stdout
    assert f"adp.load('{DATA}', split='test')" in shown
    assert "# クリック率の予測" in shown
    done = command("pull", "ctr.cli", "--to", "here")
    assert done.stdout == f"{tmp_path / 'here'}\n"
    assert contents(tmp_path / "here") == contents(model)


def test_json_of_the_commands_can_be_read(pushed):
    [found] = json.loads(command("search", "deepfm", "--metric", "auc>0.7", "--json").stdout)
    assert (found["name"], found["data"][0]["digest"]) == (pushed, Used.of(DATA, split="train").digest)
    assert json.loads(command("show", pushed, "--json").stdout)["file_list"]
    assert Path(json.loads(command("pull", pushed, "--json").stdout)["folder"]).is_dir()


def test_a_dry_run_lists_the_files_and_sends_nothing(model):
    done = command("push", str(model), "ctr.dry", "--data", DATA, "--dry-run")
    assert "3 files, " in done.stdout
    assert "nothing was sent" in done.stdout
    assert "ctr.dry" not in {one.name for one in adp.models.search(limit=100)}


def test_errors_of_the_commands_are_one_line_with_code_2(model):
    for words in (("pull", "a/b"), ("show", "nowhere"), ("push", str(model), "x", "--data", "test/nothing:1.0.0")):
        done = command(*words)
        assert done.exit_code == 2
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_pull_that_was_killed_goes_on_with_what_is_whole_and_drops_the_rest(pushed, model, tmp_path):
    entry = adp.models.show(f"{pushed}:1").entry
    partial = tmp_path / f".here-{entry.model_id[-8:]}.partial"
    (partial / "variables").mkdir(parents=True)
    (partial / "weights.bin").write_bytes(b"half")
    (partial / "stray").write_bytes(b"x")
    assert contents(adp.models.pull(f"{pushed}:1", tmp_path / "here")) == contents(model)
    assert not partial.exists()
