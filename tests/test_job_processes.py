"""What a job's processes may take and leave: memory, processes that would outlive it, secrets, private files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from lab import alive, wait_until

import ailab_dataproc as adp
from ailab_dataproc.errors import JobFailed

PROJECT = Path(__file__).with_name("job_project")


def submit(function, *args, **given):
    return adp.submit(f"faults:{function}", args=args, code=PROJECT, **given)


def left(folder):
    wait_until((folder / "pids").exists)
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def none_of(pids):
    wait_until(lambda: not any(alive(pid) for pid in pids))


def test_a_job_that_takes_more_memory_than_it_asked_for_is_ended_and_its_worker_and_others_go_on(start, tmp_path):
    start(1)
    other = submit("wait", str(tmp_path))
    wait_until(lambda: list(tmp_path.glob("began-*")))
    job = submit("eat", 500, memory="300MB")
    with pytest.raises(JobFailed, match=r"300.*Ask for more by memory="):
        job.result(timeout=60)
    (tmp_path / "go").touch()
    assert other.result(timeout=60) == 42
    assert other.status().attempt == 1
    assert job.status().attempt == 1


def test_a_job_that_asked_for_no_memory_has_no_limit(start):
    start(1)
    job = submit("eat_and_end", 500)
    assert job.result(timeout=60) == 500
    assert job.status().memory > 0


def test_processes_that_would_outlive_a_job_end_with_it(start, tmp_path):
    start(1)
    pids = submit("leave", str(tmp_path)).result(timeout=60)
    assert len(pids) == 4
    none_of(pids)


def test_processes_that_would_outlive_a_job_end_when_it_is_cancelled(start, tmp_path):
    start(1)
    job = submit("leave", str(tmp_path), "wait")
    pids = left(tmp_path)
    job.cancel()
    assert job.wait(timeout=60) == "cancelled"
    none_of(pids)


@pytest.mark.parametrize("nanny", ["--no-nanny", "--nanny"])
def test_processes_that_would_outlive_a_job_end_when_its_worker_is_killed(start, tmp_path, nanny):
    lab = start(1, nanny, "--nthreads", "2")
    job = submit("leave", str(tmp_path), "wait", restarts=0)
    pids = left(tmp_path)
    assert all(alive(pid) for pid in pids)
    lab.kill(lab.workers[0])
    none_of(pids)
    # Nobody is left to say so: the next worker does.
    lab.add_worker(nanny, "--nthreads", "2")
    assert job.wait(timeout=60) == "lost"


def test_a_cancelled_job_can_put_things_in_order(start, tmp_path):
    start(1)
    job = submit("tidy_up", str(tmp_path))
    wait_until(lambda: list(tmp_path.glob("began-*")))
    job.cancel()
    assert job.wait(timeout=60) == "cancelled"
    assert (tmp_path / "tidied").read_text() == "15"


def test_a_secret_is_in_no_file_and_no_log(start, tmp_path, monkeypatch):
    lab = start(2, "--nanny", "--nthreads", "2")
    secret = os.urandom(16).hex()
    monkeypatch.setenv("LAB_TOKEN", secret)
    job = submit("betray", secrets=["LAB_TOKEN"], retries=1)
    error = job.exception(timeout=60)
    assert error is not None
    assert "the token is ***" in job.logs()
    lab.stop()  # what its processes still keep is on the disk then
    found = [file for file in tmp_path.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
    assert found == []
    assert secret not in f"{error!r} {error} {job.status()!r} {job!r}"


def test_a_job_that_keeps_its_secret_gets_its_real_value(start, tmp_path, monkeypatch):
    start(1)
    monkeypatch.setenv("LAB_TOKEN", "abcdef-123456")
    assert submit("length_of_secret", secrets=["LAB_TOKEN"]).result(timeout=60) == 13


def test_the_files_of_a_job_are_private_to_its_user(start, tmp_path):
    start(1)
    before = os.umask(0)
    try:
        job = submit("nothing")
        job.wait(timeout=60)
    finally:
        os.umask(before)
    found = [Path(job.url), *Path(job.url).rglob("*"), Path(job.url).parent]
    assert {oct(stat.S_IMODE(one.stat().st_mode)) for one in found if one.is_dir()} == {"0o700"}
    assert {oct(stat.S_IMODE(one.stat().st_mode)) for one in found if one.is_file()} == {"0o600"}
