"""The commands of jobs: what is shown of jobs, how commands end, and a whole life of a job on a real cluster."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from lab import lab

from ailab_dataproc.cli import cli
from ailab_dataproc.commands import results
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.jobs import folders
from ailab_dataproc.jobs.record import ASKED, ENDED, Asked, Beat, Ended, Started, attempt
from ailab_dataproc.settings import load_settings

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
NOWHERE = "tcp://127.0.0.1:1"  # no scheduler is there, and looking takes no time


def ask(*words: str):
    return CliRunner().invoke(cli, words, catch_exceptions=False)


def ask_json(*words: str):
    return json.loads(ask(*words, "--json").stdout)


@pytest.fixture
def jobs_dir(tmp_path, monkeypatch):
    """The folder of jobs, empty."""
    monkeypatch.setenv("AILAB_JOBS_DIR", str(tmp_path / "jobs"))
    monkeypatch.setenv("COLUMNS", "140")
    return tmp_path / "jobs"


def leave(name: str, outcome: str | None = "succeeded", *, day: int = 1, value=None, **given) -> str:
    """The folder of a job as its submitter and its worker leave it; without an outcome it hasn't ended."""
    settings = load_settings()
    start = START + timedelta(days=day)
    id = f"{start:%Y%m%d-%H%M%S}-{name}-0123ab"
    job = folders.jobs_folder(settings) / folders.user() / id
    folders.make_private(job)
    of_asked = {key: given.pop(key) for key in list(given) if key in Asked.__dataclass_fields__}
    asked = Asked(
        id=id,
        name=name,
        user=folders.user(),
        created=start.isoformat(),
        cluster=NOWHERE,
        entry=f"{name}.py",
        **of_asked,
    )
    job.write(ASKED, asked.to_bytes())
    one = job / attempt(1)
    at = (start + timedelta(seconds=2)).isoformat()
    one.write("started.json", Started(attempt=1, worker="tcp://w:1", host="node7", pid=1, at=at).to_bytes())
    one.write("beat.json", Beat(at=at, memory=3_000_000, done=30, total=40, what="files").to_bytes())
    (one / "log").write("000001.txt", b"one\ntwo\n")
    (one / "log").write("000002.txt", b"three\n")
    content = None if value is None else pickle.dumps(value)
    if content is not None:
        one.write("result.pkl", content)
    if outcome:
        at = (start + timedelta(seconds=65)).isoformat()
        size = None if content is None else len(content)
        ended = Ended(attempt=1, outcome=outcome, at=at, seconds=63.0, result=size, memory=5_000_000)
        ended = replace(ended, **given)
        one.write("ended.json", ended.to_bytes())
        job.write(ENDED, ended.to_bytes())
    return id


# What is shown.


def test_jobs_are_listed_the_newest_first(jobs_dir):
    old, new = leave("count"), leave("train", "failed", day=2, error="ValueError: no rows")
    lines = ask("jobs", "list").stdout.splitlines()
    assert lines[1].split()[:2] == [new, "failed"]
    assert lines[2].split()[:2] == [old, "succeeded"]
    assert "ValueError: no rows" in lines[1]


def test_without_jobs_the_list_says_so(jobs_dir):
    assert ask("jobs", "list").stdout == "No job.\n"


def test_the_list_has_as_many_jobs_as_were_asked_for(jobs_dir):
    for day in (1, 2, 3):
        leave("train", day=day)
    shown = ask("jobs", "list", "-n", "2").stdout
    assert shown.count("succeeded") == 2
    assert "and 1 older: -n 3" in shown


def test_the_list_can_be_of_some_states_only(jobs_dir):
    leave("count")
    failed = leave("train", "failed", day=2)
    cancelled = leave("other", "cancelled", day=3)
    assert [one["id"] for one in ask_json("jobs", "list", "--state", "failed", "--state", "cancelled")] == [
        cancelled,
        failed,
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_list_fits_a_terminal(jobs_dir, monkeypatch, width):
    leave("a-long-name-of-a-job-of-forty-characters", "failed", error="a sentence " * 20)
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(len(line) for line in ask("jobs", "list").stdout.splitlines()) <= width


def test_a_status_tells_all_that_is_known(jobs_dir):
    leave(
        "train", "failed", error="ValueError: no rows", traceback="Traceback …\nValueError: no rows", memory=5_000_000
    )
    shown = ask("jobs", "status", "train").stdout
    for part in ("failed", "ValueError: no rows", "node7, attempt 1", "0:01:03", "5.0 MB", "1 core", "Traceback …"):
        assert part in shown


def test_a_status_as_json_is_one_document(jobs_dir):
    id = leave("train", gpus=2)
    told = ask_json("jobs", "status", "train")
    assert (told["id"], told["state"], told["asked"]["gpus"]) == (id, "succeeded", 2)


def test_a_part_of_an_id_is_enough_and_two_jobs_with_it_are_told(jobs_dir):
    leave("train")
    leave("train", day=2)
    ended = ask("jobs", "status", "train")
    assert ended.exit_code == 2
    assert "found 2 jobs with it, wanted one" in ended.stderr


def test_a_job_that_does_not_exist_is_one_line(jobs_dir):
    leave("train")
    ended = ask("jobs", "logs", "trian")
    assert ended.exit_code == 2
    assert ended.stderr.count("\n") == 1
    assert "no job 'trian'" in ended.stderr


def test_ids_are_completed(jobs_dir):
    id = leave("train")
    asked = {"_AILAB_DATAPROC_COMPLETE": "bash_complete", "COMP_WORDS": "ailab-dataproc jobs status 2026"}
    env = {**os.environ, **asked, "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "ailab_dataproc"],
        env={**env, "COMP_CWORD": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [f"plain,{id}"]


# Logs.


def test_logs_print_what_the_job_wrote(jobs_dir):
    leave("train")
    assert ask("jobs", "logs", "train").stdout == "one\ntwo\nthree\n"


@pytest.mark.parametrize(("count", "wanted"), [("2", "two\nthree\n"), ("0", ""), ("9", "one\ntwo\nthree\n")])
def test_logs_can_be_the_last_lines(jobs_dir, count, wanted):
    leave("train")
    assert ask("jobs", "logs", "train", "--tail", count).stdout == wanted


def test_logs_can_be_of_one_attempt(jobs_dir):
    leave("train")
    assert ask("jobs", "logs", "train", "--attempt", "1").stdout == "one\ntwo\nthree\n"
    ended = ask("jobs", "logs", "train", "--attempt", "2")
    assert (ended.exit_code, "has no attempt 2, the last is 1" in ended.stderr) == (2, True)


@pytest.mark.parametrize(("outcome", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 3)])
def test_following_the_log_ends_as_the_job_did(jobs_dir, outcome, code):
    id = leave("train", outcome)
    ended = ask("jobs", "logs", "-f", "train")
    assert (ended.exit_code, ended.stdout) == (code, "one\ntwo\nthree\n")
    assert ended.stderr.startswith(f"{id}: {outcome} after 0:01:03")


# Waiting.


@pytest.mark.parametrize(("outcome", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 3)])
def test_waiting_ends_as_the_job_did(jobs_dir, outcome, code):
    leave("train", outcome)
    assert ask("jobs", "wait", "train").exit_code == code


def test_a_job_whose_scheduler_is_gone_is_lost_or_still_running_but_waiting_ends_in_time(jobs_dir):
    leave("train", None)
    assert ask("jobs", "wait", "train", "--timeout", "1s").exit_code in (4, 124)


def test_waiting_for_several_ends_as_the_worst(jobs_dir):
    leave("good")
    leave("bad", "failed")
    leave("stopped", "cancelled")
    assert ask("jobs", "wait", "good", "stopped").exit_code == 3
    assert ask("jobs", "wait", "good", "stopped", "bad").exit_code == 1


# Results.


def test_a_result_is_printed_as_python_writes_it(jobs_dir):
    leave("count", value={"rows": 3, "names": ["a", "b"]})
    assert ask("jobs", "result", "count").stdout == "{'names': ['a', 'b'], 'rows': 3}\n"


def test_a_text_is_printed_as_it_is(jobs_dir):
    leave("count", value="two\nlines")
    assert ask("jobs", "result", "count").stdout == "two\nlines\n"


def test_of_a_long_result_the_first_lines_are_printed(jobs_dir):
    leave("count", value=["x" * 90] * 100)
    assert "… 40 more lines" in ask("jobs", "result", "count").stdout


def test_of_a_frame_the_first_rows_are_printed(jobs_dir):
    leave("count", value=pd.DataFrame({"user": range(1000), "clicks": 2.5}))
    lines = ask("jobs", "result", "count").stdout.splitlines()
    assert lines[0].split() == ["user", "clicks"]
    assert len(lines) == 12
    assert lines[-1] == "pandas.DataFrame, 1,000 rows, 2 columns"


def test_a_grouped_series_is_printed_with_its_groups(jobs_dir):
    leave("count", value=pd.DataFrame({"word": ["a", "b", "a"], "n": [1, 2, 3]}).groupby("word")["n"].sum())
    assert ask("jobs", "result", "count").stdout.splitlines()[:3] == ["word  n", "a     4", "b     2"]


def test_a_result_as_json_is_one_document(jobs_dir):
    leave("count", value={"rows": 3})
    assert ask_json("jobs", "result", "count") == {"rows": 3}


@pytest.mark.parametrize("ending", ["pkl", "parquet", "csv", "json"])
def test_a_frame_is_written_as_the_ending_says(jobs_dir, tmp_path, ending):
    frame = pd.DataFrame({"user": [1, 2], "clicks": [2.5, 3.5]})
    leave("count", value=frame)
    file = tmp_path / f"out.{ending}"
    assert ask("jobs", "result", "count", "-o", str(file)).exit_code == 0
    read = {"pkl": pd.read_pickle, "parquet": pd.read_parquet, "csv": pd.read_csv, "json": pd.read_json}[ending]
    pd.testing.assert_frame_equal(read(file), frame, check_dtype=False)


def test_a_file_that_cannot_hold_the_result_is_refused(jobs_dir, tmp_path):
    leave("count", value=3)
    ended = ask("jobs", "result", "count", "-o", str(tmp_path / "out.csv"))
    assert (ended.exit_code, "the result is a int, .csv holds tables" in ended.stderr) == (2, True)
    assert ask("jobs", "result", "count", "-o", "out.xls").exit_code == 2


def test_a_large_result_stays_where_it_is(jobs_dir, monkeypatch):
    id = leave("count", value=list(range(100)))
    monkeypatch.setattr(results, "LARGE", 100)
    ended = ask("jobs", "result", "count")
    assert ended.stdout == ""
    assert f"{id}/attempts/01/result.pkl: write it to a file with -o" in ended.stderr


def test_a_job_without_a_result_says_so(jobs_dir):
    leave("train")
    assert "succeeded, without a result" in ask("jobs", "result", "train").stderr


def test_a_failed_job_shows_its_traceback_in_place_of_a_result(jobs_dir):
    leave("train", "failed", error="ValueError: no rows", traceback="Traceback …\nValueError: no rows\n")
    ended = ask("jobs", "result", "train")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (1, "", "Traceback …\nValueError: no rows\n")


def test_writing_a_value_that_is_no_json_is_refused(tmp_path):
    with pytest.raises(InvalidRequest, match="can't be JSON"):
        results.write({1, 2}, tmp_path / "out.json")


# Ending and tidying.


def test_a_job_that_has_ended_can_not_be_cancelled(jobs_dir):
    leave("train")
    ended = ask("jobs", "cancel", "train")
    assert (ended.exit_code, ended.stderr.count("\n")) == (2, 1)


def test_old_jobs_are_removed_and_young_ones_kept(jobs_dir):
    old, now = leave("old"), datetime.now(UTC)
    young = leave("young", day=(now - START).days)
    assert old in ask("jobs", "clean", "--older-than", "2d", "--dry-run").stdout
    assert ask("jobs", "clean", "--older-than", "2d").stdout == f"{old} (succeeded): removed\n"
    assert [one["id"] for one in ask_json("jobs", "list")] == [young]


# What is asked wrongly.


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("train.py", "--epochs", "3"), "Options of the script itself stand behind --."),
        (("f.py:f", "--output", "shop/clicks", "--dataset", "a/b"), "is no NAME:VERSION"),
        (("f.py:f", "--columns", "a"), "are of a data job. Name its --dataset."),
        (("f.py:f", "--env", "HOME"), "--secret HOME"),
        (("nowhere.py",), "there is no such script"),
        (("nothing",), "wanted train.py or module:function"),
    ],
)
def test_what_is_asked_wrongly_is_told_before_anything_is_sent(jobs_dir, words, told):
    ended = ask("jobs", "submit", *words, "--cluster", NOWHERE)
    assert ended.exit_code == 2
    assert told in " ".join(ended.stderr.split())
    assert not jobs_dir.exists()


# On a real cluster.


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with lab(tmp_path_factory.mktemp("lab"), workers=1) as made:
        yield made


@pytest.fixture
def project(tmp_path, jobs_dir, cluster, monkeypatch):
    """A researcher's folder, and the cluster as the setting."""
    monkeypatch.setenv("AILAB_CLUSTER", cluster.address)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "tools.py").write_text("def double(x):\n    return 2 * int(x)\n")
    (folder / "train.py").write_text(
        "import sys, time, ailab_dataproc as adp, tools\n"
        "for i in adp.progress(range(4), what='epochs'):\n"
        "    print('epoch', i, sys.argv[1:], flush=True)\n"
        "    time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0)\n"
        "print(tools.double(21))\n"
    )
    (folder / "bad.py").write_text("raise ValueError('no rows')\n")
    monkeypatch.chdir(folder)
    return folder


def test_a_script_is_submitted_and_its_log_comes_back(project):
    ended = ask("jobs", "submit", "train.py", "--follow", "--", "--pause", "0")
    assert ended.exit_code == 0, ended.stderr
    assert "epoch 3 ['--pause', '0']\n42\n" in ended.stdout
    assert "succeeded after" in ended.stderr


def test_a_script_that_fails_ends_the_command_with_1_and_its_error(project):
    ended = ask("jobs", "submit", "bad.py", "--wait")
    assert ended.exit_code == 1
    assert "failed" in ended.stderr
    assert "ValueError: no rows" in ended.stderr


def test_a_function_of_a_file_is_submitted_and_its_result_comes_back(project):
    id = ask("jobs", "submit", "tools.py:double", "--", "21").stdout.strip()
    assert ask("jobs", "wait", id).exit_code == 0
    assert ask("jobs", "result", id).stdout == "42\n"


def test_a_submission_as_json_names_the_job(project):
    told = ask_json("jobs", "submit", "train.py", "--name", "first")
    assert told["name"] == "first"
    assert ask("jobs", "wait", told["id"]).exit_code == 0


def test_a_running_job_shows_its_progress_and_can_be_cancelled(project):
    id = ask("jobs", "submit", "train.py", "--", "--pause", "30").stdout.strip()
    deadline = time.monotonic() + 60
    while (told := ask_json("jobs", "status", id))["total"] != 4 and time.monotonic() < deadline:
        time.sleep(0.3)
    assert (told["state"], told["done"], told["total"], told["what"]) == ("running", 0, 4, "epochs")
    assert ask("jobs", "result", id).exit_code == 2
    assert ask("jobs", "cancel", id).exit_code == 0
    assert ask("jobs", "wait", id).exit_code == 3


def test_interrupting_the_waiting_leaves_the_job_alone(project):
    id = ask("jobs", "submit", "train.py", "--", "--pause", "1").stdout.strip()
    command = [sys.executable, "-m", "ailab_dataproc", "jobs", "wait", id]
    waiting = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert id in waiting.stderr.readline()  # it is at it
    waiting.send_signal(signal.SIGINT)
    _, told = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert f"the job goes on: ailab-dataproc jobs wait {id}" in told
    assert ask("jobs", "wait", id).exit_code == 0


def test_a_job_that_has_ended_is_started_again_as_another(project):
    id = ask("jobs", "submit", "train.py", "--", "x", "0").stdout.strip()
    assert ask("jobs", "wait", id).exit_code == 0
    again = ask("jobs", "restart", id).stdout.strip()
    assert again != id
    assert ask("jobs", "wait", again).exit_code == 0
    assert "['x', '0']" in ask("jobs", "logs", again).stdout


def test_the_bar_goes_on_in_a_narrow_terminal(project, tmp_path):
    import pty

    id = ask("jobs", "submit", "train.py", "--", "--pause", "0.7").stdout.strip()
    here, there = pty.openpty()
    command = [sys.executable, "-m", "ailab_dataproc", "jobs", "wait", id]
    env = {**os.environ, "COLUMNS": "30", "TERM": "xterm"}
    with (tmp_path / "seen").open("wb") as seen, subprocess.Popen(command, stderr=there, env=env) as waiting:
        os.close(there)
        while True:
            try:
                seen.write(os.read(here, 4096))
            except OSError:  # the terminal's other end is closed
                break
    os.close(here)
    assert waiting.returncode == 0
    assert "succeeded" in Path(tmp_path / "seen").read_text()
