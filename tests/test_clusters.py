"""connect: what names and addresses mean, how a cluster is started and ended, TLS, and each thing that can be wrong."""

from __future__ import annotations

import contextlib
import http.server
import importlib.util
import inspect
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import yaml
from lab import lab, wait_until

import ailab_dataproc as adp
from ailab_dataproc import configuration
from ailab_dataproc.backends.dask_cudf import uninstalled
from ailab_dataproc.cluster import certificates, find_cluster
from ailab_dataproc.cluster.security import check_address
from ailab_dataproc.cluster.versions import Told, check
from ailab_dataproc.errors import AilabError, ClusterFailed, InvalidRequest, MissingLibrary, SettingsError
from ailab_dataproc.machine import free_memory, processors

ROOT = Path(adp.__file__).parent.parent
SHIPPED = configuration.folders("clusters")[1]
OWN = "~/.config/ailab_dataproc"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A scheduler with two workers, over TCP."""
    with lab(tmp_path_factory.mktemp("plain"), 2) as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The certificates of a lab: its own, and those of alice in users/alice."""
    folder = tmp_path_factory.mktemp("site")
    certificates.make(folder)
    certificates.sign(folder, "user", "alice")
    return folder


@pytest.fixture(scope="module")
def secure(tmp_path_factory, site):
    """A scheduler over TLS."""
    files = {"tls-ca-file": str(site / "ca.pem"), "tls-cert": str(site / "cert.pem"), "tls-key": str(site / "key.pem")}
    with lab(tmp_path_factory.mktemp("secure"), 0, tls=files) as found:
        yield found


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """The certificates of another lab."""
    folder = tmp_path_factory.mktemp("foreign")
    certificates.make(folder)
    certificates.sign(folder, "user", "mallory")
    return folder


@pytest.fixture
def config(tmp_path):
    """Write a configuration: `config("address: …")` is its path."""

    def write(text):
        file = tmp_path / "own.yaml"
        file.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
        return str(file)

    return write


def files(folder, **other):
    found = {key: str(folder / f"{key}.pem") for key in ("ca", "cert", "key")}
    return found | {key: str(path) for key, path in other.items()}


# What a name means, and how long a cluster lives.

SCRIPT = """
    from ailab_dataproc.cluster import connect

    def double(x):
        return 2 * x

    with connect({config!r}) as client:
        print(client.submit(double, 21).result())
    print(__spec__)
"""


def test_a_script_without_a_main_guard_can_start_a_cluster(tmp_path):
    config, script = tmp_path / "two.yaml", tmp_path / "script.py"
    config.write_text("cluster: distributed:LocalCluster\noptions: {n_workers: 2, dashboard_address: null}\n")
    script.write_text(textwrap.dedent(SCRIPT).format(config=str(config)))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.stdout.split() == ["42", "None"], done.stderr


RESTARTED = """
    import os, signal
    from ailab_dataproc.cluster import connect

    def double(x):
        return 2 * x

    with connect({config!r}) as client:
        (before,) = client.run(os.getpid).values()
        os.kill(before, signal.SIGKILL)
        client.wait_for_workers(1, timeout=60)
        print(client.submit(double, 21).result(timeout=60))
        (after,) = client.run(os.getpid).values()
        print(before != after)
    print(__spec__)
"""


def test_a_worker_that_died_comes_again_in_a_script_without_a_main_guard(tmp_path):
    config, script = tmp_path / "one.yaml", tmp_path / "script.py"
    config.write_text("cluster: distributed:LocalCluster\noptions: {n_workers: 1, dashboard_address: null}\n")
    script.write_text(textwrap.dedent(RESTARTED).format(config=str(config)))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert done.stdout.split() == ["42", "True", "None"], done.stderr


def test_a_client_is_one_of_dask_with_and_without_a_block(plain):
    from distributed import Client

    client = adp.connect(plain.address)
    with adp.connect(plain.address) as other:
        assert isinstance(client, Client)
        assert client.submit(sum, [1, 2]).result() == other.submit(sum, [1, 2]).result() == 3
    assert other.status == "closed"
    client.close()


def test_closing_the_client_ends_the_cluster_that_was_started_with_it(config):
    file = config("cluster: distributed:LocalCluster\noptions: {n_workers: 1, dashboard_address: null}")
    client = adp.connect(file)
    cluster, (pid,) = client.cluster, client.run(os.getpid).values()
    client.close()
    assert cluster.status.name == "closed"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_closing_the_client_leaves_a_cluster_that_ran_before(plain):
    adp.connect(plain.address).close()
    with adp.connect(plain.address) as client:
        assert len(client.scheduler_info()["workers"]) == 2


def test_without_a_name_the_setting_is_meant(plain, monkeypatch):
    monkeypatch.setenv("AILAB_CLUSTER", plain.address)
    with adp.connect() as client:
        assert client.scheduler.address == plain.address


def test_inside_a_job_its_own_cluster_is_meant_with_its_certificates(secure, site, tmp_path):
    tls = files(site / "users" / "alice")
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AILAB_JOB": "20261123-a",
        "AILAB_CLUSTER": "tcp://127.0.0.1:1",
        "DASK_SCHEDULER_ADDRESS": secure.address,
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": tls["ca"],
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": tls["cert"],
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": tls["key"],
    }
    code = "import ailab_dataproc as adp; print(adp.connect().scheduler.address)"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == secure.address, done.stderr


def test_a_named_cluster_is_obeyed_inside_a_job_too(plain, monkeypatch):
    monkeypatch.setenv("AILAB_JOB", "20261123-a")
    with adp.connect(plain.address) as client:
        assert client.scheduler.address == plain.address


def test_a_job_without_an_address_is_told(monkeypatch):
    monkeypatch.setenv("AILAB_JOB", "20261123-a")
    with pytest.raises(ClusterFailed, match="job 20261123-a: its environment has no DASK_SCHEDULER_ADDRESS"):
        adp.connect()


def test_the_local_cluster_has_a_process_a_core_and_no_more_memory_than_is_free():
    free = free_memory()
    with adp.connect("local") as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert len(workers) == processors()
        assert sum(one["memory_limit"] for one in workers) <= max(free, free_memory()) * 1.1  # others work here too
        assert all(one["host"] == "127.0.0.1" for one in workers)


def test_options_have_the_last_word_over_what_fits_the_machine(config):
    options = {"n_workers": 1, "memory_limit": "300MB", "dashboard_address": None}
    own = {"cluster": "distributed:LocalCluster", "fit_to_machine": True, "options": options}
    with adp.connect(config(own)) as client:
        (worker,) = client.scheduler_info(n_workers=-1)["workers"].values()
    assert worker["memory_limit"] == 300 * 10**6


class Terminal(io.StringIO):
    """Where somebody looks."""

    def isatty(self):
        return True


@pytest.mark.parametrize("seen", [True, False], ids=["a terminal", "a pipe"])
def test_the_link_of_the_dashboard_is_printed_once_where_somebody_looks(tmp_path, monkeypatch, seen):
    with lab(tmp_path, 0) as one:
        monkeypatch.setattr(sys, "stderr", Terminal() if seen else io.StringIO())
        for _ in range(2):
            adp.connect(one.address).close()
        links = re.findall(r"Dask dashboard: http://127\.0\.0\.1:\d+/status\n", sys.stderr.getvalue())
    assert len(links) == int(seen)


def test_a_client_goes_on_when_its_scheduler_is_restarted(tmp_path):
    with lab(tmp_path, 0) as one, adp.connect(one.address, timeout=5) as client:
        one.kill(one.scheduler)
        wait_until(lambda: client.status != "running")
        one.start_scheduler()
        wait_until(lambda: client.status == "running")
        one.add_worker()
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3


# TLS.


@pytest.mark.parametrize(
    "address",
    ["tcp://10.0.0.1:8786", "tcp://scheduler:8786", "ucx://node1:8786", "ws://node1:80", "tcp://[2001:db8::1]:8786"],
)
def test_plain_tcp_to_another_machine_is_refused(address):
    told = f"{address}: {address.split(':')[0]}:// to another machine is not encrypted"
    with pytest.raises(InvalidRequest, match=re.escape(told)):
        adp.connect(address)


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:1", "tcp://127.8.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "tls://10.0.0.1:1", "wss://a:1"],
)
def test_loopback_and_encrypted_addresses_are_taken(address):
    check_address(address, address)


def test_a_configuration_may_trust_its_network(config):
    assert find_cluster(config("address: tcp://10.0.0.1:8786\ninsecure: true")).insecure


def test_a_cluster_that_is_started_for_other_machines_without_tls_is_refused(config):
    from distributed.utils import get_ip

    if get_ip().startswith("127."):
        pytest.skip("this machine has no address but loopback")
    options = {"host": "0.0.0.0", "n_workers": 0, "dashboard_address": None}  # noqa: S104 - that is the point
    file = config({"cluster": "distributed:LocalCluster", "options": options})
    with pytest.raises(InvalidRequest, match="cluster 'own': tcp:// to another machine is not encrypted"):
        adp.connect(file)


def test_a_cluster_is_started_with_certificates(config, site):
    options = {"n_workers": 1, "dashboard_address": None}
    file = config({"cluster": "distributed:LocalCluster", "security": files(site), "options": options})
    with adp.connect(file) as client:
        assert client.scheduler.address.startswith("tls://")
        assert all(worker.startswith("tls://") for worker in client.scheduler_info()["workers"])
        assert client.submit(sum, [1, 2]).result() == 3


def test_a_bare_address_takes_the_certificate_of_the_user(secure, site):
    shutil.copytree(site / "users" / "alice", Path(OWN).expanduser() / "tls")
    with adp.connect(secure.address) as client:
        assert client.scheduler.address == secure.address


def test_a_configuration_names_the_certificate(secure, site, config):
    file = config({"address": secure.address, "security": files(site / "users" / "alice")})
    with adp.connect(file) as client:
        assert client.scheduler.address == secure.address


def refusal(file):
    with pytest.raises(AilabError) as found:
        adp.connect(file, timeout=2)
    assert str(found.value).count("\n") == 0
    return f"{type(found.value).__name__}: {found.value}"


def test_a_client_without_a_certificate_is_told_how_to_get_one(secure):
    told = refusal(secure.address)
    assert f"ClusterFailed: {secure.address}: the cluster wants a certificate, and none is in" in told
    assert "ailab-dataproc cluster certs" in told


def test_a_certificate_of_another_ca_is_refused(secure, site, foreign, config):
    own = files(foreign / "users" / "mallory", ca=site / "ca.pem")
    told = refusal(config({"address": secure.address, "security": own}))
    assert "the scheduler refuses your certificate: it is signed by another CA" in told


def test_a_scheduler_of_another_ca_is_refused(secure, foreign, config):
    told = refusal(config({"address": secure.address, "security": files(foreign / "users" / "mallory")}))
    assert "the scheduler's certificate is signed by another CA than that of your ca.pem" in told


def expired(folder, site):
    """A certificate and its key that the lab's CA has signed, and that was good for yesterday."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    ca = x509.load_pem_x509_certificate((site / "ca.pem").read_bytes())
    signing = serialization.load_pem_private_key((site / "ca-key.pem").read_bytes(), None)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "late")]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now - datetime.timedelta(days=1))
        .sign(signing, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "late.pem").write_bytes(made.public_bytes(pem))
    none = serialization.NoEncryption()
    (folder / "late-key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
    return {"cert": str(folder / "late.pem"), "key": str(folder / "late-key.pem")}


def test_a_certificate_that_has_expired_is_told(secure, site, tmp_path, config):
    late = files(site, **expired(tmp_path, site))
    assert "refuses your certificate: it has expired" in refusal(config({"address": secure.address, "security": late}))


def test_a_scheduler_whose_certificate_has_expired_is_told(site, tmp_path, config):
    late = expired(tmp_path, site)
    tls = {"tls-ca-file": str(site / "ca.pem"), "tls-cert": late["cert"], "tls-key": late["key"]}
    with lab(tmp_path, 0, tls=tls) as one:
        told = refusal(config({"address": one.address, "security": files(site / "users" / "alice")}))
    assert "the scheduler's certificate is not valid now (certificate has expired)" in told


def test_plain_tcp_to_a_scheduler_with_tls_is_told(secure):
    told = refusal(secure.address.replace("tls", "tcp"))
    assert f"the scheduler speaks TLS, not plain TCP. Write {secure.address}" in told


def test_tls_to_a_scheduler_without_it_is_told(plain, site, config):
    address = plain.address.replace("tcp", "tls")
    told = refusal(config({"address": address, "security": files(site / "users" / "alice")}))
    assert "the scheduler speaks plain TCP, not TLS" in told


def test_files_that_are_no_certificate_are_told(secure, site, tmp_path, config):
    (tmp_path / "cert.pem").write_text("nothing")
    own = files(site / "users" / "alice", cert=tmp_path / "cert.pem")
    told = refusal(config({"address": secure.address, "security": own}))
    assert told.startswith("SettingsError")
    assert "are no certificates and key that fit together" in told


# No scheduler.


def test_an_address_where_nobody_listens_is_told_with_the_time_waited():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    assert f"{address}: no Dask scheduler answers within 2 s (" in refusal(address)


def test_a_name_that_nobody_knows_is_told(site, config):
    own = {"address": "tls://nowhere.invalid:8786", "security": files(site)}
    assert "the name 'nowhere.invalid' can't be resolved" in refusal(config(own))


@contextlib.contextmanager
def listening():
    """A socket that takes connections and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield silent.getsockname()[1]


def test_what_listens_and_says_nothing_is_told_with_the_time_waited():
    with listening() as port:
        assert f"tcp://127.0.0.1:{port}: what listens there says nothing for 2 s" in refusal(f"tcp://127.0.0.1:{port}")


def test_what_listens_and_speaks_no_tls_is_told(site, config):
    with listening() as port:
        own = {"address": f"tls://127.0.0.1:{port}", "security": files(site / "users" / "alice")}
        assert "what listens there says nothing for 2 s" in refusal(config(own))


def test_the_port_of_a_web_server_is_told():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told = refusal(f"tcp://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert "a web server answers there, not a Dask scheduler" in told


def test_the_address_of_a_worker_is_told_with_what_went_wrong(plain):
    with plain.client() as client:
        worker = next(iter(client.scheduler_info()["workers"]))
    told = refusal(worker)
    assert f"{worker}: it takes connections, but asking it for its versions failed (TypeError: " in told
    assert "Give the address of a scheduler" in told


def test_an_address_without_a_port_is_told():
    with pytest.raises(InvalidRequest, match=r"has no port\. Write it as tls://host:8786"):
        adp.connect("tls://scheduler")


def test_a_name_that_is_misspelt_is_told_with_a_near_one():
    assert "no cluster 'locl'. Did you mean 'local'?" in refusal("locl")


# Versions.


@pytest.mark.parametrize(
    ("package", "there"),
    [
        ("python", "3.10.4"),
        ("dask", "2026.5.0"),
        ("distributed", "2025.7.1"),
        ("cloudpickle", "2.2.1"),
        ("msgpack", "0.6.2"),
        ("numpy", "1.26.4"),
        ("pandas", "2.3.3"),
        ("ailab_dataproc", "0.2.0"),
    ],
)
def test_a_version_that_matters_is_refused(package, there):
    told = rf"worker tcp://a:1: {package} {re.escape(there)}, here {re.escape(HERE[package])}\. Install the same"
    with pytest.raises(ClusterFailed, match=told):
        check("tcp://s:1", Told(HERE, {"tcp://a:1": HERE | {package: there}}), HERE)


HERE = {
    "python": "3.11.7",
    "dask": "2026.7.1",
    "distributed": "2026.7.1",
    "cloudpickle": "3.1.2",
    "msgpack": "1.2.4",
    "numpy": "2.4.6",
    "pandas": "3.0.6",
    "pyarrow": "25.0.1",
    "ailab_dataproc": "0.1.0",
}
LITTLE = {"python": "3.11.9", "dask": "2026.7.0", "pandas": "3.1.0", "pyarrow": "23.0.0", "numpy": None}


@pytest.mark.parametrize(("package", "there"), LITTLE.items())
def test_another_version_is_one_line(package, there, caplog):
    check("tcp://s:1", Told(HERE, {"tcp://a:1": HERE | {package: there}}), HERE)
    assert len(caplog.messages) == 1
    assert f"worker tcp://a:1: {f'{package} {there}' if there else f'no {package}'}, here" in caplog.text


def test_workers_with_the_same_difference_are_told_together():
    workers = {f"tcp://a:{port}": HERE | {"pandas": "2.3.3"} for port in range(9)}
    with pytest.raises(ClusterFailed, match=r"worker tcp://a:2 and 6 more: pandas 2\.3\.3, here 3\.0\.6"):
        check("tcp://s:1", Told(HERE, workers), HERE)


def test_a_scheduler_needs_no_library_of_data(caplog):
    check("tcp://s:1", Told(HERE | {"pandas": "2.0.0", "numpy": None, "pyarrow": None}, {}), HERE)
    assert not caplog.messages


def test_what_is_not_installed_here_is_not_compared(caplog):
    check("tcp://s:1", Told(HERE, {"tcp://a:1": HERE}), HERE | {"pandas": None})
    assert not caplog.messages


LIES = """
import importlib.metadata
true = importlib.metadata.version
importlib.metadata.version = lambda name: {versions}.get(name) or true(name)
"""


@pytest.fixture
def worker_with(tmp_path):
    """A cluster with one worker whose packages say other versions of themselves."""

    @contextlib.contextmanager
    def running(**versions):
        (tmp_path / "sitecustomize.py").write_text(LIES.format(versions=versions))
        with lab(tmp_path, 0) as one:
            one.add_worker(env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
            from distributed import Client

            with Client(one.address) as client:
                client.wait_for_workers(1, timeout=60)
            yield one

    return running


def test_a_worker_with_another_dask_is_refused(worker_with):
    with worker_with(dask="2025.1.0") as one:
        told = r"other versions than here\. worker tcp://127\.0\.0\.1:\d+: dask 2025\.1\.0, here"
        with pytest.raises(ClusterFailed, match=told):
            adp.connect(one.address)


def test_a_worker_with_another_arrow_is_a_line(worker_with, caplog):
    with worker_with(pyarrow="23.0.0") as one:
        adp.connect(one.address).close()
    assert "versions differ a little" in caplog.text
    assert "pyarrow 23.0.0, here" in caplog.text


def test_a_worker_that_is_stopped_holds_up_nobody(tmp_path, caplog):
    with lab(tmp_path, 2) as one:
        os.killpg(one.workers[0].pid, signal.SIGSTOP)
        with adp.connect(one.address) as client:
            assert len(client.scheduler_info()["workers"]) == 2
        os.killpg(one.workers[0].pid, signal.SIGCONT)
    assert "1 workers didn't tell their versions (tcp://127.0.0.1:" in caplog.text


# Kinds of clusters, and their configurations.


def parameters(kind):
    """The names that a kind takes, as its documentation passes them on."""
    module, _, name = kind.partition(":")
    pytest.importorskip(module.partition(".")[0], reason=f"{module} is not installed")
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    names = set(inspect.signature(found).parameters)
    if name == "SLURMCluster":
        from dask_jobqueue.core import Job, JobQueueCluster
        from dask_jobqueue.slurm import SLURMJob

        for one in (Job, JobQueueCluster, SLURMJob):
            names |= set(inspect.signature(one).parameters)
    return names | set(inspect.signature(importlib.import_module("distributed").LocalCluster).parameters)


@pytest.mark.parametrize("name", [file.stem for file in sorted(SHIPPED.glob("*.yaml"))])
def test_each_option_of_a_configuration_that_comes_with_the_package_is_the_librarys(name, site):
    shutil.copytree(site / "users" / "alice", Path(OWN).expanduser() / "tls")
    found = find_cluster(name)
    if found.kind:
        assert set(found.options) <= parameters(found.kind)


@pytest.mark.parametrize(
    ("library", "name", "extra"),
    [
        ("dask_gateway", "gateway", "gateway"),
        ("dask_jobqueue", "slurm", "slurm"),
        ("dask_kubernetes", "kubernetes", "kubernetes"),
        ("asyncssh", "ssh", "ssh"),
        ("dask_cuda", "gpu", "gpu"),
    ],
)
def test_a_library_that_is_not_installed_is_told_with_the_pip_line(library, name, extra, site):
    if importlib.util.find_spec(library):
        pytest.skip(f"{library} is installed")
    shutil.copytree(site / "users" / "alice", Path(OWN).expanduser() / "tls")
    with pytest.raises(MissingLibrary, match=rf"{library} is not installed.*pip install 'ailab_dataproc\[{extra}\]'"):
        adp.connect(name)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("address: tcp://127.0.0.1:1\nscale: 2", "scale: belongs to no cluster with `address:`"),
        ("cluster: 'distributed:LocalCluster'\nscale: 2\nadapt: {maximum: 2}", "found scale and adapt"),
        ("cluster: 'distributed:LocalCluster'\nadapt: 2", "adapt is 2, which has the wrong type"),
        ("address: tcp://127.0.0.1:1\ninsecur: true", "no key 'insecur'. Did you mean 'insecure'"),
        ("address: tcp://10.0.0.1:8786\ninsecure: false", "is not encrypted"),
        ("address: http://127.0.0.1:8787", "no scheme 'http'"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_told(config, text, told):
    with pytest.raises(AilabError, match=re.escape(told)):
        adp.connect(config(text))


def test_a_number_of_workers_is_asked_for(config):
    options = {"n_workers": 0, "threads_per_worker": 1, "dashboard_address": None}
    with adp.connect(config({"cluster": "distributed:LocalCluster", "options": options, "scale": 2})) as client:
        client.wait_for_workers(2, timeout=60)


def test_workers_come_with_the_work(config):
    options = {"n_workers": 0, "threads_per_worker": 1, "dashboard_address": None}
    own = {"cluster": "distributed:LocalCluster", "options": options, "adapt": {"minimum": 0, "maximum": 1}}
    with adp.connect(config(own)) as client:
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3


def test_a_method_that_makes_a_cluster_can_be_named(config):
    with pytest.raises(SettingsError, match=r"distributed has no 'LocalCluster\.from_nam'"):
        adp.connect(config("cluster: 'distributed:LocalCluster.from_nam'"))


SBATCH = """#!/bin/sh
cp "$1" {folder}/job.sh
setsid sh {folder}/job.sh > {folder}/job.log 2>&1 &
echo "Submitted batch job $!"
"""


def test_workers_come_as_jobs_of_slurm_over_tls(tmp_path, monkeypatch, config):
    pytest.importorskip("dask_jobqueue", reason="dask_jobqueue is not installed")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text(SBATCH.format(folder=tmp_path))
    (tools / "scancel").write_text('#!/bin/sh\nfor job in "$@"; do kill -- -$job; done\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    own = yaml.safe_load((SHIPPED / "slurm.yaml").read_text())
    own["options"] |= {"cores": 1, "processes": 1, "memory": "1GB", "local_directory": str(tmp_path)}
    with adp.connect(config(own)) as client:
        assert client.scheduler.address.startswith("tls://")
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3


def test_a_worker_without_cudf_is_named_with_what_to_do():
    from dask.distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster, Client(cluster):
        found = uninstalled()
    if importlib.util.find_spec("cudf") and importlib.util.find_spec("dask_cudf"):
        assert found is None
    else:
        assert "of the connected Dask cluster has no cudf" in found
        assert "pip install 'ailab_dataproc[gpu]' there, or close the client" in found
