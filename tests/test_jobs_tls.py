"""A job on a cluster with TLS, by the name of its configuration; and without a certificate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from lab import lab

import ailab_dataproc as adp
from ailab_dataproc.cluster import certificates
from ailab_dataproc.errors import AilabError

WAIT = 30  # seconds that a job of these tests may take at most


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster with TLS that a configuration of this user names, with the certificates beside it."""
    monkeypatch.setenv("AILAB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AILAB_CLUSTER", "ours")
    (tmp_path / "code").mkdir()
    monkeypatch.chdir(tmp_path / "code")
    certificates.make(tmp_path / "tls", ["127.0.0.1"])
    files = {"tls-ca-file": "ca.pem", "tls-cert": "cert.pem", "tls-key": "key.pem"}
    certificate = next((tmp_path / "tls").rglob("key.pem")).parent
    with lab(tmp_path, workers=0, tls={key: str(certificate / name) for key, name in files.items()}) as made:
        made.add_worker("--no-nanny")
        folder = Path("~/.config/ailab_dataproc/clusters").expanduser()
        folder.mkdir(parents=True)
        names = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
        lines = [f"  {key}: {certificate / name}" for key, name in names.items()]
        (folder / "ours.yaml").write_text("\n".join([f"address: {made.address}", "security:", *lines]))
        yield made


def test_a_job_runs_over_tls_and_is_found_again_by_another_process(cluster):
    job = adp.submit(lambda: 42, wait_for_workers=True)
    assert (job.asked.cluster, job.result(WAIT)) == ("ours", 42)
    code = f"import ailab_dataproc as adp; job = adp.Job({job.id!r}); print(job.state, job.result())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "succeeded 42"


def test_without_a_certificate_there_is_no_job(cluster):
    with pytest.raises(AilabError, match="certificate"):
        adp.submit(lambda: 42, cluster=cluster.address)
    assert adp.list_jobs() == []


def test_an_open_job_whose_scheduler_cannot_be_asked_says_so(cluster):
    job = adp.submit(lambda: 42, gpus=1, wait_for_workers=True)
    assert job.status().note == ""
    Path("~/.config/ailab_dataproc/clusters/ours.yaml").expanduser().unlink()
    status = job.status()
    assert status.state == "queued"
    assert "no cluster 'ours'" in status.note
