"""Runners: a real Dask cluster over TCP and Beam's portable runner write the same bytes; what is wrong is told."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from conftest import clicks
from lab import wait_until

import ailab_dataproc
from ailab_dataproc import configuration, storage
from ailab_dataproc.cluster import connect, find_cluster
from ailab_dataproc.errors import (
    AilabError,
    ClusterFailed,
    InvalidRequest,
    MissingLibrary,
    SettingsError,
    StorageFailed,
    UnknownName,
)
from ailab_dataproc.preparation import runners
from ailab_dataproc.preparation.engines import beam_options, dask, dask_workers, versions
from ailab_dataproc.preparation.options import Options
from ailab_dataproc.preparing import prepare

ROOT = Path(ailab_dataproc.__file__).parents[1]
BEAM = sorted((ROOT / "configs" / "beam").glob("*.yaml"))
CLUSTERS = sorted((ROOT / "configs" / "clusters").glob("*.yaml"))

TOLD = '''"""Clicks, told in a file of the author's."""
import os, signal, time
import pyarrow as pa, pyarrow.csv as csv
from ailab_dataproc import Dataset, column

def helped(batch):
    return batch

def read(source):
    if source.name in WAITING:
        with open(FOLDER + "/started-" + source.name, "a") as log:
            log.write(f"{os.getpid()}\\n")
        while os.path.exists(FOLDER + "/wait"):
            time.sleep(0.05)
    if source.name == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    for batch in csv.open_csv(source.open()):
        yield helped(batch)

schema = pa.schema([column("user", pa.int64(), "who"), column("price", pa.float64(), "bid"),
                    column("word", pa.string(), "what", nullable=True)])
dataset = Dataset(name="test/told", version="1.0.0", schema=schema, splits={"train": FOLDER + "/sources/*.csv"},
                  description=__doc__, read=read)
'''


ARRANGED = """
import pyarrow as pa
from ailab_dataproc import Dataset, by_hash, column

schema = pa.schema([column("user", pa.int64(), "who"), column("price", pa.float64(), "bid"),
                    column("word", pa.string(), "what", nullable=True)])
splits = by_hash("user", {"train": 0.75, "test": 0.25}, sources=FOLDER + "/sources/*.csv")
dataset = Dataset(name="test/told", version="1.0.0", schema=schema, splits=splits, key="user", order="shuffled")
"""


@pytest.fixture
def define_told(tmp_path, monkeypatch):
    """Write a definition that no worker can import, and eight sources, each of them a task."""

    def make(waiting=(), deadly=None):
        text = TOLD.replace("FOLDER", repr(str(tmp_path))).replace("WAITING", repr(tuple(waiting)))
        place = tmp_path / "definitions" / "test" / "told.py"
        place.parent.mkdir(parents=True)
        place.write_text(text.replace("DEADLY", repr(deadly)))
        (tmp_path / "sources").mkdir()
        for number, letter in enumerate("abcdefgh"):
            (tmp_path / "sources" / f"{letter}.csv").write_text(clicks(50, start=number * 1000))
        monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "definitions"))
        return "test/told"

    return make


def made(data_dir, name="test/told", **options):
    """Prepare with a task for each source, and return the digests of all files but the manifest."""
    from test_prepare import digests, small, version

    from ailab_dataproc import catalog
    from ailab_dataproc.settings import load_settings

    small(catalog.find(name, load_settings()), str(data_dir), **options)
    return digests(version(data_dir, name))


@pytest.fixture
def reference(define_told, tmp_path):
    """A definition, and the digests of what one thread makes of it."""
    define_told()
    return made(tmp_path / "reference", runner="inline")


def started(folder, *command, **environment):
    """A process in a folder of its own, which imports the package but none of the tests."""
    place = Path(folder) / "elsewhere"
    place.mkdir(parents=True, exist_ok=True)
    given = {k: v for k, v in os.environ.items() if not k.startswith(("AILAB_", "PYTHON"))}
    given |= {"PYTHONPATH": str(ROOT), "HOME": str(place), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    with open(place / "log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *command], cwd=place, env=given | environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


def ended(process):
    """Kill a process and its children."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def dask_worker(folder, address, *options, **environment):
    command = ("distributed.cli.dask_worker", address, "--nthreads", "1", "--memory-limit", "0", "--no-dashboard")
    process = started(folder, *command, *(options or ("--no-nanny",)), **environment)
    try:
        yield process
    finally:
        ended(process)


@contextmanager
def dask_cluster(folder, workers, *options, **environment):
    """A scheduler and workers, each a process, over TCP; yields address, scheduler and workers.

    The environment is the scheduler's.
    """
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    command = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    scheduler = started(folder, *command, **environment)
    try:
        with ExitStack() as stack:
            found = [stack.enter_context(dask_worker(folder, address, *options)) for _ in range(workers)]
            with connect(address, timeout=60) as client:
                wait_until(lambda: len(client.scheduler_info()["workers"]) == workers)
            yield address, scheduler, found
    finally:
        ended(scheduler)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a scheduler with two workers."""
    with dask_cluster(tmp_path_factory.mktemp("cluster"), 2) as (address, _, _):
        yield address


def receipts(data_dir):
    return sorted(Path(data_dir).rglob("receipts/*.arrow"))


def test_two_dask_workers_write_the_same_bytes(reference, cluster, tmp_path):
    assert made(tmp_path / "dask", runner="dask", cluster=cluster) == reference
    assert any(name.startswith("tfrecord/") for name in reference)


def test_dask_workers_shuffle_share_out_and_compare_keys_as_one_thread_does(cluster, tmp_path, monkeypatch):
    place = tmp_path / "definitions" / "test" / "told.py"
    place.parent.mkdir(parents=True)
    place.write_text(ARRANGED.replace("FOLDER", repr(str(tmp_path))))
    (tmp_path / "sources").mkdir()
    for number, letter in enumerate("abcdefgh"):
        (tmp_path / "sources" / f"{letter}.csv").write_text(clicks(50, start=number * 1000))
    monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "definitions"))
    assert made(tmp_path / "dask", runner="dask", cluster=cluster) == made(tmp_path / "inline", runner="inline")


def test_one_dask_worker_writes_the_same_bytes(reference, tmp_path):
    with dask_cluster(tmp_path, 1) as (address, _, _):
        assert made(tmp_path / "dask", runner="dask", cluster=address) == reference


def test_the_report_tells_how_many_workers_the_cluster_has(define_told, cluster, tmp_path):
    define_told()
    report = prepare("test/told", data_dir=str(tmp_path / "data"), runner="dask", cluster=cluster)
    assert report.runner == "dask, 2 workers"
    assert report.rows == {"train": 400}
    assert not list((tmp_path / "data").rglob("probe-*"))


def test_an_engine_runs_any_function_over_more_items_than_it_shows_to_the_scheduler(cluster, tmp_path):
    from ailab_dataproc.preparation.tasks import Task

    def mark(task):
        (Path(place) / task.label).write_text("done")

    place = str(tmp_path)
    engine = runners.choose(Options(runner="dask", cluster=cluster), storage.folder(place))
    tasks = [Task("train", number, ()) for number in range(200)]
    with engine.open(storage.folder(tmp_path / "stage")) as run:
        run(mark, tasks[:150])
        run(mark, tasks[150:])
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {task.label for task in tasks}


def test_a_row_that_does_not_fit_is_told_by_a_dask_worker_as_by_any_other(define_told, cluster, tmp_path):
    define_told()
    (tmp_path / "sources" / "c.csv").write_text("user,price,word\nnobody,1,x\n")
    with pytest.raises(AilabError, match=r"c\.csv.*nobody"):
        made(tmp_path / "data", runner="dask", cluster=cluster)
    assert not list((tmp_path / "data").rglob("*.parquet"))


def test_a_shard_that_gets_lost_is_missed(define_told, cluster, tmp_path):
    define_told(waiting=["h.csv"])
    (tmp_path / "wait").touch()
    with ThreadPoolExecutor(1) as pool:
        preparing = pool.submit(made, tmp_path / "data", runner="dask", cluster=cluster)
        wait_until(lambda: len(receipts(tmp_path / "data")) == 7 or preparing.done())
        receipts(tmp_path / "data")[2].unlink()
        (tmp_path / "wait").unlink()
        with pytest.raises(StorageFailed, match="ended without train-00002"):
            preparing.result()
    assert not list((tmp_path / "data").rglob("manifest.json"))


def test_a_worker_that_is_killed_costs_time_and_no_data(define_told, tmp_path):
    define_told(waiting=["d.csv"])
    (tmp_path / "wait").touch()
    log = tmp_path / "started-d.csv"
    with dask_cluster(tmp_path, 2) as (address, _, _), ThreadPoolExecutor(1) as pool:
        preparing = pool.submit(made, tmp_path / "data", runner="dask", cluster=address)
        wait_until(lambda: (log.exists() and log.read_text().endswith("\n")) or preparing.done())
        os.kill(int(log.read_text()), signal.SIGKILL)
        wait_until(lambda: len(log.read_text().split()) == 2 or preparing.done())
        (tmp_path / "wait").unlink()
        found = preparing.result()
    assert len(set(log.read_text().split())) == 2
    assert found == made(tmp_path / "reference", runner="inline")


@pytest.mark.slow
def test_a_source_that_kills_each_worker_is_named(define_told, tmp_path):
    define_told(deadly="e.csv")
    with (
        dask_cluster(tmp_path, 2, "--nanny") as (address, _, _),
        pytest.raises(ClusterFailed, match=r"task train-00004 \(\S*e\.csv\): the 2 Dask workers died"),
    ):
        made(tmp_path / "data", runner="dask", cluster=address)
    assert len(receipts(tmp_path / "data")) == 7  # all others are done, and kept


@pytest.mark.slow
def test_a_cluster_without_workers_is_given_up(define_told, tmp_path, monkeypatch):
    define_told(deadly="e.csv")
    monkeypatch.setattr(dask, "_PATIENCE", 2.0)
    monkeypatch.setattr(dask, "_LOOK", 0.5)
    with (
        dask_cluster(tmp_path, 1) as (address, _, _),
        pytest.raises(ClusterFailed, match=r"lost its last worker.*e\.csv.*Whole shards are kept"),
    ):
        made(tmp_path / "data", runner="dask", cluster=address)


@pytest.mark.slow
def test_a_lost_scheduler_is_told_and_the_next_run_goes_on(define_told, tmp_path):
    define_told(waiting=["a.csv"])  # the smallest comes last
    (tmp_path / "wait").touch()
    with dask_cluster(tmp_path, 1) as (address, scheduler, _), ThreadPoolExecutor(1) as pool:
        preparing = pool.submit(made, tmp_path / "data", runner="dask", cluster=address)
        wait_until(lambda: len(receipts(tmp_path / "data")) == 7 or preparing.done())
        ended(scheduler)
        with pytest.raises(ClusterFailed, match="scheduler is gone"):
            preparing.result(timeout=90)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*-00000.parquet")}
    (tmp_path / "wait").unlink()
    found = made(tmp_path / "data", runner="inline")
    assert found == made(tmp_path / "reference", runner="inline")
    written = {path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.parquet")}
    assert len(kept) == 7
    assert set(kept.values()) <= written


def test_a_worker_that_does_not_see_the_folder_is_named(define_told, cluster, tmp_path, monkeypatch):
    define_told()
    monkeypatch.chdir(tmp_path)  # the same path is another place for a process that stands elsewhere
    told = r"the Dask worker tcp://127.*does not see /proc/self/cwd/data/.* 0 of 2 do\. Put the data directory"
    with pytest.raises(ClusterFailed, match=told):
        made("/proc/self/cwd/data", runner="dask", cluster=cluster)
    assert not list((tmp_path / "data").rglob(".incomplete*"))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("import ailab_dataproc as one; one.__version__ = '0.0.9'", "has ailab_dataproc 0.0.9, wanted"),
        ("import sys, types; sys.modules['pyarrow'] = one = types.ModuleType('pyarrow'); one.__version__ = '9.0.0'",
         "has pyarrow 9.0.0, wanted"),
        ("import sys; sys.modules['ailab_dataproc'] = None", "has no ailab_dataproc, wanted"),
    ],
    ids=["other version", "other pyarrow", "not installed"],
)  # fmt: skip
def test_a_worker_with_other_versions_is_named(define_told, tmp_path, lines, told):
    define_told()
    (tmp_path / "sitecustomize.py").write_text(lines)
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    with (
        dask_cluster(tmp_path, 0) as (address, _, _),
        dask_worker(tmp_path, address, PYTHONPATH=path),
        pytest.raises(ClusterFailed, match=f"the Dask worker tcp://.* {told} .* as here"),
    ):
        made(tmp_path / "data", runner="dask", cluster=address)
    assert not (tmp_path / "data").exists()


def test_a_scheduler_without_the_package_is_told(define_told, tmp_path):
    define_told()
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['ailab_dataproc'] = None")
    told = "the Dask scheduler has no ailab_dataproc, wanted"
    with (
        dask_cluster(tmp_path, 1, PYTHONPATH=str(tmp_path)) as (address, _, _),
        pytest.raises(ClusterFailed, match=told),
    ):
        made(tmp_path / "data", runner="dask", cluster=address)


def test_a_cluster_that_has_no_worker_is_told(tmp_path):
    with (
        dask_cluster(tmp_path, 0) as (address, _, _),
        connect(address) as client,
        pytest.raises(ClusterFailed, match=f"{address}: the Dask cluster has no worker after 1 s"),
    ):
        dask_workers.check(client, storage.folder(tmp_path / "stage"), patience=1.0)


def test_an_address_where_nobody_answers_is_told(define_told, tmp_path):
    define_told()
    address = f"tcp://127.0.0.1:{free_port()}"
    told = f"{address}: no Dask scheduler answers within 1 s"
    with pytest.raises(ClusterFailed, match=told), connect(address, timeout=1):
        pass


@pytest.mark.slow
def test_a_cluster_on_this_machine_writes_the_same_bytes(reference, tmp_path):
    assert made(tmp_path / "dask", runner="dask", cluster="local") == reference


@pytest.mark.parametrize("file", CLUSTERS, ids=lambda file: file.stem)
def test_each_cluster_that_comes_with_the_package_is_understood(file, monkeypatch, tmp_path):
    for name in ("ca", "cert", "key"):
        path = Path("~/.config/ailab_dataproc/tls").expanduser() / f"{name}.pem"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_cluster(file.stem)
    assert found.address or found.kind
    assert found == find_cluster(str(file))


def test_a_cluster_of_the_user_goes_before_that_of_the_package():
    own = Path("~/.config/ailab_dataproc/clusters/local.yaml").expanduser()
    own.parent.mkdir(parents=True)
    own.write_text("address: tls://10.0.0.1:8786\n")
    assert find_cluster("local").address == "tls://10.0.0.1:8786"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("adress: tcp://a:1", "no key 'adress'. Did you mean 'address'"),
        ("address: tcp://a:1\ncluster: 'distributed:LocalCluster'", "wanted either address"),
        ("options: {}", "wanted either address"),
        ("address: tls://a:1\nsecurity: {cert: /nothing.pem}", "cert: /nothing.pem does not exist"),
        ("address: tls://a:1\nsecurity: {certificate: x}", "Did you mean 'cert'"),
        ("cluster: 'distributed:LocalClusters'", "distributed has no 'LocalClusters'"),
        ("cluster: 'dask_nowhere:Cluster'", "can't be imported"),
        ("cluster: 'distributed:LocalCluster'\noptions: {n_worker: 1}", "argument 'n_worker'"),
        ("cluster: 'distributed:Security'\noptions: {n_worker: 1}", "distributed:Security refuses its options"),
        ("address: 8786", "address is 8786, which has the wrong type"),
    ],
)
def test_a_mistake_in_the_configuration_of_a_cluster_is_told(tmp_path, text, told):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(AilabError, match=re.escape(told)), connect(str(file)):
        pass


LOCAL, BUCKET = "/data", "gs://bucket/data"
GOOGLE = {"project": "my-project", "region": "europe-west4", "temp_location": "gs://bucket/tmp"}
GOOGLE["staging_location"] = "gs://bucket/staging"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"runner": "thread"}, "no runner 'thread'. Did you mean 'threads'"),
        ({"runner": "flinc"}, "Did you mean 'flink'"),
        ({"runner": "/nothing.yaml"}, "/nothing.yaml: the configuration does not exist"),
        ({"runner": "threads", "cluster": "local"}, "cluster='local' is of runner='dask'"),
        ({"runner": "threads", "beam_options": {"x": 1}}, "beam_options are of Beam's other runners"),
        ({"runner": "dask", "workers": 2}, "workers=2: a Dask cluster has its own"),
        ({"runner": "dask", "cluster": "shard"}, "no cluster 'shard'. Did you mean 'shared'"),
        ({"runner": "portable", "workers": 2}, "PortableRunner has no option for it"),
        ({"runner": "portable", "beam_options": {"job_endpoint": None}}, "no job server is named"),
        ({"runner": "portable", "beam_options": {"job_endpoints": "x"}}, "Did you mean 'job_endpoint'"),
        ({"runner": "portable", "beam_options": {"environment_type": "PROCESS"}}, "process_command is required"),
        ({"runner": "flink"}, "found neither job_endpoint nor flink_job_server_jar"),
        ({"runner": "spark"}, "found neither job_endpoint nor spark_job_server_jar"),
        ({"runner": "flink", "beam_options": {"flink_job_server_jar": "/no.jar"}}, "'/no.jar' does not exist"),
        ({"runner": "flink", "beam_options": {"job_endpoint": "h:1", "parallelism": "many"}}, "invalid int value"),
        ({"runner": "flink", "beam_options": {"job_endpoint": "h:1", "flink_version": 9}}, "invalid choice"),
        ({"runner": "dataflow", "beam_options": GOOGLE}, "workers of Dataflow do not see the folder /data"),
        ({"runner": "dataflow", "data": BUCKET}, "Missing GCS path option: temp_location"),
        (
            {"runner": "dataflow", "data": BUCKET, "beam_options": GOOGLE | {"project": None}},
            "required option: project",
        ),
        ({"runner": "dataflow", "data": BUCKET, "beam_options": GOOGLE | {"temp_location": "/data"}}, "Invalid GCS"),
    ],
)
def test_what_can_not_work_is_refused_before_anything_starts(given, told):
    data_dir = storage.folder(given.pop("data", LOCAL))
    with pytest.raises((InvalidRequest, UnknownName, SettingsError), match=re.escape(told)):
        runners.choose(Options(**given), data_dir)


@pytest.mark.parametrize("runner", ["DirectRunner", "PrismRunner", "apache_beam.runners.dask.dask_runner.DaskRunner"])
def test_runners_that_download_or_lose_are_refused(tmp_path, runner):
    (tmp_path / "own.yaml").write_text(f"runner: {runner}\n")
    with pytest.raises(InvalidRequest, match="is not used, since it"):
        runners.choose(Options(runner=str(tmp_path / "own.yaml")), storage.folder(LOCAL))


def test_a_job_server_is_not_started_without_java(tmp_path, monkeypatch):
    (tmp_path / "server.jar").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    options = {"spark_job_server_jar": str(tmp_path / "server.jar")}
    with pytest.raises(AilabError, match="there is no 'java' to start the job server with"):
        runners.choose(Options(runner="spark", beam_options=options), storage.folder(LOCAL))


def options_of(file):
    """All options of a configuration, those that are commented out included."""
    text = re.sub(r"^  # ([a-z_]+: )", r"  \1", file.read_text(), flags=re.MULTILINE)
    return yaml.safe_load(text)


@pytest.mark.parametrize("file", BEAM, ids=lambda file: file.stem)
def test_beam_knows_each_option_of_the_configurations_and_takes_its_value(file):
    values = options_of(file)
    config = beam_options.Config(file.stem, values["runner"], values["options"])
    taken = beam_options.parsed(config).get_all_options()
    for option, value in values["options"].items():
        assert str(taken[option]) == str(value), option
    assert len(values["options"]) > len(yaml.safe_load(file.read_text())["options"]) > 1


def test_the_options_of_dataflow_are_complete_when_all_that_is_commented_out_is_given():
    given = options_of(ROOT / "configs" / "beam" / "dataflow.yaml")["options"]
    with suppress(MissingLibrary):  # Google's; Beam's validator has said yes by then
        assert runners.choose(Options(runner="dataflow", beam_options=given), storage.folder(BUCKET)).workers == 8


def test_workers_become_the_option_of_the_runner():
    asked = Options(runner="flink", workers=7, beam_options={"job_endpoint": "host:8099"})
    engine = runners.choose(asked, storage.folder(LOCAL))
    assert engine.workers == 7
    assert engine.describe()["beam_options"]["parallelism"] == 7


def test_what_is_recorded_of_a_runner_holds_no_secret_and_no_path(tmp_path):
    (tmp_path / "flink.jar").touch()
    secret = {"s3_secret_access_key": "abc", "environment_options": ["docker_container_image=x"]}
    options = secret | {"flink_job_server_jar": str(tmp_path / "flink.jar"), "flink_submit_uber_jar": True}
    engine = runners.choose(Options(runner="flink", beam_options=options), storage.folder(LOCAL))
    assert engine.describe() == {
        "runner": "flink",
        "workers": 0,
        "beam_runner": "FlinkRunner",
        "beam_options": {
            "environment_options": "hidden",
            "environment_type": "DOCKER",
            "flink_job_server_jar": "flink.jar",
            "flink_master": "[auto]",
            "flink_submit_uber_jar": True,
            "flink_version": "2.2",
            "s3_secret_access_key": "hidden",
        },
    }


@pytest.mark.slow
def test_the_portable_runner_writes_the_same_bytes(reference, tmp_path):
    assert made(tmp_path / "portable", runner="portable") == reference


@pytest.fixture
def beam_cluster(tmp_path):
    """The addresses of a job server and of a pool of workers, each a process: Beam's own, that need no Java."""
    server, pool = free_port(), free_port()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # the pool starts `python`
    both = [
        started(tmp_path, "apache_beam.runners.portability.local_job_service_main", "--port", str(server)),
        started(tmp_path, "apache_beam.runners.worker.worker_pool_main", "--service_port", str(pool), PATH=path),
    ]
    try:
        for port in (server, pool):
            wait_until(lambda port=port: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        yield f"127.0.0.1:{server}", f"127.0.0.1:{pool}"
    finally:
        for process in both:
            ended(process)


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["flink", "spark"])
def test_workers_that_get_their_work_from_a_job_server_write_the_same_bytes(reference, beam_cluster, tmp_path, runner):
    server, pool = beam_cluster
    options = {"job_endpoint": server, "environment_type": "EXTERNAL", "environment_config": pool}
    assert made(tmp_path / "beam", runner=runner, beam_options=options) == reference


def test_a_worker_of_beam_that_differs_does_no_work():
    with pytest.raises(ClusterFailed, match=r"has pyarrow .*, wanted 1\.0\.0 as here"):
        versions.run_checked(versions.here() | {"pyarrow": "1.0.0"}, print, "nothing")


def test_configurations_are_found_beside_the_package():
    assert configuration.names("clusters") == ["gateway", "gpu", "kubernetes", "local", "shared", "slurm", "ssh"]
    assert configuration.names("beam") == ["dataflow", "flink", "portable", "spark"]


def test_options_of_beam_are_given_on_the_command_line(define_told, tmp_path):
    from click.testing import CliRunner

    from ailab_dataproc.cli import cli

    define_told()
    line = ["prepare", "test/told", "--data-dir", str(tmp_path / "data"), "--runner", "flink"]
    ended_ = CliRunner().invoke(cli, [*line, "--beam-option", "flink_job_server_jar=/no.jar"])
    assert ended_.exit_code == 2
    assert "error: runner 'flink': flink_job_server_jar='/no.jar' does not exist" in ended_.output
    assert CliRunner().invoke(cli, [*line, "--beam-option", "jar"]).exit_code == 2
