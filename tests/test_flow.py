"""Flow: steps run again when what made their results changed, and only then."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import importlib.util
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from enum import Enum
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lab import wait_until

import ailab_dataproc as adp
from ailab_dataproc.errors import InvalidRequest, TrackingFailed, UnknownName

STEPS = """
import json

def prepare(rows, out):
    (out / "rows.json").write_text(json.dumps(list(range(rows))))
    return out / "rows.json"

def train(rows, lr, out):
    total = sum(json.loads(rows.read_text()))
    (out / "model.json").write_text(json.dumps(scaled(total, lr)))
    return {"model": out / "model.json", "rows": 3}

def scaled(total, lr):
    return total * lr

def evaluate(model, rows):
    return {"auc": json.loads(model["model"].read_text())}
"""
LATER = """
import sys
sys.path.insert(0, sys.argv[1])
import steps
import ailab_dataproc as adp
flow = adp.Flow(sys.argv[2], quiet=True)
rows = flow(steps.prepare, 3)
flow(steps.evaluate, flow(steps.train, rows, lr=0.1), rows)
print([one.label for one in flow.steps if one.ran])
"""


class Colour(Enum):
    RED = 1


@dataclasses.dataclass
class Options:
    depth: int
    names: list[str]


def same(value):
    return "done"


def returned(value):
    return value


def add(x, y=1, *more, **named):
    return x + y


@pytest.fixture
def load(tmp_path):
    """A module made of a text, as a script's author leaves it: `load(text, name="steps")`."""
    made = []

    def loaded(text, name="steps"):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 - the byte code of a file of the same age may be stale
        made.append(name)
        return module

    yield loaded
    for name in made:
        sys.modules.pop(name, None)


@pytest.fixture
def flow(tmp_path):
    """A new flow in the same folder: `flow()`."""
    return lambda **given: adp.Flow(tmp_path / "flow", quiet=True, **given)


def experiment(flow, steps, lr=0.1, rows=3):
    """Run it, and tell which steps ran."""
    data = flow(steps.prepare, rows)
    flow(steps.evaluate, flow(steps.train, data, lr=lr), data)
    return ran(flow)


def ran(flow):
    return [one.label for one in flow.steps if one.ran]


def key(value, flow):
    """The key of a step with a value."""
    made = flow()
    made(same, value)
    return made.steps[0].record.key


# What runs again


def test_a_changed_parameter_runs_only_the_later_steps_again(flow, load):
    steps = load(STEPS)
    assert experiment(flow(), steps) == ["prepare", "train", "evaluate"]
    assert experiment(flow(), steps) == []
    assert experiment(flow(), steps, lr=0.2) == ["train", "evaluate"]
    assert experiment(flow(), steps) == []  # what was before is still there


def test_another_process_remembers(flow, load, tmp_path):
    experiment(flow(), load(STEPS))
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", LATER, str(tmp_path), str(tmp_path / "flow")],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "[]"


def test_comments_and_documentation_change_nothing(flow, load):
    experiment(flow(), load(STEPS))
    text = STEPS.replace("def train(rows, lr, out):", 'def train(rows, lr, out):\n    """Trains."""\n    # slowly')
    assert experiment(flow(), load(text)) == []


def test_a_changed_helper_runs_what_uses_it_again(flow, load):
    experiment(flow(), load(STEPS))
    made = flow()
    assert experiment(made, load(STEPS.replace("total * lr", "total * lr + 1"))) == ["train", "evaluate"]
    assert "train: ran, code of steps.scaled changed" in made.explain()


def test_a_helper_of_another_module_counts(flow, load):
    helpers = "def clean(x):\n    return x + 1\n\ndef other(x):\n    return x\n"
    steps = "import helpers\ndef run(x):\n    return helpers.clean(x)\n"
    load(helpers, "helpers")
    assert flow()(load(steps).run, 1) == 2
    load(helpers.replace("return x\n", "return -x\n"), "helpers")
    made = flow()
    assert made(load(steps).run, 1) == 2
    assert ran(made) == []
    load(helpers.replace("x + 1", "x + 2"), "helpers")
    assert flow()(load(steps).run, 1) == 3


def test_a_module_that_is_imported_within_a_step_counts(flow, load, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    steps = load("def run(x):\n    from late import clean\n    return clean(x)\n")
    for text, found in (("x + 1", 2), ("x + 2", 3)):
        (tmp_path / "late.py").write_text(f"def clean(x):\n    return {text}\n")
        sys.modules.pop("late", None)
        importlib.invalidate_caches()
        os.utime(tmp_path / "late.py", (found, found))
        assert flow()(steps.run, 1) == found
    sys.modules.pop("late", None)


def test_a_global_and_a_default_count_by_their_values(flow, load):
    text = "RATE = 2\ndef run(x, y=1):\n    return x * RATE + y\n"
    assert flow()(load(text).run, 1) == 3
    assert flow()(load(text.replace("RATE = 2", "RATE = 3")).run, 1) == 4
    assert flow()(load(text.replace("y=1", "y=5")).run, 1) == 7


def test_the_methods_of_a_class_count(flow, load):
    text = "class Model:\n    def fit(self, x):\n        return x\n\ndef run(x):\n    return Model().fit(x)\n"
    assert flow()(load(text).run, 1) == 1
    assert flow()(load(text.replace("return x\n\n", "return -x\n\n")).run, 1) == -1


def test_the_methods_of_a_dataclass_that_is_given_count(flow, load):
    text = (
        "from dataclasses import dataclass\n@dataclass\nclass Options:\n    depth: int = 1\n"
        "    def wide(self):\n        return self.depth * 2\n\ndef run(options):\n    return options.wide()\n"
    )
    found = []
    for one in (text, text.replace("* 2", "* 3")):
        steps = load(one)
        found.append(flow()(steps.run, steps.Options()))
    assert found == [2, 3]


def test_a_class_that_a_library_has_built_has_one_key_in_every_process(tmp_path):
    (tmp_path / "models.py").write_text(
        "import sys, ailab_dataproc as adp\nfrom pydantic import BaseModel\n"
        "class Options(BaseModel):\n    depth: int = int(sys.argv[1])\n    kinds: set = {'a', 'b', 'c'}\n"
        "def run():\n    return Options().depth\n"
        "flow = adp.Flow('flow', quiet=True)\nprint(flow(run), flow.steps[0].record.key)\n"
    )
    found = []
    for seed, depth in (("1", "1"), ("2", "1"), ("2", "5")):
        given = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "models.py", depth]
        done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, check=True)
        found.append(done.stdout.split())
    assert found[0] == found[1] != found[2]
    assert found[2][0] == "5"


def test_a_step_that_gives_the_same_again_lets_later_ones_rest(flow, load):
    experiment(flow(), load(STEPS))
    text = STEPS.replace("list(range(rows))", "[one for one in range(rows)]")
    assert experiment(flow(), load(text)) == ["prepare"]


def test_a_step_whose_file_is_gone_runs_again(flow, load, tmp_path):
    steps = load(STEPS)
    experiment(flow(), steps)
    next((tmp_path / "flow" / "train").rglob("model.json")).unlink()
    made = flow()
    assert experiment(made, steps) == ["train"]  # and what it gives is as before
    assert "train: ran, model.json is gone" in made.explain()


def test_a_step_whose_file_was_changed_runs_again(flow, load, tmp_path):
    steps = load(STEPS)
    experiment(flow(), steps)
    file = next((tmp_path / "flow" / "train").rglob("model.json"))
    before = file.read_text()
    file.write_text(before[::-1])
    assert experiment(flow(), steps) == ["train"]
    assert file.read_text() == before


def test_a_record_that_was_cut_does_not_count(flow, load, tmp_path):
    steps = load(STEPS)
    experiment(flow(), steps)
    record = next((tmp_path / "flow" / "train").rglob("step.json"))
    record.write_bytes(record.read_bytes()[:50])
    assert experiment(flow(), steps) == ["train"]


def test_a_file_counts_by_its_content(flow, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("one")
    made = [key(file, flow)]
    os.utime(file, (1, 1))
    made.append(key(file, flow))
    file.write_text("two")
    made.append(key(file, flow))
    assert made[0] == made[1] != made[2]


def test_a_new_version_of_a_dataset_runs_the_step_again(flow, make, data_dir, monkeypatch):
    monkeypatch.setenv("AILAB_DATA_DIR", data_dir)
    make()
    flow()(same, "test/clicks:1.*")
    made = flow()
    made(same, "test/clicks:1.*")
    assert ran(made) == []
    make(version="1.1.0")
    made = flow()
    made(same, "test/clicks:1.*")
    assert ran(made) == ["same"]
    assert [one.reference for one in made.steps[0].data] == ["test/clicks:1.1.0"]


def test_a_plan_counts_by_its_rows(flow, make, data_dir):
    make()
    plans = [adp.plan("test/clicks", split=split, data_dir=data_dir) for split in ("train", "train", "train[:50%]")]
    keys = [key(one, flow) for one in plans]
    assert keys[0] == keys[1] != keys[2]


def test_a_failing_step_leaves_nothing_behind(flow):
    def fails(out):
        (out / "half").write_text("half")
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            flow()(fails)


def test_a_step_that_was_killed_half_way_runs_again(flow, tmp_path):
    code = (
        "import sys, time, pathlib\nimport ailab_dataproc as adp\n"
        "def slow(out):\n"
        "    (out / 'half').write_text('half')\n"
        "    if not pathlib.Path(sys.argv[2]).exists(): time.sleep(600)\n"
        "    (out / 'whole').write_text('whole')\n"
        "    return sorted(one.name for one in out.iterdir())\n"
        "print(adp.Flow(sys.argv[1])(slow))"
    )
    (tmp_path / "script.py").write_text(code)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "flow"), str(tmp_path / "go")]
    with subprocess.Popen(command) as process:
        wait_until(lambda: list((tmp_path / "flow").rglob("half")))
        process.send_signal(signal.SIGKILL)
    (tmp_path / "go").touch()
    (left,) = (one.parent for one in (tmp_path / "flow").rglob("half"))
    (left / "left").write_text("of before")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['half', 'whole']"
    assert "slow: runs" in done.stderr


def test_two_at_once_make_one_result(flow, tmp_path):
    log = tmp_path / "log"

    def slow(path, out):
        with open(path, "a") as file:
            file.write("ran\n")
        time.sleep(0.5)
        return "done"

    found = []
    threads = [threading.Thread(target=lambda: found.append(flow()(slow, str(log)))) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == ["done"] * 3
    assert log.read_text() == "ran\n"


# What a value is known by


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (math.nan, float("nan")),
        (0.0, -0.0),
        (0.5, np.float64(0.5)),
        (3, np.int64(3)),
        (True, np.bool_(True)),
        ([1, 2], [np.int32(1), 2]),
        ("a", np.str_("a")),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, collections.OrderedDict(a=1)),
        ({"b", "a", "c"}, {"c", "a", "b"}),
        (Options(1, ["a"]), Options(1, ["a"])),
        (list(range(1_000_000)), list(range(1_000_000))),
        (partial(add, 1), partial(add, 1)),
    ],
)
def test_equal_values_have_equal_keys(one, other, flow):
    assert key(one, flow) == key(other, flow)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (1, "1"),
        (None, "None"),
        ([1], (1,)),
        ([1, 2], [2, 1]),
        ([[1], [2]], [[1, 2]]),
        ({"a": 1}, {"a": 2}),
        ({1: "a"}, {"1": "a"}),
        ("a", b"a"),
        (Colour.RED, 1),
        (Options(1, ["a"]), Options(1, ["b"])),
        (datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1)),
        (partial(add, 1), partial(add, 2)),
        (add, same),
    ],
)
def test_other_values_have_other_keys(one, other, flow):
    assert key(one, flow) != key(other, flow)


def test_it_does_not_matter_how_an_argument_is_given(flow):
    made = flow()
    for one in (lambda: made(add, 1), lambda: made(add, x=1, y=1), lambda: made(partial(add, 1), 1)):
        assert one() == 2
    assert ran(made) == ["add"]


class Scaler:
    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x * self.by

    def scale(self, x):
        return x * self.by


@dataclasses.dataclass
class Scale:
    by: int

    def __call__(self, x):
        return x * self.by


def test_an_object_that_is_called_counts_with_what_it_holds(flow):
    assert [flow()(Scale(by), 3) for by in (2, 5)] == [6, 15]
    for step in (Scaler(2), Scaler(2).scale):
        with pytest.raises(InvalidRequest, match="whose method it is: a step can't be remembered on a Scaler"):
            flow()(step, 3)


def test_what_has_no_lasting_value_is_refused_with_a_sentence(flow, tmp_path):
    lock = threading.Lock()
    itself = []
    itself.append(itself)
    with open(tmp_path / "a", "w") as file:
        for value, told in (
            (pd.DataFrame({"a": [1]}), r"remembered on a DataFrame\. Pass a dataset's name"),
            (file, r"remembered on a TextIOWrapper\. Pass its Path"),
            ([1, {"x": object()}], r"argument 'value', item 1, 'x': a step can't be remembered on a object"),
            (lambda: lock, r"captures as 'lock': a step can't be remembered on a lock\."),
            ((one for one in ()), r"on a generator\. Pass a list"),
            (np.arange(3), r"on a ndarray\. Pass the Path of a file, or \.tolist\(\)"),
            (itself, "holds itself"),
            (tmp_path / "gone", "there is no file"),
        ):
            with pytest.raises(InvalidRequest, match=told):
                flow()(same, value)


def test_a_call_that_does_not_fit_is_told_in_one_sentence(flow):
    for call, told in (
        (lambda: flow()(add), "add: missing a required argument: 'x'"),
        (lambda: flow()(3), "wanted a function"),
        (lambda: flow()(same, 1, out="here"), "out is the folder that the flow gives"),
    ):
        with pytest.raises(InvalidRequest, match=told):
            call()
    with pytest.raises(UnknownName, match="Did you mean 'cluster'"):
        flow()(same, 1, on="clustr")


# What a step gives


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [1, 2.5, True, None],
        (1, (2, [3])),
        {"a": {"b": {1, 2}}},
        {1: "a", (1, 2): "b"},
        {"$path": "no path"},
        math.inf,
        b"\x00\xff",
        datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC),
        datetime.date(2026, 1, 2),
    ],
)
def test_a_result_is_the_same_when_it_is_remembered(value, flow):
    for _ in range(2):
        found = flow()(returned, value)
        assert (found, type(found)) == (value, type(value))


def test_a_result_that_is_no_number_is_remembered(flow):
    flow()(returned, math.nan)
    made = flow()
    assert math.isnan(made(returned, math.nan))
    assert ran(made) == []


def test_a_result_that_can_not_be_kept_is_refused(flow, tmp_path):
    def frame():
        return pd.DataFrame({"a": [1]})

    def outside(path):
        return Path(path)

    with pytest.raises(InvalidRequest, match="frame: its result: a DataFrame can't be kept"):
        flow()(frame)
    with pytest.raises(InvalidRequest, match="lies outside the flow's folder"):
        flow()(outside, str(tmp_path))


def test_secrets_are_not_written(flow, tmp_path):
    def login(user, password):
        return user

    made = flow()
    made(login, "me", password="hunter2")  # noqa: S106 - what is looked for
    made(same, "https://me:hunter2@host/x?token=hunter2")
    page = made.report(tmp_path / "page.html")
    files = [one for one in (*(tmp_path / "flow").rglob("*"), page) if one.is_file()]
    assert not [one for one in files if "hunter2" in one.read_text()]


def test_prune_keeps_what_this_run_used(flow, load, tmp_path):
    steps = load(STEPS)
    for lr in (0.1, 0.2, 0.3):
        made = flow()
        experiment(made, steps, lr=lr)
    assert len(made.prune(keep=1)) == 2
    assert len(made.prune()) == 2
    assert experiment(flow(), steps, lr=0.3) == []
    with pytest.raises(InvalidRequest, match="no step was called"):
        flow().prune()


def test_a_flow_in_a_bucket_is_remembered_on_another_machine(bucket, load, monkeypatch, tmp_path):
    steps = load(STEPS)
    assert experiment(adp.Flow(f"{bucket}/flows/ctr", quiet=True), steps) == ["prepare", "train", "evaluate"]
    settings = Path(os.environ["AILAB_SETTINGS"])
    settings.write_text(settings.read_text().replace("/cache", "/cache-of-another"))
    made = adp.Flow(f"{bucket}/flows/ctr", quiet=True)
    assert experiment(made, steps) == []
    assert json.loads(made.steps[1].result["model"].read_text()) == pytest.approx(0.3)


# What is told


def test_the_reason_is_told(flow, load, capsys):
    steps = load(STEPS)
    experiment(flow(), steps)
    made = flow()
    made._quiet = False
    experiment(made, steps, lr=0.2)
    assert made.explain().splitlines()[1:] == [
        "train: ran, lr 0.1 → 0.2",
        "evaluate: ran, model has other content, by train",
    ]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("flow: prepare: remembered")
    assert lines[1] == "flow: train: runs: lr 0.1 → 0.2"


def test_the_graph_is_drawn_for_mermaid(flow, load):
    made = flow()
    experiment(made, load(STEPS))
    lines = made.mermaid().splitlines()
    assert lines[0] == "flowchart LR"
    assert re.fullmatch(r' {4}n0\["prepare<br/>ran, .* s"\]', lines[1])
    assert {one.strip() for one in lines[4:]} == {"n0 --> n1", "n0 --> n2", "n1 --> n2"}


def test_a_plan_comes_from_the_step_that_prepared_its_version(flow, make, data_dir, monkeypatch):
    monkeypatch.setenv("AILAB_DATA_DIR", data_dir)

    def prepare():
        return "test/clicks:1.0.0"

    make()
    made = flow()
    name = made(prepare)
    made(same, adp.plan(name, split="train"))
    assert "n0 --> n1" in made.mermaid()


def test_the_page_shows_the_run_and_loads_nothing(flow, make, data_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("AILAB_DATA_DIR", data_dir)
    make()
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

    def draw(data, note, out):
        (out / "curve.svg").write_text(svg)
        return {"curve": out / "curve.svg", "auc": 0.75}

    made = flow(name="<ctr>")
    made(draw, "test/clicks:1.0.0", "<script>alert(1)</script>")
    (tmp_path / "own.svg").write_text(svg)
    text = made.report(tmp_path / "page.html", figures={"Own": tmp_path / "own.svg"}).read_text()
    text = text.replace("&#39;", "'")
    assert "<script" not in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert re.search(r"default-src 'none'; img-src data:; style-src 'sha256-", text)
    assert text.count("data:image/svg+xml;base64,") == 2
    for told in ("draw: curve", "Own", "0.75", "adp.load('test/clicks:1.0.0')", "&lt;ctr&gt;"):
        assert told in text


def test_a_figure_that_is_none_is_refused(flow, tmp_path):
    for figure, told in (("a.txt", "is no picture"), ("gone.png", "there is no file"), (3, "wanted a Matplotlib")):
        with pytest.raises(InvalidRequest, match=told):
            flow().report(tmp_path / "page.html", figures={"x": figure})
    assert not (tmp_path / "page.html").exists()


# Tracking


@pytest.fixture
def tracked(tmp_path, monkeypatch):
    """MLflow with a store of its own."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield mlflow
    mlflow.set_tracking_uri(before)


def test_one_run_tells_of_all_steps(flow, load, tracked, make, data_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("AILAB_DATA_DIR", data_dir)
    make()
    steps = load(STEPS)
    experiment(flow(), steps)
    made = flow(track=True)
    made(same, "test/clicks:1.0.0")
    experiment(made, steps, lr=0.2)
    made.report(tmp_path / "page.html")
    (run,) = tracked.search_runs(output_format="list")
    assert run.info.status == "FINISHED"
    assert run.data.params["train.lr"] == "0.2"
    assert run.data.metrics["auc"] == pytest.approx(0.6)
    assert run.data.tags["flow.prepare"].startswith("remembered")
    assert run.data.tags["flow.train"].startswith("ran: lr 0.1 → 0.2")
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["test/clicks:1.0.0"]
    found = {one.path for one in tracked.MlflowClient().list_artifacts(run.info.run_id)}
    assert found == {"flow.mmd", "page.html"}


def test_an_active_run_is_used(flow, tracked):
    def logs():
        tracked.log_metric("own", 1)
        return {"auc": 0.5}

    with tracked.start_run() as run:
        flow()(logs)
    flow()(same, 2)
    (found,) = tracked.search_runs(output_format="list")
    assert found.info.run_id == run.info.run_id
    assert found.data.metrics["own"] == 1
    assert found.data.metrics["auc"] == 0.5


def test_a_server_that_is_down_does_not_stop_the_flow(flow, tracked):
    tracked.set_tracking_uri("http://127.0.0.1:9")
    made = flow(track=True)
    with pytest.warns(UserWarning, match="can't be reached") as told:
        assert [made(add, 1), made(add, 2)] == [2, 3]
    assert len(told) == 1


def test_a_model_counts_by_the_version_that_its_alias_means_now(flow, tracked):
    client = tracked.MlflowClient()
    client.create_registered_model("ctr")
    keys = []
    for number in (1, 2):
        client.create_model_version("ctr", "file:///nowhere")
        client.set_registered_model_alias("ctr", "champion", str(number))
        keys += [key("models:/ctr@champion", flow), key(f"models:/ctr/{number}", flow)]
    assert keys[0] == keys[1] != keys[2] == keys[3]
    with pytest.raises(TrackingFailed, match="model ctr@best: "):
        flow()(same, "models:/ctr@best")


# Clusters


def test_a_heavy_step_runs_with_a_client(flow):
    def address():
        from distributed import Client

        return Client.current().scheduler.address

    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        made = flow()
        assert made(address, on="cluster") == client.scheduler.address


def test_a_step_within_a_dask_task_is_refused(flow, tmp_path):
    from distributed import Client

    def nested(folder):
        return adp.Flow(folder)(same, 1)

    with (
        Client(n_workers=1, processes=False, dashboard_address=None) as client,
        pytest.raises(InvalidRequest, match="in a Dask task"),
    ):
        client.submit(nested, str(tmp_path / "flow")).result()


JOBS = """
import sys, time
from pathlib import Path
import ailab_dataproc as adp

def train(lr, go, out):
    (out / "began").touch()
    while not Path(go).exists():
        time.sleep(0.05)
    (out / "model.txt").write_text(str(lr))
    return {"model": out / "model.txt", "lr": lr}

if __name__ == "__main__":
    print(adp.Flow(sys.argv[1])(train, 0.5, sys.argv[2], on={"name": "train"}))
"""


def test_a_second_run_comes_back_to_the_job_that_the_first_left(start, tmp_path):
    start()
    project = tmp_path / "project"
    project.mkdir()
    (project / "run.py").write_text(JOBS)
    command = [sys.executable, str(project / "run.py"), str(tmp_path / "flow"), str(tmp_path / "go")]
    with subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: list((tmp_path / "flow").rglob("began")))
        process.send_signal(signal.SIGINT)
        assert "goes on; run this again to come back to it" in process.communicate()[1]
    (tmp_path / "go").touch()
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert "as job" in done.stderr
    assert "'lr': 0.5" in done.stdout
    assert len(adp.list_jobs()) == 1
    again = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert "remembered" in again.stderr


BUCKET = """
import sys
import ailab_dataproc as adp

def prepare(out):
    (out / "rows.txt").write_text("3")
    return {"rows": out / "rows.txt"}

def train(data, out):
    (out / "model.txt").write_text(data["rows"].read_text() * 2)
    return out / "model.txt"

if __name__ == "__main__":
    flow = adp.Flow(sys.argv[1])
    print(flow(train, flow(prepare), on="job").read_text())
"""


def test_a_job_of_a_flow_in_a_bucket_gets_and_gives_files(start, bucket, tmp_path, monkeypatch):
    lab = start()
    project = tmp_path / "project"
    project.mkdir()
    (project / "run.py").write_text(BUCKET)
    settings = Path(os.environ["AILAB_SETTINGS"])
    other = tmp_path / "other.yaml"  # another cache than that of the workers
    other.write_text(settings.read_text().replace("/cache", "/cache-of-another"))
    command = [sys.executable, str(project / "run.py"), f"{bucket}/flows/ctr"]
    given = os.environ | {"AILAB_SETTINGS": str(other), "AILAB_CLUSTER": lab.address}
    done = subprocess.run(command, cwd=project, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "33"
