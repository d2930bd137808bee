"""Jobs on a cluster that speaks TLS: submitted by one process, fetched by another; strangers stay out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import ailab_dataproc as adp
from ailab_dataproc.cluster import certificates
from ailab_dataproc.errors import ClusterFailed

PROJECT = Path(__file__).with_name("job_project")
SUBMITS = "import sys, ailab_dataproc as adp\nprint(adp.submit(sys.argv[1], args=sys.argv[2:-1], code=sys.argv[-1]).id)"


def certificate(folder):
    """A CA with the certificate of this machine, as options of Dask's commands."""
    certificates.make(folder)
    return {
        "tls-ca-file": str(folder / "ca.pem"),
        "tls-cert": str(folder / "cert.pem"),
        "tls-key": str(folder / "key.pem"),
    }


@pytest.fixture
def cluster(start):
    """A cluster with certificates where this user's are looked for."""
    return start(2, tls=certificate(Path.home() / ".config/ailab_dataproc/tls"))


def submit_elsewhere(*words):
    """Submit in a process that has ended when this returns."""
    command = [sys.executable, "-c", SUBMITS, *words, str(PROJECT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return adp.Job(done.stdout.split()[-1])


def test_a_job_over_tls_is_followed_and_fetched_after_its_submitter_has_ended(cluster, tmp_path):
    job = submit_elsewhere("faults:wait", str(tmp_path))
    text = ""
    for piece in job.logs(follow=True):
        text += piece
        if "began" in piece:
            (tmp_path / "go").touch()
    assert "went on" in text
    assert (job.result(timeout=60), job.state) == (42, "succeeded")
    assert [one.id for one in adp.list_jobs()] == [job.id]


def test_a_job_over_tls_is_cancelled_from_another_process(cluster, tmp_path):
    job = submit_elsewhere("faults:wait", str(tmp_path))
    job.cancel()
    assert job.wait(timeout=60) == "cancelled"


def test_a_job_reaches_its_own_cluster_over_tls(cluster, tmp_path):
    (tmp_path / "go").touch()
    assert submit_elsewhere("faults:with_tasks", str(tmp_path)).result(timeout=60) == 28


def test_a_foreign_certificate_is_refused_and_no_job_is_made(cluster, tmp_path):
    files = certificate(tmp_path / "foreign")
    config = tmp_path / "foreign.yaml"
    security = dict(zip(("ca", "cert", "key"), files.values(), strict=True))
    config.write_text(yaml.safe_dump({"address": cluster.address, "security": security}))
    with pytest.raises(ClusterFailed, match="certificate"):
        adp.submit("faults:nothing", code=PROJECT, cluster=str(config))
    assert adp.list_jobs() == []


def test_plain_tcp_is_refused_and_no_job_is_made(cluster):
    with pytest.raises(ClusterFailed, match="tls://"):
        adp.submit("faults:nothing", code=PROJECT, cluster=cluster.address.replace("tls", "tcp"))
    assert adp.list_jobs() == []


def test_an_open_job_whose_certificates_are_gone_is_told_from_its_folder_with_a_note(cluster):
    job = adp.submit("faults:nothing", code=PROJECT, gpus=1, wait_for_workers=True)
    assert job.status().note == ""
    (Path.home() / ".config/ailab_dataproc/tls/cert.pem").unlink()
    status = job.status()
    assert status.state == "queued"
    assert "certificate" in status.note
