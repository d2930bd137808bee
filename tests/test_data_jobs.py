"""Jobs on data: what they load and with which memory, what they make, and a script that is the same on a cluster."""

from __future__ import annotations

import contextlib
import functools
import json
import linecache
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import clicks as rows
from distributed import Client
from lab import lab

import ailab_dataproc as adp
from ailab_dataproc.errors import BackendRefused, InvalidRequest, UnknownName
from ailab_dataproc.jobs import data
from ailab_dataproc.jobs.record import Work
from ailab_dataproc.machine import JOB_MEMORY, free_memory
from ailab_dataproc.manifest import Prepared, open_prepared
from ailab_dataproc.storage import checksum, folder

ROWS = 40
# What the driver of a job does with its work, without a job around it.
DRIVER = """
import json, logging, sys
import cloudpickle
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
from ailab_dataproc.jobs.data import perform
with open(sys.argv[1], "rb") as file:
    work = cloudpickle.load(file)
print(json.dumps(perform(work), default=str))
"""


@pytest.fixture
def clicks(make, data_dir, monkeypatch):
    """The data directory of a prepared dataset of two files, which the settings name."""
    make({"a.csv": rows(ROWS // 2), "b.csv": rows(ROWS // 2, ROWS // 2)})
    monkeypatch.setenv("AILAB_DATA_DIR", data_dir)
    return data_dir


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers."""
    with lab(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture
def run(clicks, tmp_path, monkeypatch):
    """Do work as a job does: in a process that knows the job's cluster; returns the result and the log."""

    def done(work, cluster=None, cwd=tmp_path, **environment):
        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the other process has no such module
        (tmp_path / "work.pkl").write_bytes(cloudpickle.dumps(work))
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
        monkeypatch.setenv("AILAB_JOB", "20261123-190000-test-0000")
        if cluster:
            monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.address)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, "-c", DRIVER, str(tmp_path / "work.pkl")]
        found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
        monkeypatch.delenv("AILAB_JOB")
        monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
        if found.returncode:
            return None, found.stderr
        return json.loads(found.stdout.splitlines()[-1]), found.stderr

    return done


def total(frame, factor=1):
    """Of a frame of pandas or Dask."""
    found = frame["price"].sum() * factor
    return [type(frame).__module__.split(".")[0], float(found.compute() if hasattr(found, "compute") else found)]


def doubled(frame, factor=2):
    return frame.assign(double=frame["price"] * factor)


def first_three(frame):
    """Of a frame of Polars."""
    return frame.slice(0, 3)


PRICES = sum(i / 4 for i in range(ROWS // 2)) + sum(i / 4 for i in range(ROWS // 2, ROWS))


def test_a_function_without_a_dataset_is_called_with_its_arguments(run):
    found, _ = run(Work(function=pow, args=(2, 5), kwargs={"mod": 7}))
    assert found == 4


def test_a_function_by_its_name_is_imported_where_the_job_runs(run, tmp_path):
    (tmp_path / "mylab.py").write_text("def count(frame, extra):\n    return len(frame) + extra\n")
    found, _ = run(Work(function="mylab:count", args=(2,), reference="test/clicks", load={"split": "train"}))
    assert found == ROWS + 2


def test_a_function_that_can_not_be_imported_is_told_with_its_module(run, tmp_path):
    (tmp_path / "mylab.py").write_text("import no_such_library\n")
    _, log = run(Work(function="mylab:count"))
    assert "mylab:count: importing 'mylab' raised ModuleNotFoundError: No module named 'no_such_library'" in log


@pytest.mark.parametrize("backend", ["pandas", "dask"])
def test_a_function_gets_the_loaded_dataset_and_its_arguments(run, cluster, backend):
    work = Work(function=total, kwargs={"factor": 2}, reference="test/clicks", load={"backend": backend})
    found, _ = run(work, cluster)
    assert found == [backend, 2 * PRICES]


def test_the_log_says_which_backend_and_why_and_what_was_loaded(run, cluster):
    load = {"split": "train[:50%]", "columns": ["price"]}
    _, log = run(Work(function=total, reference="test/clicks", load=load), cluster)
    assert "pandas" in log
    assert "the first on the ladder that fits" in log
    assert f"test/clicks:1.0.0: {ROWS // 2} rows of train" in log


def test_auto_takes_the_cluster_where_the_memory_of_the_job_does_not_suffice(run, cluster):
    found, log = run(Work(function=total, reference="test/clicks"), cluster, **{JOB_MEMORY: "1"})
    assert found == ["dask", PRICES]
    assert "half of the free memory is 0 B" in log


def test_an_eager_backend_is_refused_what_the_memory_of_the_job_can_not_hold(run, cluster):
    work = Work(function=total, reference="test/clicks", load={"backend": "pandas"})
    _, log = run(work, cluster, **{JOB_MEMORY: "1"})
    assert "BackendRefused: backend 'pandas': needs" in log


def test_the_memory_of_a_job_limits_what_is_free(monkeypatch):
    monkeypatch.setenv(JOB_MEMORY, "1000")
    assert free_memory() == 0
    monkeypatch.setenv(JOB_MEMORY, str(1 << 60))
    limited = free_memory()
    monkeypatch.delenv(JOB_MEMORY)
    assert limited > 0


def test_a_data_directory_that_the_worker_does_not_see_is_told_with_the_host(run, tmp_path):
    work = Work(function=total, reference="test/clicks")
    _, log = run(work, AILAB_DATA_DIR=str(tmp_path / "elsewhere"))
    assert f"StorageFailed: {tmp_path}/elsewhere: the data directory does not exist on " in log


def test_an_output_is_made_on_the_jobs_own_cluster_and_loadable_by_name(run, cluster, clicks):
    output = data.output(doubled, {}, {}, name="test/doubled", version="1.0.0")
    _, log = run(Work(function=doubled, reference="test/clicks", output=output), cluster)
    found = adp.load("test/doubled", backend="pandas")
    wanted = adp.load("test/clicks", backend="pandas")
    pd.testing.assert_frame_equal(found, wanted.assign(double=wanted["price"] * 2))
    manifest = prepared(clicks, "test/doubled").manifest
    assert manifest.provenance["runner"] == "dask"
    assert manifest.provenance["workers"] == 2
    assert str(manifest.lineage) == "test/clicks:1.0.0 by test_data_jobs.doubled"
    assert "test/doubled:1.0.0: 40 rows" in log


def test_a_job_makes_the_same_version_as_map_partitions_here(run, cluster):
    kwargs = {"factor": 3}
    output = data.output(doubled, kwargs, {}, name="test/tripled", version="1.0.0")
    run(Work(function=doubled, kwargs=kwargs, reference="test/clicks", output=output), cluster)
    again = functools.partial(doubled, factor=3)
    assert adp.map_partitions(again, "test/clicks", name="test/tripled", version="1.0.0").reused


def test_the_code_of_a_function_without_a_file_is_known_from_who_submits(run, cluster, clicks):
    """A notebook's cell: its text is nowhere on the workers."""
    source = "def cell(frame):\n    return frame[['user']]\n"
    linecache.cache["<cell 1>"] = (len(source), None, source.splitlines(True), "<cell 1>")
    namespace = {"__name__": "__main__"}
    exec(compile(source, "<cell 1>", "exec"), namespace)  # noqa: S102 - as a notebook does
    output = data.output(namespace["cell"], {}, {}, name="test/cell", version="1.0.0")
    _, log = run(Work(function=namespace["cell"], reference="test/clicks", output=output), cluster)
    assert "test/cell:1.0.0: 40 rows" in log


def test_an_output_gets_the_rows_and_the_kind_of_frame_that_are_asked_for(run, cluster):
    load = {"split": "train[:10]", "columns": ["user", "price"], "filters": [("user", "<", 5)], "backend": "polars"}
    output = data.output(first_three, {}, load, name="test/some", version="1.0.0")
    run(Work(function=first_three, reference="test/clicks", load=load, output=output), cluster)
    assert adp.load("test/some", backend="arrow").to_pydict() == {"user": [0, 1, 2], "price": [0.0, 0.25, 0.5]}


@pytest.mark.parametrize("load", [{"limit": 3}, {"sample": 0.1}, {"nulls": "mask"}])
def test_an_output_of_a_part_of_the_rows_is_refused(load):
    with pytest.raises(InvalidRequest, match="a job with output= takes split, columns, filters, allow_pii, backend"):
        data.output(doubled, {}, load, name="test/x", version="1.0.0")


def test_an_output_of_a_lazy_backend_is_refused():
    with pytest.raises(UnknownName, match="a job with output=: no backend 'dask'"):
        data.output(doubled, {}, {"backend": "dask"}, name="test/x", version="1.0.0")


def prepared(data_dir, name) -> Prepared:
    return open_prepared(folder(data_dir), name)


@pytest.fixture
def narrow(tmp_path):
    """A cluster of one worker that may take 200 MB, and a client of it."""
    with limited(tmp_path, "200MB") as client:
        yield client


@contextlib.contextmanager
def limited(tmp_path, memory):
    """A client of a cluster of one worker that may take so much memory."""
    with lab(tmp_path, workers=0) as made:
        made.add_worker("--memory-limit", memory)
        with Client(made.address) as client:
            client.wait_for_workers(1, timeout=60)
            yield client


def grown(data_dir, times):
    """A dataset whose index says that its shards are so many times as large: nothing of it is read."""
    found = prepared(data_dir, "test/clicks")
    path = Path(found.folder.path("index.parquet"))
    table = pq.read_table(path)
    rows = table.to_pylist()
    for row in rows:
        for column in row["columns"].values():
            column["bytes"] *= times
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    manifest = found.manifest.model_copy(update={"index_checksum": checksum(found.folder, "index.parquet")})
    Path(found.folder.path("manifest.json")).write_text(manifest.model_dump_json())


def test_what_fits_is_foreseen_with_the_memory_of_the_cluster(clicks, narrow):
    plan = data.foresee("test/clicks", {"backend": "pandas"}, narrow)
    assert plan.machine.memory == 200_000_000
    assert plan.machine.cluster.address == narrow.scheduler.address


def test_what_no_worker_can_hold_is_refused_though_this_machine_could(clicks, narrow):
    grown(clicks, 300_000)
    assert adp.plan("test/clicks", backend="pandas").need.bytes > 100_000_000
    with pytest.raises(BackendRefused, match=r"its largest worker: backend 'pandas': needs .* memory is 100.0 MB"):
        data.foresee("test/clicks", {"backend": "pandas"}, narrow)


def test_what_the_asked_memory_can_not_hold_is_refused(clicks, narrow):
    with pytest.raises(BackendRefused, match="half of the free memory is 500 B"):
        data.foresee("test/clicks", {"backend": "pandas"}, narrow, memory=1000)


def test_auto_falls_back_to_the_cluster_in_what_is_foreseen(clicks, narrow):
    assert data.foresee("test/clicks", {}, narrow, memory=1000).backend == "dask"


def test_a_column_that_is_not_there_is_told_at_once(clicks, narrow):
    with pytest.raises(UnknownName, match=r"no column 'pric'. Did you mean 'price'"):
        data.foresee("test/clicks", {"columns": ["pric"]}, narrow)


def test_nothing_is_said_of_a_dataset_that_is_not_seen_from_here(narrow, monkeypatch, tmp_path):
    monkeypatch.setenv("AILAB_DATA_DIR", str(tmp_path / "elsewhere"))
    assert data.foresee("test/clicks", {}, narrow) is None


@pytest.fixture
def submit(clicks, cluster, tmp_path, monkeypatch):
    """Submit to the cluster, with a small project around; returns the result and the log."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "steps.py").write_text("def halved(frame):\n    return frame.assign(half=frame['price'] / 2)\n")
    monkeypatch.setenv("AILAB_JOBS_DIR", str(tmp_path / "jobs"))
    monkeypatch.chdir(project)

    def done(function, *args, **given):
        job = adp.submit(function, *args, cluster=given.pop("cluster", cluster.address), code=project, **given)
        job.wait(120)
        return job

    return done


@pytest.mark.parametrize("backend", ["pandas", "dask", "polars", "auto"])
def test_a_submitted_function_gets_the_rows_and_columns_of_the_dataset(submit, backend):
    def count(frame, least):
        found = frame[["user", "price"]] if hasattr(frame, "compute") else frame
        found = found.compute() if hasattr(found, "compute") else found
        return type(frame).__module__.split(".")[0], len(found), list(found.columns), least

    given = {"split": "train[:30]", "columns": ["user", "price"], "filters": [("user", ">=", 10)]}
    job = submit(count, "test/clicks", kwargs={"least": 3}, backend=backend, **given)
    wanted = "pandas" if backend == "auto" else backend
    assert job.result() == (wanted, 20, ["user", "price"], 3)


def test_the_log_of_a_submitted_job_says_which_backend_and_why(submit):
    job = submit(lambda frame: len(frame.index), "test/clicks")
    assert "the first on the ladder that fits" in job.logs()
    assert "test/clicks:1.0.0: 40 rows of all with pandas" in job.logs()


def test_a_lazy_frame_is_no_result_but_a_sentence(submit):
    job = submit(lambda frame: frame, "test/clicks", backend="dask")
    assert job.state == "failed"
    assert "compute()" in str(job.exception())


def test_what_a_submitted_function_makes_is_a_dataset_here(submit, clicks):
    job = submit("steps:halved", "test/clicks", output="test/halved", version="1.0.0")
    assert job.result().rows == {"train": ROWS}, job.logs()
    found = adp.load("test/halved", backend="pandas")
    wanted = adp.load("test/clicks", backend="pandas")
    pd.testing.assert_frame_equal(found, wanted.assign(half=wanted["price"] / 2))
    assert prepared(clicks, "test/halved").manifest.provenance["runner"] == "dask"
    assert str(prepared(clicks, "test/halved").manifest.lineage) == "test/clicks:1.0.0 by steps.halved"


def test_a_dataset_that_a_job_made_is_found_by_the_next_one(submit):
    submit("steps:halved", "test/clicks", output="test/halved", version="1.0.0")
    again = submit("steps:halved", "test/clicks", output="test/halved", version="1.0.0")
    assert again.result().reused
    assert submit(len, "test/halved", columns=["half"]).result() == ROWS


def test_a_function_that_raises_on_a_part_is_told_with_the_part(submit):
    def broken(frame):
        raise ValueError("no such thing")

    job = submit(broken, "test/clicks", output="test/broken", version="1.0.0")
    told = str(job.exception())
    assert "parquet/train-00000-of-00001.parquet" in told
    assert "broken() raised ValueError: no such thing" in told


def test_a_submitted_job_that_no_worker_can_hold_is_refused_at_once(submit, clicks, narrow, tmp_path):
    grown(clicks, 300_000)
    with pytest.raises(BackendRefused, match="its largest worker"):
        submit(len, "test/clicks", backend="pandas", cluster=narrow.scheduler.address)
    assert not list((tmp_path / "jobs").glob("*/*"))


def test_a_worker_with_little_memory_refuses_an_eager_backend_though_its_machine_has_plenty(submit, clicks, narrow):
    def loads(reference):
        return len(adp.load(reference, backend="pandas"))

    grown(clicks, 300_000)
    job = submit(loads, kwargs={"reference": "test/clicks"}, cluster=narrow.scheduler.address)
    assert isinstance(job.exception(), BackendRefused)
    assert "half of the free memory is" in str(job.exception())


def test_auto_is_decided_for_the_memory_of_the_worker(submit, clicks, tmp_path):
    def kind(frame):
        return type(frame).__module__.split(".")[0]

    # Half of 2 GB is too little for pandas, the whole of it enough for one shard of Dask, whatever the worker has
    # imported: that is a tenth of 2 GB, and would be all of a small limit.
    grown(clicks, 590_000)
    assert adp.plan("test/clicks").backend == "pandas"
    with limited(tmp_path, "2GB") as client:
        job = submit(kind, "test/clicks", cluster=client.scheduler.address)
        assert job.result() == "dask", job.logs()
