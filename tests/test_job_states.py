"""The state of a job, row by row: what its files say, what the scheduler says, and the state that follows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ailab_dataproc.jobs.record import Asked, Beat, Ended, Started
from ailab_dataproc.jobs.state import Attempt, Files, Known, derive

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SILENT = "scheduler tls://lab:8786 doesn't answer within 3 s (timed out)."
UNKNOWN = Known(state=None)
RUNS = Known(state="long-running", worker="tls://a:1")


def ago(seconds):
    """A time of a file."""
    return (NOW - timedelta(seconds=seconds)).isoformat()


def asked(age=600):
    """A job that was submitted so many seconds ago, to the scheduler "one"."""
    fields = {"name": "count", "user": "ann", "cluster": "lab", "scheduler": "one", "entry": "x"}
    return Asked(id="20261123-115000-count-3f2a1b", created=ago(age), **fields)


def attempt(beat=2, worker="tls://a:1", ended=None):
    """An attempt that gave its last sign of life so many seconds ago."""
    started = Started(attempt=1, worker=worker, host="a", pid=7, at=ago(300))
    last = None if ended else Beat(at=ago(beat), memory=10**9, done=3, total=4, what="days")
    return Attempt(started=started, beat=last, ended=ended)


def end(outcome, error=""):
    """How an attempt, or the job, ended."""
    return Ended(attempt=1, outcome=outcome, at=ago(1), seconds=9.0, error=error)


def state(files, known):
    """State and reason."""
    found = derive(files, known, NOW)
    return found.state, found.why


def files(*attempts, **given):
    """The files of a job with these attempts."""
    return Files(**{"asked": asked(), "attempts": dict(enumerate(attempts, start=1))} | given)


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cancelled", "lost"])
@pytest.mark.parametrize("known", [UNKNOWN, RUNS, SILENT, Known(state="erred", error="gone")])
def test_what_the_job_says_of_its_end_counts_whatever_the_scheduler_says(outcome, known):
    assert state(files(attempt(), ended=end(outcome, "why")), known) == (outcome, "why")


def test_a_job_that_waits_says_for_what():
    known = Known(state="no-worker", why="waiting for a worker with GPU=1: none has that")
    assert state(files(), known) == ("queued", "waiting for a worker with GPU=1: none has that")


def test_a_task_on_a_full_worker_is_queued():
    known = Known(state="processing", worker="tls://a:1", why="waiting: all 4 job slots are taken")
    assert state(files(), known) == ("queued", "waiting: all 4 job slots are taken")


def test_a_job_with_an_attempt_that_the_scheduler_knows_runs():
    assert state(files(attempt()), RUNS) == ("running", "")


def test_an_attempt_without_a_beat_for_long_runs_while_the_scheduler_counts_on_its_worker():
    assert state(files(attempt(beat=4000)), RUNS) == ("running", "")


def test_a_cancelled_job_that_never_began_is_cancelled_at_once():
    for known in (UNKNOWN, SILENT, Known(state="processing", worker="tls://a:1")):
        assert state(files(cancelled=ago(1)), known)[0] == "cancelled"


def test_a_cancelled_job_runs_until_its_processes_have_ended():
    assert state(files(attempt(), cancelled=ago(1)), RUNS) == ("running", "it is being cancelled")


def test_a_cancelled_job_whose_worker_is_gone_is_cancelled():
    for known in (UNKNOWN, SILENT):
        assert state(files(attempt(beat=300), cancelled=ago(280)), known)[0] == "cancelled"


def test_a_job_between_two_attempts_runs():
    ended = attempt(ended=end("failed", "ValueError: no"))
    assert state(files(ended), RUNS) == ("running", "attempt 1 failed (ValueError: no), attempt 2 begins")


def test_a_job_whose_worker_was_lost_is_queued_until_another_begins():
    known = Known(state="processing", worker="tls://b:1", why="waiting: all 2 job slots are taken")
    assert state(files(attempt()), known) == (
        "queued",
        "worker tls://a:1 was lost with attempt 1; waiting: all 2 job slots are taken",
    )


def test_a_job_without_any_worker_left_is_queued():
    known = Known(state="no-worker", why="waiting for a worker: the cluster has none")
    assert state(files(attempt()), known)[0] == "queued"


def test_a_job_that_a_restarted_scheduler_does_not_know_is_lost_and_says_what_to_do():
    found, why = state(files(attempt(beat=300)), UNKNOWN)
    assert found == "lost"
    assert why.endswith("Submit it again: ailab-dataproc jobs restart 20261123-115000-count-3f2a1b.")


def test_a_job_that_gives_signs_of_life_runs_although_the_scheduler_does_not_know_it():
    assert state(files(attempt()), UNKNOWN)[0] == "running"


def test_clocks_may_be_nearly_a_minute_apart():
    assert state(files(attempt(beat=50)), UNKNOWN)[0] == "running"
    assert state(files(attempt(beat=-50)), UNKNOWN)[0] == "running"


def test_a_job_that_is_just_being_submitted_is_queued():
    assert state(files(asked=asked(age=5)), UNKNOWN) == ("queued", "it is being submitted")


def test_a_job_whose_submitter_died_before_the_scheduler_knew_it_is_lost():
    assert state(files(), UNKNOWN)[0] == "lost"


def test_a_scheduler_that_was_restarted_tells_at_once_that_a_job_is_lost():
    other = Known(state=None, scheduler="two")
    assert state(files(asked=asked(age=5)), other)[0] == "lost"
    assert state(files(attempt(beat=20)), other)[0] == "lost"
    assert state(files(attempt(beat=20)), Known(state=None, scheduler="one"))[0] == "running"


def test_a_job_that_no_worker_could_run_has_failed():
    known = Known(state="erred", error="ModuleNotFoundError: No module named 'ailab_dataproc'\nmore")
    assert state(files(), known) == (
        "failed",
        "no worker could run it: ModuleNotFoundError: No module named 'ailab_dataproc'",
    )


def test_a_job_that_the_scheduler_gave_up_is_lost():
    assert state(files(attempt()), Known(state="erred", error="KilledWorker: 4 died"))[0] == "lost"


def test_without_a_scheduler_files_tell_the_state_and_a_note_says_so():
    for given, expected in ((files(), "queued"), (files(attempt()), "running"), (files(attempt(beat=300)), "lost")):
        found = derive(given, SILENT, NOW)
        assert (found.state, found.note) == (expected, SILENT)


def test_a_job_that_has_ended_has_no_note():
    assert derive(files(ended=end("succeeded")), SILENT, NOW).note == ""


def test_a_status_tells_the_newest_attempt():
    second = Attempt(started=Started(attempt=2, worker="tls://b:1", host="b", pid=8, at=ago(10)))
    found = derive(files(attempt(), second), Known(state="long-running", worker="tls://b:1"), NOW)
    assert (found.attempt, found.host, found.seconds) == (2, "b", 10.0)
