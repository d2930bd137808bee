"""The suites of the benchmarks at a tiny scale, by their command lines; calibration to the plan; the model on paper."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import ailab_dataproc as adp
from ailab_dataproc.calibration import Cost
from ailab_dataproc.sizing import Machine

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
BENCH = [sys.executable, "-m", "ailab_dataproc", "bench"]
LOG = "products/ad_log/impressions"
ROWS = 20_000
WORDS = ["--scale", "small", "--rows", ROWS, "--rounds", 1]

CONNECT = pytest.mark.skipif(not hasattr(adp, "connect"), reason="this version connects to no cluster")

for module in ("psutil", "duckdb", "polars", "dask"):
    pytest.importorskip(module)
# The scripts import each other by their bare names; other tests must not find them by these.
sys.path.insert(0, str(BENCHMARKS))
import auto  # noqa: E402
import calibrate  # noqa: E402
import compare  # noqa: E402
import model  # noqa: E402
import results  # noqa: E402

sys.path.remove(str(BENCHMARKS))


def environment(**others: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **others}


def bench(*words: object, **others: str) -> subprocess.CompletedProcess[str]:
    command = [*BENCH, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(**others))


def script(name: str, *words: object, **others: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(**others))


def made(way: str, seconds: float | None, **fields: object) -> results.Result:
    given = {"suite": "auto", "case": calibrate.CASE, "rows": 1000, "bytes": 10**9}
    told = {"seconds": (seconds,)} if seconds else {"refused": "out of memory"}
    return results.Result(way=way, **(given | told | fields))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a suite once, in a folder that keeps its data: the process, the results, the folder."""
    done = {}

    def once(name, *words):
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            ran = script(name, *WORDS, *words, "--folder", folder, "--output", folder / "out.jsonl")
            done[name] = (ran, results.read(folder / "out.jsonl"), folder / f"{name}-{ROWS}")
        return done[name]

    return once


@pytest.fixture(scope="module")
def cpu(run):
    return run("cpu", "--cores", 1)


@pytest.fixture(scope="module")
def workers(run):
    return run("workers", "--most", 1)


@pytest.fixture(scope="module")
def load(run):
    return run("load", "--objects", "Polars frame", "--cases", "whole")


def test_the_suite_of_cores_measures_every_case_and_all_answers_are_right(cpu):
    done, lines, _ = cpu
    assert done.returncode == 0, done.stderr
    cases = {"prepare, columnar", "prepare, Python rows", "group-by", "TPC-H q1"}
    assert {one.case for one in lines if one.seconds} == cases
    assert all(one.workers == 1 and one.bytes and one.rows for one in lines)


def test_the_suite_of_workers_measures_every_case_and_all_answers_are_right(workers):
    done, lines, _ = workers
    assert done.returncode == 0, done.stderr
    cases = {"tasks", "group-by, strong", "group-by, weak", "prepare, strong"}
    assert {one.case for one in lines if one.seconds} == cases
    assert {one.way for one in lines if one.case == "prepare, strong"} == {"Dask workers", "Beam, threads", "processes"}


def test_the_suite_of_workers_tells_what_a_task_costs(workers):
    (tasks,) = (one for one in workers[1] if one.case == "tasks")
    assert tasks.number("seconds_a_task") == pytest.approx(tasks.typical / tasks.rows)


def test_the_suite_of_loads_measures_every_way(load):
    done, lines, _ = load
    assert done.returncode == 0, done.stderr
    assert {one.way for one in lines if one.seconds} == {"ailab_dataproc", "Polars", "Polars streaming"}


def again(name, folder, only, *words):
    """Measure one way with the data of an earlier run: the exit code and the only line."""
    output = folder / "again.jsonl"
    done = script(name, *WORDS, *words, "--folder", folder.parent, "--only", only, "--output", output)
    (line,) = results.read(output)
    return done.returncode, line


def test_a_sum_that_differs_is_a_wrong_answer(cpu):
    folder = cpu[2]
    answers = json.loads((folder / "answers.json").read_text())
    wrong = {**answers, "group-by": [[2 * number for number in row] for row in answers["group-by"]]}
    (folder / "answers.json").write_text(json.dumps(wrong))
    code, line = again("cpu", folder, "group-by, pandas", "--cores", 1)
    (folder / "answers.json").write_text(json.dumps(answers))
    assert (code, line.seconds) == (1, ())
    assert line.refused.startswith("wrong answer: ")


def test_a_query_whose_rows_differ_is_a_wrong_answer(cpu):
    folder = cpu[2]
    answers = json.loads((folder / "answers.json").read_text())
    (folder / "answers.json").write_text(json.dumps({**answers, "q1": answers["q1"][1:]}))
    code, line = again("cpu", folder, "q1, pandas", "--cores", 1)
    (folder / "answers.json").write_text(json.dumps(answers))
    assert code == 1
    assert line.refused.startswith("wrong answer: ")


def test_shards_that_differ_are_a_wrong_answer(workers):
    folder = workers[2]
    shard = next((folder / LOG / "1.0.0/parquet").glob("train-*"))
    whole = shard.read_bytes()
    shard.write_bytes(whole + b"\0")
    code, line = again("workers", folder, "Beam, threads", "--most", 1)
    shard.write_bytes(whole)
    assert (code, line.refused) == (1, "wrong answer: shards that differ from those of one thread")


@CONNECT
def test_workers_of_a_cluster_that_runs_already_are_measured(workers):
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        code, line = again("workers", workers[2], "group-by, strong", "--address", cluster.scheduler_address)
    assert (code, line.workers, len(line.seconds)) == (0, 1, 1)


@CONNECT
def test_an_address_where_nobody_answers_is_one_sentence(tmp_path):
    words = ["run", "workers", "--address", "tcp://127.0.0.1:9", "--folder", tmp_path, "--output", tmp_path]
    done = bench(*words)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "tcp://127.0.0.1:9" in done.stderr


@pytest.mark.parametrize("words", [("load", "--folder", "."), ("workers",)])
def test_an_address_is_only_for_workers_with_a_folder_that_they_see(words):
    done = bench("run", *words, "--address", "tcp://127.0.0.1:9")
    assert done.returncode == 2
    assert "--address is for the suite 'workers', with a --folder" in done.stderr


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """A calibration of the ladder, into the file that the environment names: the process, the file, the results."""
    folder = tmp_path_factory.mktemp("calibrate")
    file = folder / "calibration.json"
    words = [*WORDS, "--only", "das", "--save", "--output", folder / "calibrate.jsonl"]
    done = script("calibrate", *words, AILAB_CALIBRATION=str(file), AILAB_AUTO="pandas,dask")
    return done, file, results.read(folder / "calibrate.jsonl")


def test_after_calibrate_the_plan_says_when_it_was_measured(calibrated, make, data_dir, monkeypatch):
    done, file, lines = calibrated
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("AILAB_CALIBRATION", str(file))
    make()
    plan = adp.plan("test/clicks", data_dir=data_dir)
    assert f"calibration: measured on this machine, {lines[0].date} ({file})" in str(plan)
    assert plan.to_dict()["seconds"]["pandas"] >= 0


def test_calibrate_says_what_auto_takes_from_now_on(calibrated):
    told = calibrated[0].stdout
    assert f'{calibrated[1]}: backend="auto" goes by it on this machine from now on' in told
    assert "\nauto of pandas, dask: " in told


@pytest.mark.skipif(find_spec("dask_cudf") is not None, reason="dask_cudf is installed")
def test_a_backend_that_is_not_installed_is_named_with_the_pip_line(calibrated):
    (told,) = {one.refused for one in calibrated[2] if one.way == "dask_cudf"}
    assert told == "dask_cudf is not installed: pip install 'ailab_dataproc[gpu]'"
    assert told in calibrated[0].stdout


def test_measuring_the_suite_alone_writes_no_calibration(tmp_path):
    file = tmp_path / "calibration.json"
    words = ["--scale", "small", "--rows", 5000, "--rounds", 1, "--only", "pandas", "--output", tmp_path]
    done = bench("run", "calibrate", *words, AILAB_CALIBRATION=str(file), AILAB_AUTO="pandas,dask")
    assert done.returncode == 0, done.stderr
    assert "not kept" in done.stdout
    assert not file.exists()


@pytest.mark.skipif(find_spec("dask_cudf") is not None, reason="dask_cudf is installed")
def test_a_calibration_without_any_time_is_refused(tmp_path):
    file = tmp_path / "calibration.json"
    words = ["--scale", "small", "--rows", 5000, "--rounds", 1, "--only", "dask_cudf", "--save"]
    words += ["--file", file, "--output", tmp_path / "o.jsonl"]
    done = script("calibrate", *words)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("holds no time of any backend, wanted one at least. See its lines.")
    assert not file.exists()


COSTS = {
    "quick": Cost(fixed_seconds=0.01, seconds_per_gb=3.0),
    "middle": Cost(fixed_seconds=0.1, seconds_per_gb=1.0),
    "slow": Cost(fixed_seconds=0.2, seconds_per_gb=2.0),
    "steady": Cost(fixed_seconds=1.0, seconds_per_gb=0.5),
}


def test_one_overtakes_another_where_their_lines_cross():
    assert calibrate.crossover(COSTS["quick"], COSTS["middle"]) == pytest.approx(0.045e9)


def test_what_starts_later_and_is_slower_never_overtakes():
    assert calibrate.crossover(COSTS["middle"], COSTS["slow"]) is None


def test_the_fastest_over_the_sizes_leaves_out_who_never_is():
    found = calibrate.fastest(COSTS)
    assert [name for _, name in found] == ["quick", "middle", "steady"]
    assert [size for size, _ in found] == pytest.approx([0, 0.045e9, 1.8e9])
    assert calibrate.told(found) == "quick up to 45.0 MB, middle up to 1.8 GB, steady above"


def test_auto_leaves_a_backend_where_another_is_faster_by_more_than_its_slack():
    costs = {"pandas": Cost(fixed_seconds=0.0, seconds_per_gb=4.0), "dask": Cost(fixed_seconds=1.0, seconds_per_gb=1.0)}
    found = calibrate.taken(costs, ("pandas", "dask"), Machine(memory=10**11, cpus=2))
    assert [name for _, name in found] == ["pandas", "dask"]
    assert found[1][0] == pytest.approx(1.15e9 / 2.85, rel=0.1)


def test_auto_takes_none_where_all_refuse():
    costs = {"pandas": Cost(fixed_seconds=0.0, seconds_per_gb=4.0)}
    found = calibrate.taken(costs, ("pandas",), Machine(memory=10**9, cpus=2))
    assert [name for _, name in found] == ["pandas", "none"]


def test_calibrate_of_the_command_is_the_suite_with_its_options(tmp_path):
    done = bench("calibrate", "--rows", 10**14, "--output", tmp_path / "o", "--file", tmp_path / "f")
    assert done.returncode == 2
    assert "calibrate with 100,000,000,000,000 rows needs about" in done.stderr


def verdict(choice: str | None, pandas: float | None, dask: float | None) -> str:
    extra = {"ladder": "pandas,dask", **({"choice": choice} if choice else {})}
    asked = made("auto of pandas,dask", {"pandas": pandas, "dask": dask}.get(choice or ""), extra=extra)
    return auto.show([made("pandas", pandas), made("dask", dask), asked])


@pytest.mark.parametrize(
    ("choice", "pandas", "dask", "right"),
    [
        ("pandas", 1.0, 2.0, True),
        ("pandas", 1.29, 1.0, True),
        ("pandas", 1.31, 1.0, False),
        ("dask", None, 9.0, True),
        ("pandas", None, 9.0, False),
        (None, None, None, True),
        (None, 1.0, None, False),
    ],
)
def test_auto_is_right_within_a_factor_of_the_fastest_and_where_nothing_can(choice, pandas, dask, right):
    told = verdict(choice, pandas, dask)
    assert ("right" if right else "WRONG") in told.splitlines()[0]
    assert told.splitlines()[-1] == f"{int(right)} of 1 right"


def test_a_page_tells_what_auto_took_and_how_often_it_was_right(tmp_path):
    pytest.importorskip("matplotlib")
    extra = {"ladder": "pandas,dask", "choice": "pandas"}
    lines = [made("pandas", 1.0), made("dask", 3.0), made("auto of pandas,dask", 1.1, extra=extra)]
    results.write(lines, tmp_path / "a.jsonl")
    assert bench("report", tmp_path / "a.jsonl", "-o", tmp_path / "p.html").returncode == 0
    text = (tmp_path / "p.html").read_text()
    assert "took one within 1.3 times the fastest in 1 of 1 cases." in text.replace("&#34;", '"')
    assert '<td>pandas, dask</td><td>pandas</td><td class="better">right</td>' in text


JOB = model.Job(
    tasks=1000,
    computing=1.0,
    traffic=10**8,
    scheduler=0.001,
    cores=32,
    workers=2,
    network=10**11,
    bucket=10**10,
    spread=0.3,
    publishing=5.0,
)


def changed(**values: float) -> model.Job:
    return dataclasses.replace(JOB, **values)


@pytest.mark.parametrize("cores", [2, 32, 512, 4000])
def test_no_run_is_faster_than_its_work_on_all_cores(cores):
    job = changed(cores=cores, spread=0.0)
    assert model.simulate(job) >= job.tasks * job.computing / min(cores, job.tasks) + job.publishing


@pytest.mark.parametrize("scheduler", [0.001, 0.1, 2.0])
def test_no_run_is_faster_than_the_scheduler_hands_out_its_tasks(scheduler):
    assert model.simulate(changed(scheduler=scheduler, cores=4000)) >= JOB.tasks * scheduler


@pytest.mark.parametrize("bucket", [10**8, 10**10, 10**12])
def test_no_run_is_faster_than_the_bucket(bucket):
    assert model.simulate(changed(bucket=bucket, cores=4000, workers=500)) >= JOB.tasks * JOB.traffic / bucket


def test_one_core_takes_the_sum_of_its_tasks():
    job = changed(cores=1, workers=1, scheduler=0.0, spread=0.0, publishing=0.0)
    assert model.simulate(job) == pytest.approx(job.tasks * (job.computing + job.traffic / job.network))


def test_stragglers_only_lengthen():
    even = model.simulate(changed(spread=0.0, cores=512, bucket=10**12))
    little, much = (model.simulate(changed(spread=spread, cores=512, bucket=10**12)) for spread in (0.3, 1.0))
    assert even < little < much


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("computing", {}),
        ("publishing", {"publishing": 10**4}),
        ("stragglers", {"cores": 1000, "spread": 1.0, "publishing": 0.0, "bucket": 10**12}),
    ],
)
def test_the_bottleneck_is_what_the_run_would_gain_most_from(part, values):
    job = changed(**values)
    assert model.bottleneck(job, model.simulate(job))[0] == part


@pytest.fixture(scope="module")
def paper():
    return results.read(BENCHMARKS / "results/model.jsonl")


def test_lines_on_paper_name_their_bottleneck_and_what_was_assumed(paper):
    for one in paper:
        assert one.extra["bottleneck"] in one.extra["saved"]
        assert {"cores", "network", "bucket", "spread"} <= set(one.extra["assumed"])


def test_more_workers_are_never_slower_on_paper(paper):
    for _, of in results.by_case(paper):
        seconds = [one.typical for one in of]
        assert all(few * 1.02 >= many for few, many in itertools.pairwise(seconds))


def test_a_line_on_paper_is_neither_better_nor_worse_than_another(paper):
    slower = [dataclasses.replace(one, seconds=(9 * one.seconds[0],)) for one in paper]
    assert not compare.compare(paper, slower).lines


def test_a_page_shows_what_is_on_paper_apart_from_what_was_measured(paper, tmp_path):
    pytest.importorskip("matplotlib")
    results.write([made("pandas", 1.0), *paper], tmp_path / "a.jsonl")
    assert bench("report", tmp_path / "a.jsonl", "-o", tmp_path / "p.html").returncode == 0
    text = (tmp_path / "p.html").read_text()
    assert "Nothing of this was run." in text
    assert 'id="suite-model"' not in text
    assert "1 lines of 1 suites" in text


def test_ctrl_c_in_a_terminal_keeps_what_was_measured(tmp_path):
    words = ["run", "imports", "--scale", "small", "--rounds", "500", "--only", "bare", "--output", str(tmp_path)]
    running = subprocess.Popen(
        [*BENCH, *words], stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment()
    )
    while not running.stderr.readline().startswith("3/500"):
        assert running.poll() is None
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the command and to the suite
    told = running.communicate()[1]
    kept = tmp_path / "imports.partial.jsonl"
    assert running.returncode == 130
    assert f"interrupted: 1 line kept in {kept}" in told
    assert "Traceback" not in told
    assert len(results.read(kept)[0].seconds) >= 2


@pytest.mark.parametrize("name", ["imports", "load", "cpu", "workers", "calibrate", "auto"])
def test_too_little_room_is_told_before_anything_is_made(name, tmp_path):
    words = ["--rows", 10**14, "--folder", tmp_path / "new", "--output", tmp_path / "o"]
    done = bench("run", name, *words)
    assert (done.returncode, len(list(tmp_path.iterdir()))) == (2, 0)
    assert f"{name} with 100,000,000,000,000 rows needs about" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("verb", ["report", "compare"])
def test_results_of_another_format_are_refused(verb, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"format": 7, "suite": "load"}\n')
    files = [tmp_path / "a.jsonl"] * (2 if verb == "compare" else 1)
    done = bench(verb, *files)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path / 'a.jsonl'}, line 1: has format 7, wanted 1.")


def test_all_leaves_out_what_takes_half_an_hour(tmp_path):
    done = bench("run", "all", "--only", "nowhere", "--output", tmp_path)
    named = {line.split()[1].rstrip(":") for line in done.stderr.splitlines() if line.startswith("== ")}
    assert {"cpu", "workers", "load", "imports", "calibrate"} <= named
    assert "auto" not in named
