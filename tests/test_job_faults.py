"""Faults of a real cluster while jobs run: workers that die, freeze or are full, clients and schedulers that go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from lab import alive, wait_until

import ailab_dataproc as adp
from ailab_dataproc.errors import JobFailed

PROJECT = Path(__file__).with_name("job_project")
PLAIN, NANNY = "--no-nanny", "--nanny"
SLOTS = ("--resources", "JOB=2")
ONE_SLOT = (PLAIN, "--resources", "JOB=1")


@pytest.fixture
def submit(tmp_path):
    """Submit a function of the project that works with the test's folder."""

    def submitted(function, *args, **given):
        return adp.submit(f"faults:{function}", args=[str(tmp_path), *args], code=PROJECT, **given)

    return submitted


@pytest.fixture
def begun(tmp_path):
    """Wait until so many processes of jobs have begun, and return their ids."""

    def found(number=1):
        return wait_until(lambda: len(pids := [int(p.name[6:]) for p in tmp_path.glob("began-*")]) >= number and pids)

    return found


@pytest.fixture
def go(tmp_path):
    """Let all jobs that wait go on."""
    return (tmp_path / "go").touch


def running(job):
    wait_until(lambda: job.status().worker)
    return job.status()


@pytest.mark.parametrize("nanny", [PLAIN, NANNY])
def test_a_job_whose_worker_is_killed_runs_again_on_another(start, submit, begun, go, nanny):
    lab = start(2, nanny, *SLOTS)
    job = submit("wait")
    (first,) = begun()
    wait_until(lambda: "began" in job.logs())
    lab.kill(lab.process_at(running(job).worker))
    assert len(begun(2)) == 2
    wait_until(lambda: not alive(first))
    go()
    assert job.result(timeout=60) == 42
    status = job.status()
    assert (status.state, status.attempt) == ("succeeded", 2)
    assert [job.logs().count(f"began {pid}\n") for pid in begun(2)] == [1, 1]


def test_a_job_without_restarts_whose_worker_is_killed_is_lost_with_what_to_do(start, submit, begun):
    lab = start(2)
    job = submit("wait", restarts=0)
    (first,) = begun()
    lab.kill(lab.process_at(running(job).worker))
    assert job.wait(timeout=60) == "lost"
    wait_until(lambda: not alive(first))
    assert len(begun()) == 1
    with pytest.raises(JobFailed, match=r"worker.*restart"):
        job.result()


def test_a_job_goes_on_when_a_worker_that_only_computes_its_tasks_is_killed(start, submit, begun, go):
    lab = start(3, NANNY, *SLOTS)
    job = submit("with_tasks")
    begun()
    lab.kill(next(one for one in lab.workers if one is not lab.process_at(running(job).worker)))
    go()
    assert job.result(timeout=60) == 28
    assert job.status().attempt == 1


def test_a_retired_worker_gives_its_jobs_to_another(start, submit, begun, go):
    lab = start(2)
    job = submit("wait")
    (first,) = begun()
    with lab.client() as client:
        client.retire_workers([running(job).worker])
    assert len(begun(2)) == 2
    wait_until(lambda: not alive(first))
    go()
    assert job.result(timeout=60) == 42


@pytest.mark.parametrize("nanny", [PLAIN, NANNY])
def test_a_worker_that_is_asked_to_end_gives_its_jobs_to_another(start, submit, begun, go, nanny):
    lab = start(2, nanny, *SLOTS)
    job = submit("wait")
    (first,) = begun()
    os.kill(lab.process_at(running(job).worker).pid, signal.SIGTERM)
    assert len(begun(2)) == 2
    wait_until(lambda: not alive(first))
    go()
    assert job.result(timeout=60) == 42


def test_queued_jobs_outlive_any_number_of_workers(start, submit, begun, go):
    lab = start(1, *ONE_SLOT)
    first, second = submit("wait", restarts=9), submit("wait")
    for number in range(5):  # Dask itself gives up a task whose fourth worker dies
        begun(number + 1)
        lab.kill(lab.workers[-1])
        lab.add_worker(*ONE_SLOT)
    begun(6)
    assert second.state == "queued"
    go()
    assert [first.result(timeout=60), second.result(timeout=60)] == [42, 42]
    assert first.status().attempt == 6


@pytest.mark.parametrize("declared", [("--resources", "JOB=2"), ("--nthreads", "2")], ids=["job slots", "threads"])
def test_a_worker_that_joins_late_takes_queued_jobs(start, submit, begun, go, declared):
    lab = start(1, *ONE_SLOT, "--nthreads", "8")
    jobs = [submit("wait") for _ in range(3)]
    begun()
    assert sorted(job.state for job in jobs) == ["queued", "queued", "running"]
    lab.add_worker("--no-nanny", *declared)
    begun(3)
    go()
    assert [job.result(timeout=60) for job in jobs] == [42] * 3
    assert len({job.status().worker for job in jobs}) == 2


def test_a_job_without_any_worker_begins_with_the_first(start, submit, begun, go):
    lab = start(0)
    job = submit("wait", wait_for_workers=True)
    assert (job.state, job.status().why) == ("queued", "waiting for a worker: the cluster has none")
    lab.add_worker("--no-nanny", "--nthreads", "2")
    begun()
    go()
    assert job.result(timeout=60) == 42


def test_a_job_waits_for_a_worker_with_what_it_needs(start, submit, begun, go):
    lab = start(1)
    job = submit("wait", gpus=1, wait_for_workers=True)
    assert job.state == "queued"
    lab.add_worker("--no-nanny", "--resources", "JOB=1 GPU=1")
    begun()
    go()
    assert job.result(timeout=60) == 42


def test_a_worker_out_of_memory_keeps_its_running_job_and_its_queued_ones_go_to_another(start, submit, begun, go):
    few = {"DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "0.5", "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False"}
    lab = start(1, *ONE_SLOT, "--memory-limit", "1GB", env=few)
    first = submit("wait")
    begun()
    second = submit("wait")
    with lab.client() as client:
        client.run(lambda dask_worker: setattr(dask_worker, "ballast", bytes([1]) * 600_000_000))
        wait_until(lambda: {one["status"] for one in client.scheduler_info()["workers"].values()} == {"paused"})
    third = submit("wait")
    lab.add_worker("--no-nanny", "--resources", "JOB=2")
    begun(3)
    go()
    assert [job.result(timeout=60) for job in (first, second, third)] == [42] * 3
    assert first.status().attempt == 1
    assert second.status().worker == third.status().worker != first.status().worker


@pytest.mark.parametrize("nanny", [PLAIN, pytest.param(NANNY, marks=pytest.mark.slow)])
def test_of_a_job_whose_worker_was_cut_off_and_came_back_one_attempt_ends(start, submit, begun, go, nanny):
    lab = start(2, nanny, *SLOTS, env={"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"})
    job = submit("wait", restarts=20)  # on a busy machine 5 s may pass for the other worker, too
    (first,) = begun()
    frozen = lab.process_at(running(job).worker)
    lab.freeze(frozen)
    begun(2)
    lab.thaw(frozen)
    wait_until(lambda: not alive(first))
    go()
    assert job.result(timeout=60) == 42
    assert job.status().attempt >= 2


def test_a_scheduler_that_starts_anew_loses_no_finished_job_and_the_others_can_be_restarted(
    start, submit, begun, go, tmp_path
):
    lab = start(1, *ONE_SLOT)
    done = adp.submit("faults:once", args=[str(tmp_path), 7], code=PROJECT)
    assert done.result(timeout=60) == 7
    log = done.logs()
    cut, queued = submit("wait"), submit("wait")
    (pid,) = begun()
    lab.kill(lab.scheduler)
    wait_until(lambda: not alive(pid))
    lab.start_scheduler()
    lab.add_worker(*ONE_SLOT)
    lab.wait_for(1)
    assert (done.state, done.result(), done.logs()) == ("succeeded", 7, log)
    assert [wait_until(lambda j=job: j.state == "lost") for job in (cut, queued)] == [True, True]
    for job in (cut, queued):
        assert "restart" in job.status().why
    assert len(adp.list_jobs(state="lost")) == 2
    go()
    assert [job.restart().result(timeout=60) for job in (cut, queued)] == [42, 42]


def test_a_cluster_whose_tasks_somebody_clears_says_that_the_jobs_are_lost(start, submit, begun):
    lab = start(1, NANNY, *SLOTS)
    job = submit("wait")
    (pid,) = begun()
    with lab.client() as client:
        client.restart()
    assert wait_until(lambda: job.state == "lost")
    wait_until(lambda: not alive(pid))


_SUBMITS = """
    import os, signal, sys
    import ailab_dataproc as adp
    {before}
    job = adp.submit("faults:wait", args=[{folder!r}], code={code!r})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def submit_and_die(folder, before=""):
    text = textwrap.dedent(_SUBMITS).format(before=before, folder=str(folder), code=str(PROJECT))
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == -signal.SIGKILL


def test_a_job_runs_whose_submitter_is_killed_as_soon_as_it_is_submitted(start, begun, go, tmp_path):
    start(1)
    submit_and_die(tmp_path)
    begun()
    (listed,) = adp.list_jobs()
    go()
    assert adp.Job(listed.id).result(timeout=60) == 42


def test_a_job_whose_submitter_is_killed_before_the_cluster_has_it_is_lost_with_what_to_do(start, tmp_path):
    start(1)
    submit_and_die(tmp_path, "import distributed\ndistributed.Client.submit = lambda *a, **k: os.kill(os.getpid(), 9)")
    (listed,) = adp.list_jobs()
    assert (listed.state, listed.why) == ("queued", "it is being submitted")
    file = Path(listed.url, "job.json")  # a minute later
    earlier = {"created": (datetime.now(UTC) - timedelta(minutes=2)).isoformat()}
    file.write_text(json.dumps(json.loads(file.read_text()) | earlier))
    (listed,) = adp.list_jobs()
    assert listed.state == "lost"
    assert "restart" in listed.why
    (tmp_path / "go").touch()
    assert adp.Job(listed.id).restart().result(timeout=60) == 42


def test_a_frozen_scheduler_is_told_and_nothing_is_called_lost(start, submit, begun, go):
    lab = start(1)
    job = submit("wait")
    begun()
    os.kill(lab.scheduler.pid, signal.SIGSTOP)
    try:
        assert job.state == "running"
    finally:
        os.kill(lab.scheduler.pid, signal.SIGCONT)
    go()
    assert job.result(timeout=60) == 42


def test_no_process_of_the_jobs_is_left_when_the_whole_cluster_is_killed(start, submit, begun):
    lab = start(2)
    for _ in range(3):
        submit("wait")
    tree = [one for pid in begun(3) for one in (pid, psutil.Process(pid).ppid())]
    lab.stop()
    wait_until(lambda: not any(alive(pid) for pid in tree))
