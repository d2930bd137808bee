"""The model on paper: what a simulated run takes, what holds it up, and where its costs come from."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from ailab_dataproc.errors import InvalidRequest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
# The scripts import each other by their bare names; other tests must not find them by these.
sys.path.insert(0, str(BENCHMARKS))
import model  # noqa: E402
import results  # noqa: E402

sys.path.remove(str(BENCHMARKS))


def job(**fields):
    """100 tasks of a second on 10 cores of one worker, with all else free."""
    free = {"traffic": 0.0, "scheduler": 0.0, "spread": 0.0, "publishing": 0.0}
    given = {"tasks": 100, "computing": 1.0, "cores": 10, "workers": 1, "network": 1e9, "bucket": 1e9} | free
    return model.Job(**(given | fields))


def test_tasks_that_need_nothing_but_cores_take_their_seconds_over_the_cores():
    assert model.simulate(job()) == pytest.approx(10)
    assert model.simulate(job(cores=100)) == pytest.approx(1)


def test_a_scheduler_that_is_slower_than_the_cores_bounds_the_run():
    slow = job(scheduler=0.5)
    assert model.simulate(slow) == pytest.approx(100 * 0.5 + 1)
    assert model.bottleneck(slow, model.simulate(slow))[0] == "scheduler"


def test_a_bucket_that_is_full_bounds_the_run_whatever_the_workers():
    few, many = (job(traffic=1e9, workers=workers, cores=10 * workers, network=1e10) for workers in (4, 10))
    assert model.simulate(few) == pytest.approx(model.simulate(many), rel=0.02)
    assert model.bottleneck(many, model.simulate(many))[0] == "storage"


def test_what_publishes_at_the_end_is_added():
    assert model.simulate(job(publishing=7.0)) == pytest.approx(model.simulate(job()) + 7)


def test_costs_come_from_the_results_that_are_there():
    found = model.costs(BENCHMARKS / "results")
    assert 0 < found["load"] < found["prepare, Parquet"] < found["prepare, both formats"]


def test_results_that_lack_a_measurement_are_refused_with_what_to_run(tmp_path):
    for name in ("prepare", "load"):
        kept = results.read(BENCHMARKS / "results" / f"{name}.jsonl")
        results.write((dataclasses.replace(one, workers=3) for one in kept), tmp_path / f"{name}.jsonl")
    with pytest.raises(InvalidRequest, match=r"way 'ours, Parquet, threads'.*bench run prepare load"):
        model.costs(tmp_path)


def test_every_line_on_paper_says_so():
    lines = results.read(BENCHMARKS / "results/model.jsonl")
    assert lines
    for one in lines:
        assert one.case.startswith("on paper: ")
        assert one.extra["on_paper"] is True
