"""The files for systemd and Kubernetes: what they start is what Dask takes, and it joins."""

from __future__ import annotations

import configparser
import contextlib
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ailab_dataproc import configuration
from ailab_dataproc.cluster import certificates
from ailab_dataproc.cluster.lab import building, ports, scheduler
from ailab_dataproc.errors import ClusterFailed

CONFIGS = configuration.folders("clusters")[1].parent
UNITS = sorted((CONFIGS / "systemd").glob("*.service"))
MANIFESTS = sorted(file for file in (CONFIGS / "kubernetes").glob("*.yaml") if file.name != "kustomization.yaml")


@pytest.fixture
def tls(tmp_path):
    """A folder with certificates."""
    certificates.make(tmp_path / "tls")
    return tmp_path / "tls"


def unit(file):
    """The settings of a unit; one that stands twice, such as Environment, has its last value."""
    parsed = configparser.RawConfigParser(strict=False, comment_prefixes=("#", ";"))
    parsed.optionxform = str
    parsed.read_string(re.sub(r"\\\n\s*", "", file.read_text()))
    return parsed


def systemd_command(file, tls, **changed):
    """What systemd starts, with the values of dask.env."""
    lines = (CONFIGS / "systemd/dask.env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#")) | changed
    text = unit(file)["Service"]["ExecStart"]
    for key, value in {**{f"${{{key}}}": value for key, value in values.items()}, "%H": "node", "%i": "0"}.items():
        text = text.replace(key, value)
    python, *rest = shlex.split(text.replace("/etc/ailab_dataproc/tls", str(tls)))
    assert python == "/opt/ailab_dataproc/venv/bin/python"
    assert "$" not in text
    return rest


def kubernetes_commands(file, tls):
    """What the containers of a manifest start."""
    found = []
    for document in yaml.safe_load_all(file.read_text()):
        for container in document["spec"].get("template", {"spec": {"containers": []}})["spec"]["containers"]:
            python, *rest = [*container["command"], *container["args"]]
            assert python == "python"
            found.append([str(one).replace("/tls/", f"{tls}/") for one in rest])
    return found


def parsed(command):
    """The options as the real command line of Dask understands them."""
    if command[:4] == ["-m", "dask", "cuda", "worker"]:
        pytest.importorskip("dask_cuda")
        from dask_cuda.cli import worker as program

        rest = command[4:]
    elif command[:2] == ["-m", "distributed.cli.dask_scheduler"]:
        from distributed.cli.dask_scheduler import main as program

        rest = command[2:]
    else:
        assert command[:2] == ["-m", "distributed.cli.dask_worker"]
        from distributed.cli.dask_worker import main as program

        rest = command[2:]
    found = program.make_context("dask", list(rest)).params
    # Dask takes unknown options for arguments of a preload, without a word.
    assert not found["preload_argv"]
    return found


def test_there_are_files():
    assert len(UNITS) == len(MANIFESTS) == 3


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_dask_takes_the_command_line_of_a_unit(file, tls):
    found = parsed(systemd_command(file, tls))
    assert found["tls_cert"] == str(tls / "cert.pem")


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_dask_takes_the_command_line_of_a_pod(file, tls):
    for command in kubernetes_commands(file, tls):
        assert parsed(command)["tls_key"] == str(tls / "key.pem")


@pytest.mark.parametrize("gpus", [(), ("GPU-a",)], ids=["cpu", "gpu"])
def test_dask_takes_the_command_lines_of_cluster_up(gpus, tls):
    wanted = building.Wanted(name="lab", cores=4, free=10**10, gpus=gpus, workers=1, tls=str(tls), scratch="/scratch")
    for member in building.build(wanted).members:
        assert parsed(list(member.command[1:]))["tls_ca_file"] == str(tls / "ca.pem")


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_a_unit_is_started_again_also_after_code_0(file):
    assert unit(file)["Service"]["Restart"] == "always"  # as a worker ends that has lost its scheduler
    assert unit(file)["Service"]["User"] == "dask"


@pytest.mark.skipif(not Path("/usr/bin/systemd-analyze").exists(), reason="no systemd-analyze here")
@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_systemd_finds_nothing_wrong(file, tmp_path):
    copy = tmp_path / file.name.replace("@", "@0")
    copy.write_text(file.read_text().replace("/opt/ailab_dataproc/venv/bin/python", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_pods_run_as_nobody_special_and_can_not_talk_to_kubernetes(file):
    for document in yaml.safe_load_all(file.read_text()):
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"]
            assert pod["automountServiceAccountToken"] is False
            assert (
                document["spec"]["selector"]["matchLabels"].items()
                <= document["spec"]["template"]["metadata"]["labels"].items()
            )


def test_kubernetes_gets_the_files_that_certs_makes_and_no_key_of_the_ca():
    (secret,) = yaml.safe_load((CONFIGS / "kubernetes/kustomization.yaml").read_text())["secretGenerator"]
    assert secret["files"] == [f"tls/{name}" for name in (certificates.CA, certificates.CERT, certificates.KEY)]


def test_what_the_units_start_joins(tls, tmp_path):
    port = ports.check("127.0.0.1", 0)
    changed = {"HOST": "127.0.0.1", "SCHEDULER": f"tls://127.0.0.1:{port}", "MEMORY": "500000000"}
    files = {key: str(tls / f"{key}.pem") for key in ("ca", "cert", "key")}
    processes = []
    with contextlib.ExitStack() as stack:
        for name in ("ailab-dask-scheduler.service", "ailab-dask-worker@.service"):
            command = systemd_command(CONFIGS / "systemd" / name, tls, **changed, SCRATCH=str(tmp_path))
            command = [one.replace("8786", str(port)).replace(":8787", ":0") for one in command]
            log = stack.enter_context((tmp_path / f"{name}.log").open("wb"))
            processes.append(subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, cwd=tmp_path))
            stack.callback(processes[-1].wait)
            stack.callback(processes[-1].terminate)
        deadline, workers = time.monotonic() + 60, ()
        while not workers and time.monotonic() < deadline:
            time.sleep(0.2)
            with contextlib.suppress(ClusterFailed):
                workers = scheduler.look(changed["SCHEDULER"], files).workers
    assert workers[0].name == "node-0"
    assert workers[0].resources == {"JOB": 4.0, "MEMORY": 5e8}
