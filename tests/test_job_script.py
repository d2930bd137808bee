"""A script that runs on a laptop runs unchanged as a job, and gives the same answer while a worker is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import clicks
from lab import wait_until

import ailab_dataproc as adp

SCRIPT = Path(__file__).with_name("job_project") / "groupby.py"


@pytest.mark.slow
def test_a_group_by_gives_the_answer_of_the_laptop_while_a_worker_is_killed(
    start, make, tmp_path, data_dir, monkeypatch
):
    make({f"{i}.csv": clicks(300, 200 * i) for i in range(8)})
    monkeypatch.setenv("AILAB_DATA_DIR", data_dir)
    subprocess.run([sys.executable, str(SCRIPT), str(tmp_path), "laptop.csv"], check=True, timeout=120)
    (tmp_path / "computing").unlink()
    lab = start(3, "--nanny", "--nthreads", "2")
    job = adp.submit(SCRIPT, args=[str(tmp_path), "job.csv"])
    wait_until((tmp_path / "computing").exists)
    lab.kill(next(one for one in lab.workers if one is not lab.process_at(job.status().worker)))
    assert job.wait(timeout=120) == "succeeded", job.logs()
    assert job.status().attempt == 1
    answer = pd.read_csv(tmp_path / "job.csv")
    pd.testing.assert_frame_equal(answer, pd.read_csv(tmp_path / "laptop.csv"))
    assert answer["count"].sum() > 1000
    assert f"{len(answer)} words" in job.logs()
