"""Many jobs at once, and many who submit at once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lab import wait_until

import ailab_dataproc as adp

PROJECT = Path(__file__).with_name("job_project")
JOBS = 200


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_two_hundred_jobs_each_runs_once(start, tmp_path):
    start(2)
    with adp.connect():
        jobs = [adp.submit("faults:once", args=[str(tmp_path), i], code=PROJECT) for i in range(JOBS)]
    assert len({job.id for job in jobs}) == JOBS
    wait_until(lambda: not {one.state for one in adp.list_jobs()} & {"queued", "running"}, 800)
    listed = adp.list_jobs()
    assert Counter(one.state for one in listed) == {"succeeded": JOBS}
    assert {one.attempt for one in listed} == {1}
    assert len(list(tmp_path.glob("ran-*"))) == JOBS
    assert [job.result() for job in jobs] == list(range(JOBS))


def test_threads_of_a_process_submit_at_once(start, tmp_path):
    start(2)

    def submit(number):
        return adp.submit("faults:once", args=[str(tmp_path), number], code=PROJECT)

    with adp.connect(), ThreadPoolExecutor(20) as threads:
        jobs = list(threads.map(submit, range(20)))
    assert [job.result(timeout=120) for job in jobs] == list(range(20))
    assert {job.status().attempt for job in jobs} == {1}


def test_processes_submit_at_once(start, tmp_path):
    start(2)
    text = "import sys, ailab_dataproc as adp\nadp.submit('faults:once', args=sys.argv[1:3], code=sys.argv[3])"
    asked = [[sys.executable, "-c", text, str(tmp_path), str(number), str(PROJECT)] for number in range(4)]
    started = [subprocess.Popen(one) for one in asked]
    assert [one.wait() for one in started] == [0] * 4
    wait_until(lambda: [one.state for one in adp.list_jobs()] == ["succeeded"] * 4, 120)
    assert sorted(adp.Job(one.id).result() for one in adp.list_jobs()) == [str(number) for number in range(4)]
