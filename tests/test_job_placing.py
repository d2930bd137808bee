"""Which worker a job runs on: slots, memory and GPUs, workers that join late, and workers that declare nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from distributed import Client
from lab import lab

import ailab_dataproc as adp
from ailab_dataproc.errors import InvalidRequest

WAIT = 60  # seconds that a job of these tests may take at most
JOBS = ("--no-nanny", "--nthreads", "4")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A scheduler without workers, to which jobs go."""
    (tmp_path / "lab").mkdir()
    (tmp_path / "code").mkdir()
    monkeypatch.chdir(tmp_path / "code")
    monkeypatch.setenv("AILAB_DATA_DIR", str(tmp_path / "data"))
    with lab(tmp_path / "lab", workers=0) as made:
        monkeypatch.setenv("AILAB_CLUSTER", made.address)
        yield made


@pytest.fixture
def join(cluster):
    """Start a worker and wait until it has joined; returns its process."""

    def joined(*options, **env):
        with Client(cluster.address, set_as_default=False) as client:
            count = len(client.scheduler_info(n_workers=-1)["workers"])
            worker = cluster.add_worker(*options, env=env)
            client.wait_for_workers(count + 1, timeout=WAIT)
        return worker

    return joined


def until(condition):
    """Wait for something that must come."""
    for _ in range(10 * WAIT):
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(condition)


def waiter():
    """A function as of a notebook, that runs until a file exists, and tells its worker."""

    def wait_for_file(path):
        while not os.path.exists(path):
            time.sleep(0.05)

    return wait_for_file


def begun(jobs):
    """Those that run."""
    return [job for job in jobs if job.state == "running"]


def test_a_worker_runs_as_many_jobs_as_it_has_slots(join, tmp_path):
    join(*JOBS, "--resources", "JOB=2")
    jobs = [adp.submit(waiter(), args=[str(tmp_path / "go")], name=f"n{number}") for number in range(4)]
    until(lambda: len(begun(jobs)) == 2)
    time.sleep(1)
    assert sorted(job.state for job in jobs) == ["queued", "queued", "running", "running"]
    (tmp_path / "go").touch()
    assert [job.wait(WAIT) for job in jobs] == ["succeeded"] * 4


def test_a_worker_that_joins_late_takes_jobs_that_wait_on_a_full_one(join, tmp_path):
    join(*JOBS, "--resources", "JOB=1")
    jobs = [adp.submit(waiter(), args=[str(tmp_path / "go")]) for _ in range(4)]
    until(lambda: len(begun(jobs)) == 1)
    join(*JOBS, "--resources", "JOB=3")
    until(lambda: len(begun(jobs)) == 4)
    (tmp_path / "go").touch()
    assert [job.wait(WAIT) for job in jobs] == ["succeeded"] * 4


def test_a_job_runs_where_a_slot_is_free(join, tmp_path):
    for _ in range(2):
        join(*JOBS, "--resources", "JOB=2")
    jobs = []
    for _ in range(4):  # one after another, so that the scheduler sees no load
        jobs.append(adp.submit(waiter(), args=[str(tmp_path / "go")]))
        time.sleep(0.3)
    until(lambda: len(begun(jobs)) == 4)
    (tmp_path / "go").touch()
    assert [job.wait(WAIT) for job in jobs] == ["succeeded"] * 4


def test_a_job_may_wait_for_a_worker_with_a_gpu(join):
    join(*JOBS)
    with pytest.raises(InvalidRequest, match="no worker has 1 GPU: the largest has no GPU"):
        adp.submit(lambda: 1, gpus=1)
    job = adp.submit(lambda: 1, gpus=1, wait_for_workers=True)
    assert (job.state, job.status().why) == (
        "queued",
        "waiting for a worker with JOB=1 and GPU=1: none has that",
    )
    join(*JOBS, "--resources", "JOB=4 GPU=1")
    assert job.result(WAIT) == 1


def test_a_job_may_wait_for_a_worker_with_enough_memory(join):
    join(*JOBS, "--memory-limit", "1GB")
    with pytest.raises(InvalidRequest, match=r"no worker has 2.0 GB of memory: the largest has 1.0 GB of memory"):
        adp.submit(lambda: 1, memory="2GB")
    job = adp.submit(lambda: 1, memory="2GB", wait_for_workers=True)
    assert job.state == "queued"
    join(*JOBS, "--memory-limit", "3GB")  # declares nothing itself
    assert job.result(WAIT) == 1


def test_a_job_waits_for_the_first_worker(join):
    with pytest.raises(InvalidRequest, match="the cluster has no worker"):
        adp.submit(lambda: 1)
    job = adp.submit(lambda: 1, wait_for_workers=True)
    assert job.status().why == "waiting for a worker: the cluster has none"
    join(*JOBS)
    assert job.result(WAIT) == 1


def test_a_worker_that_was_given_a_gpu_declares_it(join):
    join(*JOBS, CUDA_VISIBLE_DEVICES="1,0")
    assert adp.submit(lambda: os.environ["CUDA_VISIBLE_DEVICES"], gpus=1).result(WAIT) == "1"


def test_what_a_worker_has_beside_is_kept(join, cluster):
    join(*JOBS, "--resources", "LICENCE=2")
    adp.submit(lambda: 1).result(WAIT)
    with Client(cluster.address, set_as_default=False) as client:
        (worker,) = client.scheduler_info()["workers"].values()
    assert worker["resources"]["LICENCE"] == 2
    assert worker["resources"]["JOB"] == 4


def test_a_job_with_a_higher_priority_starts_first(join, tmp_path):
    join(*JOBS, "--resources", "JOB=1")
    first = adp.submit(waiter(), args=[str(tmp_path / "go")])
    until(lambda: first.state == "running")

    def tell(name):
        with open(tmp_path / "order", "a") as file:
            file.write(f"{name} ")

    jobs = [adp.submit(tell, args=[name], priority=rank) for name, rank in (("low", -1), ("usual", 0), ("high", 1))]
    (tmp_path / "go").touch()
    for job in jobs:
        job.result(WAIT)
    assert (tmp_path / "order").read_text() == "high usual low "


def test_the_loss_of_workers_is_no_fault_of_a_job_that_waits(join, cluster, tmp_path):
    workers = [join(*JOBS, "--resources", "JOB=1")]
    running = adp.submit(waiter(), args=[str(tmp_path / "go")], restarts=10)
    until(lambda: running.state == "running")
    waiting = adp.submit(lambda: "at last")
    for _ in range(5):  # more than Dask's allowed-failures
        cluster.kill(workers.pop())
        workers.append(join(*JOBS, "--resources", "JOB=1"))
        until(lambda: any(job.state == "running" for job in (running, waiting)) or waiting.state == "succeeded")
    Path(tmp_path / "go").touch()
    assert waiting.result(WAIT) == "at last"
    assert running.wait(WAIT) == "succeeded"
