"""A script that groups the product log by Dask: the same answer here, through submit, and while workers are killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import pytest
from distributed import Client
from lab import lab

import ailab_dataproc as adp

NAME = "products/ad_log/impressions"
SCRIPT = """
import json

import ailab_dataproc as adp

with adp.connect():
    columns = ["timestamp", "item", "clicked"]
    log = adp.load("products/ad_log/impressions", split="train", columns=columns, backend="dask")
    log["day"] = log["timestamp"].dt.day
    answer = {}
    for day in adp.progress(range(4, 32), what="days"):
        clicks = log[log["day"] == day].groupby("item")["clicked"].sum().compute()
        best = clicks[clicks == clicks.max()].index.min()
        answer[day] = [int(best), int(clicks[best]), len(clicks)]
print("answer:", json.dumps(answer))
"""
DAYS = 28


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """The data directory of a million impressions in four shards."""
    place = str(tmp_path_factory.mktemp("log"))
    sources = {"train": "synthetic:rows=1_000_000,seed=0", "test": "synthetic:rows=1000,seed=1"}
    adp.prepare(NAME, data_dir=place, sources=sources, formats=("parquet",))
    return place


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """In a project folder of its own."""
    place = tmp_path_factory.mktemp("project") / "groups.py"
    place.write_text(SCRIPT)
    return place


@pytest.fixture(scope="module")
def answer(log, script):
    """What the script says on this machine, as somebody runs it on a laptop."""
    environment = {**os.environ, "AILAB_DATA_DIR": log}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True, cwd=script.parent
    )
    return answered(done.stdout)


@pytest.fixture
def cluster(tmp_path, log, monkeypatch):
    """A lab with three workers, named w0 to w2, that the settings name."""
    (tmp_path / "lab").mkdir()
    with lab(tmp_path / "lab", workers=0) as made:
        for number in range(3):
            made.add_worker("--name", f"w{number}")
        with Client(made.address) as client:
            client.wait_for_workers(3, timeout=60)
        monkeypatch.setenv("AILAB_CLUSTER", made.address)
        monkeypatch.setenv("AILAB_DATA_DIR", log)
        monkeypatch.setenv("AILAB_JOBS_DIR", str(tmp_path / "jobs"))
        yield made


def answered(text):
    """The answer, which is told once."""
    (line,) = [one for one in text.splitlines() if one.startswith("answer:")]
    return line


def half_way(job, total=DAYS):
    """Wait until some of it is done, and some isn't; returns the address of the driver's worker."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        status = job.status()
        if status.is_over or (status.done or 0) >= 1:
            assert not status.is_over, job.logs()
            assert status.done < total
            return status.worker
        time.sleep(0.05)
    raise AssertionError(f"{job.status()}\n{job.logs()}")


def kill(cluster, names):
    """Kill workers, with their nannies."""
    for name in names:
        cluster.kill(cluster.workers[int(name.removeprefix("w"))])


def names_of(cluster):
    """Of the workers, by address."""
    with contextlib.closing(Client(cluster.address)) as client:
        return {address: one["name"] for address, one in client.scheduler_info(n_workers=-1)["workers"].items()}


def test_the_script_gives_the_same_answer_through_submit(cluster, script, answer):
    job = adp.submit(script)
    assert job.wait(180) == "succeeded", job.logs()
    assert answered(job.logs()) == answer


def test_the_answer_is_the_same_while_a_worker_is_killed(cluster, script, answer):
    names = names_of(cluster)
    job = adp.submit(script)
    driver = half_way(job)
    kill(cluster, [next(name for address, name in names.items() if address != driver)])
    assert job.wait(180) == "succeeded", job.logs()
    assert answered(job.logs()) == answer
    assert job.status().attempt == 1


def test_the_answer_is_the_same_after_the_worker_of_its_driver_is_killed(cluster, script, answer):
    names = names_of(cluster)
    job = adp.submit(script)
    kill(cluster, [names[half_way(job)]])
    assert job.wait(180) == "succeeded", job.logs()
    assert answered(job.logs()) == answer
    assert job.status().attempt == 2


def test_the_answer_is_the_same_where_only_the_worker_of_its_driver_is_left(cluster, script, answer):
    names = names_of(cluster)
    job = adp.submit(script)
    driver = half_way(job)
    kill(cluster, [name for address, name in names.items() if address != driver])
    assert job.wait(180) == "succeeded", job.logs()
    assert answered(job.logs()) == answer


def test_a_dataset_is_made_though_the_worker_of_the_driver_is_killed(cluster, log, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "slow.py").write_text(
        "import time\n\ndef shares(frame):\n    time.sleep(3)\n    return frame.assign(yen=frame['price'] * 100)\n"
    )
    names = names_of(cluster)
    job = adp.submit(
        "slow:shares", NAME, columns=["user", "price"], code=tmp_path / "project", output="test/yen", version="1.0.0"
    )
    kill(cluster, [names[half_way(job, 5)]])
    assert job.wait(180) == "succeeded", job.logs()
    assert job.status().attempt == 2
    found = adp.load("test/yen", backend="pandas", data_dir=log)
    wanted = adp.load(NAME, backend="pandas", columns=["user", "price"], data_dir=log)
    assert found.equals(wanted.assign(yen=wanted["price"] * 100))
