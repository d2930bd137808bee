"""Jobs from the client's side: submit, detach, come back; on a scheduler and workers in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from distributed import Client
from lab import lab, wait_until

import ailab_dataproc as adp
from ailab_dataproc.errors import ClusterFailed, InvalidRequest, JobFailed, SettingsError, UnknownName

WAIT = 60  # seconds that a job of these tests may take at most


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two workers, each with two threads."""
    with lab(tmp_path_factory.mktemp("lab"), workers=0) as made:
        for _ in range(2):
            made.add_worker("--no-nanny", "--nthreads", "2")
        with Client(made.address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield made


@pytest.fixture
def project(tmp_path, monkeypatch, cluster):
    """A folder with code, from which jobs are submitted to the cluster."""
    monkeypatch.setenv("AILAB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AILAB_CLUSTER", cluster.address)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def write(project):
    """Write a file of the project."""

    def written(name, text):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
        return project / name

    return written


def run(project, function, *args, **given):
    """Submit a function with an empty project."""
    return adp.submit(function, args=args, **{"code": project} | given)


def waiter():
    """A function as of a notebook, that runs until a file exists."""

    def wait_for_file(path):
        print("waits", flush=True)
        while not os.path.exists(path):
            time.sleep(0.05)
        return "done"

    return wait_for_file


def double(x):
    """A function of a module that can't be imported where jobs run, since it lies deep in its project."""
    return 2 * x


def test_a_function_of_a_notebook_runs_and_its_result_comes_back(project):
    factor = 3
    assert run(project, lambda x: x * factor, 14).result(WAIT) == 42


def test_a_job_of_this_repository_reaches_its_cluster_and_uses_the_package_of_its_workers(project, caplog):
    def look():
        with adp.connect() as client:
            made = client.submit(InvalidRequest, "x").result()
        return type(made) is adp.errors.InvalidRequest, sorted(Path().glob("[RMa]*"))

    root = Path(adp.__file__).parents[1]
    assert adp.submit(look, code=root).result(WAIT) == (True, [Path("Makefile"), Path("README.md")])
    assert "'ailab_dataproc' (jobs run the one that is installed on their workers" in caplog.text


def test_a_function_of_a_module_that_lies_deep_in_the_project_travels_by_value(project):
    assert adp.submit(double, args=[21]).result(WAIT) == 42


def test_a_function_of_an_installed_module_runs(project):
    assert run(project, json.dumps, [1, 2]).result(WAIT) == "[1, 2]"


def test_a_function_by_its_name_runs_with_the_code_of_the_project(project, write):
    write("helpers.py", "def double(x):\n    return 2 * x\n")
    write("features.py", "from helpers import double\n\ndef make(x, y=0):\n    return double(x) + y\n")
    assert adp.submit("features:make", args=[20], kwargs={"y": 2}).result(WAIT) == 42


def test_a_function_of_a_file_below_the_project_runs(project, write, monkeypatch):
    write("deep/helpers.py", "ONE = 1\n")
    write("deep/features.py", "from helpers import ONE\n\ndef make():\n    return ONE\n")
    subprocess.run(["git", "init", "-q"], check=True, cwd=project)
    monkeypatch.chdir(project / "deep")
    assert adp.submit("features:make", code=project).result(WAIT) == 1


def test_a_script_runs_with_its_arguments_and_prints_into_the_log(write):
    script = write("train.py", "import sys\nprint('arguments', sys.argv[1:])\n")
    job = adp.submit(script, args=["--days", 3])
    assert job.result(WAIT) is None
    assert "arguments ['--days', '3']" in job.logs()


def test_a_job_outlives_the_process_that_submits_it(project, write, tmp_path):
    write("wait.py", f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.05)\n")
    code = "import ailab_dataproc as adp; print(adp.submit('wait.py', name='sleeper').id)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=project)
    job = adp.Job(done.stdout.strip())
    wait_until(lambda: job.state == "running")
    (tmp_path / "go").touch()
    assert job.wait(WAIT) == "succeeded"


def test_the_result_is_there_for_another_process(project):
    job = run(project, lambda: {"rows": 3})
    code = f"import ailab_dataproc as adp; print(adp.Job({job.id!r}).result(60))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'rows': 3}"


def test_the_file_of_the_result_is_named(project):
    job = run(project, lambda: "x" * 1000)
    job.wait(WAIT)
    assert pd.read_pickle(job.result_url) == "x" * 1000  # noqa: S301 - our own
    assert job.status().result == Path(job.result_url).stat().st_size


def test_the_exception_of_a_job_comes_back_with_its_remote_traceback(project):
    def fails():
        raise ZeroDivisionError("no rows on that day")

    job = run(project, fails)
    with pytest.raises(ZeroDivisionError, match="no rows on that day") as caught:
        job.result(WAIT)
    assert "in fails" in str(caught.value.__cause__)
    assert job.state == "failed"
    assert isinstance(job.exception(), ZeroDivisionError)


def test_an_exception_that_cannot_be_read_here_is_told_with_type_text_and_traceback(project):
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(one)

    def fails():
        raise Odd("strange", 2)

    with pytest.raises(JobFailed, match=r"Odd.*strange") as caught:
        run(project, fails).result(WAIT)
    assert "in fails" in str(caught.value.__cause__)


def test_a_job_that_succeeded_has_no_exception(project):
    assert run(project, lambda: 1).exception(WAIT) is None


def test_following_the_log_ends_with_the_job_and_misses_nothing(project, write):
    script = write("count.py", "import time\nfor i in range(40):\n    print('line', i, 'é')\n    time.sleep(0.02)\n")
    text = "".join(adp.submit(script).logs(follow=True))
    assert [line for line in text.splitlines() if line.startswith("line")] == [f"line {i} é" for i in range(40)]


def test_a_running_job_is_cancelled(project, tmp_path):
    job = run(project, waiter(), str(tmp_path / "never"))
    wait_until(lambda: "waits" in job.logs())
    assert job.cancel() == f"job {job.id}: is being stopped, with all its processes"
    assert job.wait(WAIT) == "cancelled"
    with pytest.raises(JobFailed, match=f"job {job.id}: cancelled"):
        job.result(WAIT)


def test_a_queued_job_is_cancelled_at_once_and_never_begins(project, tmp_path):
    running = [run(project, waiter(), str(tmp_path / "go"), cores=2) for _ in range(2)]
    for job in running:
        wait_until(lambda job=job: job.state == "running")
    queued = run(project, lambda path: Path(path).touch(), str(tmp_path / "began"))
    assert queued.status().why == "waiting: all 4 job slots are taken"
    assert queued.cancel() == f"job {queued.id}: is cancelled; it never began"
    assert queued.state == "cancelled"
    (tmp_path / "go").touch()
    assert [job.wait(WAIT) for job in running] == ["succeeded"] * 2
    assert not (tmp_path / "began").exists()


def test_a_job_that_has_ended_cannot_be_cancelled(project):
    job = run(project, lambda: 1)
    job.wait(WAIT)
    with pytest.raises(InvalidRequest, match="has succeeded, there is nothing to cancel"):
        job.cancel()


def test_a_job_is_restarted_under_a_new_id_with_its_code_and_the_secrets_of_now(project, monkeypatch):
    monkeypatch.setenv("LAB_TOKEN", "one")
    job = run(project, lambda: len(os.environ["LAB_TOKEN"]), secrets=["LAB_TOKEN"])
    assert job.result(WAIT) == 3
    monkeypatch.setenv("LAB_TOKEN", "eleven")
    again = job.restart()
    assert again.result(WAIT) == 6
    assert (again.id != job.id, again.asked.repeats) == (True, job.id)


def test_a_job_that_runs_is_neither_restarted_nor_removed(project, tmp_path):
    job = run(project, waiter(), str(tmp_path / "go"))
    for refused in (job.restart, job.remove):
        with pytest.raises(InvalidRequest, match="Cancel it before"):
            refused()
    (tmp_path / "go").touch()
    job.wait(WAIT)


def test_a_removed_job_is_gone(project):
    job = run(project, lambda: 1)
    job.wait(WAIT)
    job.remove()
    assert not Path(job.url).exists()
    with pytest.raises(UnknownName):
        adp.Job(job.id)


def test_waiting_has_a_limit_and_the_job_goes_on(project, tmp_path):
    job = run(project, waiter(), str(tmp_path / "go"))
    with pytest.raises(TimeoutError, match=f"job {job.id}: is .* It goes on"):
        job.result(timeout=0.3)
    (tmp_path / "go").touch()
    assert job.result(WAIT) == "done"


def test_jobs_are_listed_the_newest_first_with_their_states(project):
    good, bad = run(project, lambda: 1, name="good"), run(project, lambda: 1 / 0, name="bad")
    good.wait(WAIT), bad.wait(WAIT)
    assert [(one.name, one.state) for one in adp.list_jobs()] in (
        [("bad", "failed"), ("good", "succeeded")],
        [("good", "succeeded"), ("bad", "failed")],  # within one second their names decide
    )
    assert [one.name for one in adp.list_jobs(state="failed")] == ["bad"]
    with pytest.raises(UnknownName, match="no state 'failing'"):
        adp.list_jobs(state="failing")


def test_there_may_be_no_jobs(project):
    assert adp.list_jobs() == adp.list_jobs(all_users=True) == []


def test_a_job_is_found_by_any_part_of_its_id_that_no_other_has(project):
    one, two = run(project, lambda: 1, name="clicks by user"), run(project, lambda: 2, name="clicks by word")
    assert adp.Job("by-user").id == one.id
    assert adp.Job(two.id[-6:]).id == two.id
    with pytest.raises(UnknownName, match="found 2 jobs with it, wanted one"):
        adp.Job("clicks")
    with pytest.raises(UnknownName, match=f"Did you mean '{one.id}'"):
        adp.Job(one.id[:-1] + "x")


def test_the_folder_of_a_job_is_private(project, tmp_path):
    job = run(project, lambda: 1)
    job.wait(WAIT)
    folders = [Path(job.url).parent, Path(job.url), *(path for path in Path(job.url).rglob("*") if path.is_dir())]
    files = [path for path in Path(job.url).rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_secret_reaches_the_job_and_no_file(project, tmp_path, monkeypatch, cluster):
    monkeypatch.setenv("LAB_TOKEN", "s3cr3t-of-the-lab")
    job = run(project, lambda: os.environ["LAB_TOKEN"][::-1], secrets=["LAB_TOKEN"])
    assert job.result(WAIT) == "bal-eht-fo-t3rc3s"
    for folder in (tmp_path, cluster.folder):
        for path in folder.rglob("*"):
            assert not path.is_file() or b"s3cr3t-of-the-lab" not in path.read_bytes(), path


def test_variables_reach_the_job(project):
    assert run(project, lambda: os.environ["LAB_DAYS"], env={"LAB_DAYS": 3}).result(WAIT) == "3"


@pytest.mark.parametrize("name", ["HF_TOKEN", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "API_KEY", "client_secret"])
def test_a_variable_that_looks_like_a_secret_is_refused(project, name):
    with pytest.raises(InvalidRequest, match=f"{name} looks like a secret.*secrets="):
        run(project, lambda: 1, env={name: "x"})


@pytest.mark.parametrize("name", ["TOKENIZERS_PARALLELISM", "KEYBOARD", "MONKEY", "OMP_NUM_THREADS"])
def test_a_variable_that_only_sounds_like_a_secret_is_taken(name):
    from ailab_dataproc.jobs.environment import check_environment

    assert check_environment({name: "1"}) == {name: "1"}


def test_a_secret_that_is_not_set_is_named(project):
    with pytest.raises(InvalidRequest, match="LAB_TOKEN is not set here"):
        run(project, lambda: 1, secrets=["LAB_TOKEN"])


def test_what_cannot_be_pickled_is_named_with_the_place_where_it_hides(project):
    db = {"lock": threading.Lock()}
    with pytest.raises(InvalidRequest, match=r"item 'lock' of closure variable 'db' of the function holds a _thread.l"):
        run(project, lambda: db)
    with pytest.raises(InvalidRequest, match=r"argument 1 is a _thread.lock, which can't be pickled"):
        run(project, print, threading.Lock())
    assert adp.list_jobs() == []


def test_a_function_with_too_much_data_is_refused(project, monkeypatch):
    monkeypatch.setattr("ailab_dataproc.jobs.pickling.LIMIT", 1_000_000)
    with pytest.raises(InvalidRequest, match=r"the function and its arguments are over 1.0 MB.* a dataset or a file"):
        run(project, len, bytes(2_000_000))


def test_a_module_that_stays_here_is_named(project, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "strangers.py").write_text("def count():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    import strangers

    with pytest.raises(InvalidRequest, match=r"needs the module 'strangers' .* neither installed nor below"):
        run(project, strangers.count)


def test_a_script_that_does_not_exist_is_refused_with_near_names(write):
    write("train.py", "")
    with pytest.raises(InvalidRequest, match=r"trian.py: there is no such script .* Did you mean train.py\?"):
        adp.submit("trian.py")


def test_a_script_that_is_no_python_is_refused(write):
    with pytest.raises(InvalidRequest, match="is no Python that can be run"):
        adp.submit(write("train.py", "if:"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("train", "found neither a script nor a function"),
        ("featurs:make", "no module 'featurs'.*Did you mean features"),
        ("features:maek", "no function 'maek'. Did you mean 'make'"),
        ("featurs.py:make", "there is no file featurs.py"),
    ],
)
def test_a_name_that_means_nothing_is_refused(write, given, message):
    write("features.py", "def make():\n    return 1\n")
    with pytest.raises((InvalidRequest, UnknownName), match=message):
        adp.submit(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"memory": "lots"}, "memory='lots': wanted bytes"),
        ({"cores": 0}, "cores=0: wanted a whole number from 1"),
        ({"gpus": 0.5}, "gpus=0.5: wanted a whole number"),
        ({"retries": -1}, "retries=-1"),
        ({"time_limit": "soon"}, "time_limit='soon': wanted seconds"),
        ({"columns": ["user"]}, "columns: .* no dataset is named"),
        ({"output": "lab/x"}, "output"),
        ({"gpus": 1}, r"no worker has 1 GPU: the largest has no GPU \(2 workers\).*wait_for_workers"),
        ({"memory": "900TB"}, "no worker has .* of memory: the largest has"),
        ({"cores": 3}, "no worker has 3 cores: the largest has 2 cores"),
    ],
)
def test_what_cannot_be_is_refused_with_one_sentence_and_leaves_nothing(project, given, message):
    with pytest.raises(InvalidRequest, match=message) as caught:
        run(project, lambda: 1, **given)
    assert "\n" not in str(caught.value)
    assert adp.list_jobs() == []


def test_a_script_with_what_is_for_functions_is_refused(write):
    script = write("train.py", "")
    for given in ({"dataset": "lab/clicks"}, {"kwargs": {"x": 1}}, {"columns": ["x"]}):
        with pytest.raises(InvalidRequest, match=r"is for functions, but train.py is a script"):
            adp.submit(script, **given)


def test_without_a_cluster_the_settings_are_named(project, monkeypatch):
    monkeypatch.delenv("AILAB_CLUSTER")
    with pytest.raises(SettingsError, match="no cluster is named"):
        run(project, lambda: 1)


def test_a_cluster_that_would_end_with_this_process_is_refused(project):
    with pytest.raises(InvalidRequest, match=r"would end with this process.*ailab-dataproc cluster up"):
        run(project, lambda: 1, cluster="local")


def test_a_scheduler_that_is_not_there_leaves_no_folder(project):
    with pytest.raises(ClusterFailed, match=r"127\.0\.0\.1:9"):
        run(project, lambda: 1, cluster="tcp://127.0.0.1:9")
    assert adp.list_jobs() == []


def test_a_client_of_this_process_is_used_and_left_open(project, cluster, monkeypatch):
    monkeypatch.delenv("AILAB_CLUSTER")
    with adp.connect(cluster.address) as client:
        jobs = [run(project, lambda x: x, number) for number in range(5)]
        assert client.status == "running"
        assert [job.result(WAIT) for job in jobs] == list(range(5))
        assert {job.asked.cluster for job in jobs} == {cluster.address}


def test_a_client_that_is_passed_is_used(project, cluster, monkeypatch):
    monkeypatch.delenv("AILAB_CLUSTER")
    with Client(cluster.address, set_as_default=False) as client:
        assert run(project, lambda: 1, cluster=client).result(WAIT) == 1


def test_a_job_may_submit_another(project):
    def submits():
        import ailab_dataproc as adp

        return adp.submit(lambda: 7, name="inner").id

    outer = run(project, submits)
    inner = adp.Job(outer.result(WAIT))
    assert (inner.result(WAIT), inner.asked.cluster) == (7, outer.asked.cluster)


def test_the_folders_of_jobs_may_lie_in_a_bucket(project, bucket, gcs, monkeypatch):
    monkeypatch.setenv("AILAB_DATA_DIR", bucket)
    job = run(project, lambda: print("hello from the bucket") or 5)
    assert job.url.startswith(f"{bucket}/.jobs/")
    assert job.result(WAIT) == 5
    assert "hello from the bucket" in adp.Job(job.id).logs()
    gcs.requests.clear()
    assert [one.state for one in adp.list_jobs()] == ["succeeded"]
    assert sum(gcs.requests.values()) <= 4
    job.remove()
    assert adp.list_jobs() == []


def test_the_folder_of_another_user_is_passed_over(project, tmp_path):
    job = run(project, lambda: 1)
    job.wait(WAIT)
    other = Path(job.url).parent.parent / "somebody"
    other.mkdir(mode=0o000)
    assert [one.id for one in adp.list_jobs(all_users=True)] == [job.id]
    assert adp.Job(job.id[-6:]).id == job.id


def test_a_job_whose_task_nobody_knows_is_lost_and_can_be_restarted(project):
    job = run(project, lambda: 3)
    job.wait(WAIT)
    (Path(job.url) / "ended.json").unlink()  # as if all had died
    for path in Path(job.url).rglob("attempts/*"):
        shutil.rmtree(path)
    text = (Path(job.url) / "job.json").read_text().replace(job.asked.created[:10], "2026-01-01")
    (Path(job.url) / "job.json").write_text(text)
    lost = adp.Job(job.id)
    assert lost.state == "lost"
    with pytest.raises(JobFailed, match=rf"lost \(.*ailab-dataproc jobs restart {job.id}"):
        lost.result(WAIT)
    assert lost.restart().result(WAIT) == 3


def test_jobs_do_not_disturb_the_datasets_beside_them(project, make, tmp_path):
    from ailab_dataproc import leftovers, storage
    from ailab_dataproc.manifest import list_names

    make()
    run(project, lambda: 1).wait(WAIT)
    data_dir = storage.folder(tmp_path / "data")
    assert list_names(data_dir) == ["test/clicks"]
    assert list(leftovers.clean(data_dir)) == []
