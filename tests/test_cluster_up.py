"""A lab's own cluster: it starts, is told of, survives deaths of its parts, refuses what is wrong, and ends whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from lab import wait_until

from ailab_dataproc.cli import cli
from ailab_dataproc.cluster import certificates, security
from ailab_dataproc.cluster.lab import building, ending, ports, processes, scheduler, starting, telling
from ailab_dataproc.cluster.lab.logs import KEPT, Log, last_error
from ailab_dataproc.cluster.lab.state import Member, Plan, State, folder_of
from ailab_dataproc.errors import ClusterFailed, InvalidRequest, SettingsError, UnknownName

GB = 10**9
JOB = "ailab-job-20261123-185501-clicks"


def wanted(name="lab", **given):
    """One worker with a thread and 1 GB, on a port that is free."""
    asked = {"workers": 1, "threads": 1, "memory": GB, "port": ports.check("127.0.0.1", 0)}
    return building.Wanted(name=name, cores=2, free=8 * GB, dashboard="127.0.0.1:0", **asked | given)


def stop(name):
    """End a cluster, whatever state it is in; nothing of it may be left."""
    plan = Plan.read(folder_of(name))
    if plan:
        found = State.read(folder_of(name))
        if found and found.supervisor.alive():
            os.kill(found.supervisor.pid, signal.SIGTERM)
        ending.finish(folder_of(name), plan)


@pytest.fixture
def clusters():
    """The function `up`, whose clusters are ended after the test."""
    names = []

    def start(asked, timeout=60):
        names.append(asked.name)
        return starting.up(asked, timeout=timeout)

    yield start
    for name in names:
        stop(name)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A cluster with a worker over TLS, for tests that change nothing: its name, its plan and its HOME."""
    patch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("home")
    patch.setenv("HOME", str(home))
    certificates.make(Path(security.FOLDER).expanduser())
    started = starting.up(wanted("shared", tls=str(Path(security.FOLDER).expanduser())))
    patch.undo()
    yield started, home
    patch.setenv("HOME", str(home))
    stop("shared")
    patch.undo()


@pytest.fixture
def running(shared, monkeypatch):
    """The same, in a test whose HOME is that of the cluster."""
    started, home = shared
    monkeypatch.setenv("HOME", str(home))
    return started


def lives(name="lab"):
    found = State.read(folder_of(name))
    return {one.name: one for one in found.members} if found else {}


def workers(plan):
    """The names of the workers that have joined; none while the scheduler doesn't answer."""
    try:
        return [one.name for one in scheduler.look(plan.address, plan.files, timeout=2).workers]
    except ClusterFailed:
        return []


def run(*args):
    return CliRunner().invoke(cli, ["cluster", *map(str, args)])


def test_connect_finds_it_by_name_and_computes_over_tls(running):
    import ailab_dataproc

    with ailab_dataproc.connect("shared") as client:
        assert client.scheduler.address.startswith("tls://")
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3


def test_workers_declare_slots_for_jobs_and_their_memory(running):
    (worker,) = scheduler.look(running.plan.address, running.plan.files).workers
    assert worker.resources == {"JOB": 1, "MEMORY": GB}
    assert worker.memory_limit == GB


def test_a_foreign_certificate_is_refused(running, tmp_path):
    certificates.make(tmp_path / "tls")
    files = {key: str(tmp_path / f"tls/{key}.pem") for key in ("ca", "cert", "key")}
    with pytest.raises(ClusterFailed, match="certificate"):
        scheduler.look(running.plan.address, files, timeout=3)


def test_plain_tcp_is_refused(running):
    with pytest.raises(ClusterFailed, match="speaks TLS"):
        scheduler.look(running.plan.address.replace("tls", "tcp"), {}, timeout=3)


def test_status_tells_of_processes_workers_and_the_certificate(running):
    told = telling.status("shared")
    assert told.here == "runs"
    assert [one.life.name for one in told.processes] == ["supervisor", "scheduler", "worker-0"]
    assert all(one.alive and one.memory > 10**6 for one in told.processes)
    assert told.seen.workers[0].status == "running"
    assert told.certificate.days == 729


def test_who_knows_the_address_alone_sees_its_workers(running):
    told = telling.status(running.plan.address)
    assert told.here == "not here"
    assert [one.name for one in told.seen.workers] == workers(running.plan)
    assert "not started from this machine" in run("status", running.plan.address).output


def test_status_is_for_people_and_for_scripts(running):
    assert "until" in run("status", "shared").output
    (told,) = json.loads(run("status", "--json").output)
    assert told["seen"]["workers"][0]["resources"] == {"JOB": 1.0, "MEMORY": float(GB)}


def test_a_second_start_is_told_that_it_runs(running):
    with pytest.raises(InvalidRequest, match=r"'shared': it runs already, at tls://127\.0\.0\.1:\d+\. See"):
        starting.up(wanted("shared"))


def test_a_port_in_use_is_one_sentence(running):
    port = int(running.plan.address.rpartition(":")[2])
    with pytest.raises(InvalidRequest, match=f"--port: {port} of 127.0.0.1 is in use"):
        starting.up(wanted("other", port=port))


@pytest.mark.parametrize("host", ["192.0.2.77", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_one_sentence(host):
    with pytest.raises(InvalidRequest, match=f"--host: .*{host}"):
        ports.check(host, 0)


def test_a_free_port_is_found_over_ipv6_too():
    assert ports.check("::1", 0) > 1023


def test_nothing_secret_can_be_read_by_others(running):
    folder = folder_of("shared")
    assert folder.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in [*folder.glob("*.json"), *folder.glob("logs/worker*")])


def test_more_workers_join_from_another_folder_and_leave(running, clusters):
    asked = wanted("more", join=running.plan.address, tls=running.plan.tls)
    started = clusters(asked)
    assert len(workers(started.plan)) == 2
    run_down = run("down", "more")
    assert run_down.exit_code == 0, run_down.output
    wait_until(lambda: len(workers(running.plan)) == 1)


def test_jobs_keep_a_cluster_from_being_ended(running):
    from distributed import fire_and_forget

    import ailab_dataproc

    with ailab_dataproc.connect("shared") as client:
        fire_and_forget(client.submit(time.sleep, 300, key=JOB))
        wait_until(lambda: scheduler.look(running.plan.address, running.plan.files).jobs)
        refused = run("down", "shared")
    assert refused.exit_code == 2
    assert f"it has jobs that run or wait: {JOB.removeprefix('ailab-job-')}." in refused.output
    assert telling.status("shared").here == "runs"


def test_jobs_that_wait_for_a_worker_are_seen(running):
    import ailab_dataproc

    with ailab_dataproc.connect("shared") as client:
        waits = client.submit(sum, [], key="ailab-job-waits", resources={"GPU": 1})
        wait_until(lambda: "waits" in scheduler.look(running.plan.address, running.plan.files).waiting)
        assert "jobs that no worker has yet: waits" in run("status", "shared").output
        waits.cancel()


def test_a_killed_scheduler_comes_back_under_its_address_and_its_workers_too(clusters):
    plan = clusters(wanted()).plan
    os.kill(lives()["scheduler"].pid, signal.SIGKILL)
    wait_until(lambda: lives()["worker-0"].restarts == 1)
    wait_until(lambda: len(workers(plan)) == 1)
    assert lives()["scheduler"].last_exit.startswith("SIGKILL at ")


def test_a_killed_nanny_and_a_killed_worker_come_back(clusters):
    import psutil

    plan = clusters(wanted()).plan
    nanny = psutil.Process(lives()["worker-0"].pid)
    worker = max(nanny.children(), key=lambda child: child.memory_info().rss)
    worker.kill()  # its nanny starts another
    wait_until(lambda: not worker.is_running() and len(workers(plan)) == 1)
    life = lives()["worker-0"]  # the nanny may have gone with it
    os.kill(life.pid, signal.SIGKILL)
    wait_until(lambda: lives()["worker-0"].restarts > life.restarts)
    wait_until(lambda: len(workers(plan)) == 1)


def test_ending_leaves_no_process_and_frees_the_name(clusters):
    plan = clusters(wanted()).plan
    before = processes.with_cookie(plan.cookie)
    assert len(before) >= 3
    done = run("down", "lab")
    assert done.output == "cluster 'lab' ended\n"
    assert not processes.with_cookie(plan.cookie)
    assert State.read(folder_of("lab")) is None
    with pytest.raises(UnknownName, match="no cluster 'lab'"):
        ending.down("lab")


def test_a_killed_supervisor_takes_its_processes_along(clusters):
    plan = clusters(wanted()).plan
    os.kill(State.read(folder_of("lab")).supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not processes.with_cookie(plan.cookie), seconds=20)
    told = telling.status("lab")
    assert told.here == "supervisor killed"
    assert "its supervisor was killed, nothing is started again, and 0 of its processes run" in run("status").output
    assert run("down").exit_code == 0


def test_what_a_killed_supervisor_left_is_told_and_ended(clusters):
    plan = clusters(wanted()).plan
    left = subprocess.Popen(["sleep", "300"], env={**os.environ, processes.COOKIE: plan.cookie})
    try:
        os.kill(State.read(folder_of("lab")).supervisor.pid, signal.SIGKILL)
        wait_until(lambda: len(processes.with_cookie(plan.cookie)) == 1, seconds=20)
        assert telling.status("lab").left_over == (left.pid,)
        with pytest.raises(InvalidRequest, match="its supervisor was killed, and processes of it are left"):
            starting.up(wanted())
        ending.down("lab")
        assert left.wait(timeout=10) == -signal.SIGTERM
    finally:
        left.kill()


def test_it_outlives_the_session_that_started_it():
    asked = [sys.executable, "-m", "ailab_dataproc", "cluster", "up", "--port", "0", "--dashboard", "127.0.0.1:0"]
    options = ["--workers", "1", "--memory", "1GB"]
    try:
        done = subprocess.run([*asked, *options], capture_output=True, text=True, check=True, start_new_session=True)
        assert "python:     ailab_dataproc.connect('lab')" in done.stdout
        assert len(workers(Plan.read(folder_of("lab")))) == 1
    finally:
        stop("lab")


def test_interrupting_the_start_leaves_nothing():
    asked = [sys.executable, "-m", "ailab_dataproc", "cluster", "up", "--port", "0", "--dashboard", "127.0.0.1:0"]
    process = subprocess.Popen([*asked, "--memory", "1GB"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: lives().get("scheduler"))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert not processes.with_cookie(Plan.read(folder_of("lab")).cookie)
        assert State.read(folder_of("lab")) is None
    finally:
        process.kill()
        process.communicate()
        stop("lab")


def test_a_worker_that_can_not_start_is_told_with_the_reason_and_nothing_is_left(clusters, tmp_path):
    (tmp_path / "scratch").write_text("a file, where a folder is wanted")
    with pytest.raises(ClusterFailed, match=r"(?s)'lab': its worker-0 doesn't start \(.*\)\. See .*worker-0\.log"):
        clusters(wanted(scratch=str(tmp_path / "scratch")))
    assert not processes.with_cookie(Plan.read(folder_of("lab")).cookie)


def test_joining_where_nobody_listens_is_one_sentence():
    port = ports.check("127.0.0.1", 0)
    with pytest.raises(ClusterFailed, match=f"127.0.0.1:{port}: nobody listens there"):
        starting.up(wanted(join=f"tcp://127.0.0.1:{port}"))


def test_missing_certificates_name_the_command():
    done = run("up", "--host", socket.gethostname(), "--port", "0")
    assert done.exit_code == 2
    assert "Make certificates with `ailab-dataproc cluster certs`" in done.output


def test_plain_tcp_to_another_machine_wants_insecure():
    with pytest.raises(InvalidRequest, match=r"--join: tcp://10\.0\.0\.5:8786 is not encrypted"):
        building.encrypted("127.0.0.1", "tcp://10.0.0.5:8786", insecure=False)
    assert building.encrypted("10.0.0.5", None, insecure=False)
    assert not building.encrypted("10.0.0.5", None, insecure=True)
    assert not building.encrypted("::1", None, insecure=False)


def test_insecure_warns():
    (told,) = building.warnings(wanted(host="10.0.0.5", insecure=True))
    assert told.endswith("who reaches it can run code as you")


def test_workers_that_take_more_than_is_free_are_told():
    (told,) = building.warnings(wanted(workers=4, memory=4 * GB))
    assert told.startswith("the workers may take 16.0 GB together, and 8.0 GB are free")


def test_somebodys_own_configuration_is_not_overwritten():
    file = Path("~/.config/ailab_dataproc/clusters/lab.yaml").expanduser()
    file.parent.mkdir(parents=True)
    file.write_text("address: tls://elsewhere:8786\n")
    with pytest.raises(InvalidRequest, match="somebody has written it for another cluster"):
        starting.up(wanted())
    assert file.read_text() == "address: tls://elsewhere:8786\n"
    assert not folder_of("lab").exists()


@pytest.mark.parametrize("name", ["../lab", "", "a b"])
def test_a_name_is_no_path(name):
    with pytest.raises(InvalidRequest, match="found the name"):
        folder_of(name)


def test_the_name_of_a_shipped_configuration_is_refused():
    with pytest.raises(InvalidRequest, match="a configuration that comes with the package has this name"):
        starting.up(wanted("gpu"))


def test_an_unknown_name_is_told():
    with pytest.raises(UnknownName, match="no cluster 'nowhere'"):
        telling.status("nowhere")


def test_cores_and_free_memory_are_shared_out():
    assert building.sizes(building.Wanted(name="lab", cores=16, free=100 * GB)) == building.Sizes(4, 4, 22_500_000_000)
    some = building.sizes(building.Wanted(name="lab", cores=16, free=100 * GB, workers=2))
    assert (some.workers, some.threads) == (2, 8)


def test_each_gpu_gets_a_worker_of_dask_cuda_and_the_cores_are_its_jobs():
    asked = building.Wanted(name="lab", cores=16, free=100 * GB, gpus=("GPU-a", "GPU-b"))
    first, second = building.build(asked).members[1:]
    assert first.environment == {"CUDA_VISIBLE_DEVICES": "GPU-a"}
    assert second.name == "gpu-1"
    assert first.command[1:5] == ("-m", "dask", "cuda", "worker")
    assert "JOB=8 MEMORY=45000000000 GPU=1" in first.command


def test_a_worker_that_joins_elsewhere_is_not_bound_to_loopback():
    elsewhere = building.build(wanted(join="tls://10.0.0.5:8786", tls="/tls")).members[0].command
    assert "--host" not in elsewhere
    here = building.build(wanted(join="tcp://127.0.0.1:8786")).members[0].command
    assert here[here.index("--host") + 1] == "127.0.0.1"


def test_logs_are_bounded(tmp_path):
    log = Log(tmp_path / "worker.log", limit=1000)
    for number in range(100):
        log.write(f"{number:099d}\n".encode())
    files = sorted(file.name for file in tmp_path.iterdir())
    assert files == ["worker.log", *(f"worker.log.{number}" for number in range(1, KEPT + 1))]
    assert max(file.stat().st_size for file in tmp_path.iterdir()) <= 1000
    assert (tmp_path / "worker.log").read_text().splitlines()[-1] == f"{99:099d}"


def test_the_last_error_of_a_log_is_its_cause(tmp_path):
    log = tmp_path / "worker.log"
    log.write_text(
        "OSError: [Errno 98] Address already in use\n  File x\nRuntimeError: Nanny failed to start.\n"
        "2026-11-23 19:30:23,839 - distributed.dask_worker - INFO - End worker\n"
    )
    assert last_error(log) == "OSError: [Errno 98] Address already in use"


def test_a_recycled_pid_is_not_taken_for_a_process():
    from ailab_dataproc.cluster.lab.state import Life

    assert not Life(name="worker-0", pid=os.getpid(), began="1").alive()


def test_a_program_that_is_not_there_is_tried_again(tmp_path):
    from ailab_dataproc.cluster.lab.supervisor import Kept

    (tmp_path / "logs").mkdir()
    member = Member(name="worker-0", command=("/nowhere/python",))
    plan = Plan(name="lab", address="", cookie="none", members=(member,), environment={})
    kept = Kept(member, plan, tmp_path)
    kept.look()
    kept.process.wait()
    kept.look()
    assert kept.life.last_exit.startswith("exit code 1 at ")
    assert "FileNotFoundError" in last_error(tmp_path / "logs/worker-0.log")


def test_a_log_that_can_not_be_written_stops_nobody(tmp_path):
    log = Log(Path("/dev/full"))
    process = subprocess.Popen([sys.executable, "-c", "print('x' * 300_000)"], stdout=subprocess.PIPE)
    log.follow(process.stdout).join(timeout=30)
    assert process.wait(timeout=30) == 0


def test_what_ends_early_waits_longer_and_longer(tmp_path):
    from ailab_dataproc.cluster.lab.supervisor import Kept

    (tmp_path / "logs").mkdir()
    member = Member(name="worker-0", command=(shutil.which("false"),))
    plan = Plan(name="lab", address="", cookie="none", members=(member,), environment={})
    kept, times = Kept(member, plan, tmp_path), []
    for _ in range(3):
        ended = time.monotonic()
        wait_until(kept.look)  # it is started
        times.append(time.monotonic() - ended)
        kept.process.wait()
        kept.look()  # its end is seen
    assert kept.life.restarts == 3
    assert kept.life.last_exit.startswith("exit code 1 at ")
    assert times[0] < times[1] < times[2]


def test_an_expired_or_missing_certificate_stops_the_start(tmp_path):
    with pytest.raises(SettingsError, match="does not exist"):
        starting.up(wanted(tls=str(tmp_path)))


def test_the_configuration_names_address_and_certificates(running):
    values = yaml.safe_load(running.config.read_text())
    assert values["address"] == running.plan.address
    assert set(values["security"]) == {"ca", "cert", "key"}
