"""What loads cost on this machine decides "auto"; what was measured elsewhere or can't be read is told, and ignored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ailab_dataproc as adp
from ailab_dataproc.calibration import Calibration, Cost, Point, fitted, load_calibration, save_calibration
from ailab_dataproc.sizing import Machine

HERE = Machine(memory=10**10, cpus=2)
COSTS = {
    "pandas": Cost(fixed_seconds=0.01, seconds_per_gb=1.0),
    "dask": Cost(fixed_seconds=1.5, seconds_per_gb=0.5, memory_factor=1.2),
}


@pytest.fixture
def file(tmp_path):
    return str(tmp_path / "calibration.json")


def test_what_is_saved_is_loaded(file):
    assert str(save_calibration(COSTS, "2026-11-23", file, HERE)) == file
    assert load_calibration(file, HERE) == Calibration(costs=COSTS, date="2026-11-23", path=file)


def test_machines_that_share_a_home_share_the_file(file):
    other = Machine(memory=10**10, cpus=64)
    save_calibration(COSTS, "2026-11-23", file, HERE)
    save_calibration({}, "2026-11-24", file, other)
    save_calibration(COSTS, "2026-11-25", file, HERE)
    assert load_calibration(file, HERE).date == "2026-11-25"
    assert len(json.loads(Path(file).read_text())["machines"]) == 2


def test_no_file_by_default_is_no_calibration():
    assert load_calibration(None, HERE) == Calibration()


def test_a_file_that_was_named_and_is_not_there_is_told(file):
    assert "does not exist" in load_calibration(file, HERE).ignored


def test_a_file_of_another_machine_is_ignored_and_told(file):
    save_calibration(COSTS, "2026-11-23", file, Machine(memory=10**10, cpus=64))
    found = load_calibration(file, HERE)
    assert not found.costs
    assert "is of another machine than this" in str(found)
    assert "2 cores" in str(found)


def changed(file, **values):
    save_calibration(COSTS, "2026-11-23", file, HERE)
    told = json.loads(Path(file).read_text())
    told["machines"][0]["backends"]["pandas"] |= values
    with open(file, "w") as out:
        json.dump(told, out)
    return load_calibration(file, HERE)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"seconds_per_gb": -1}, "pandas: seconds_per_gb is -1, wanted a number"),
        ({"fixed_seconds": "fast"}, "fixed_seconds is 'fast'"),
        ({"seconds_per_gb": float("nan")}, "seconds_per_gb is nan"),
        ({"colour": 1}, "unexpected keyword argument 'colour'"),
    ],
)
def test_an_entry_that_is_wrong_is_ignored_and_told(file, values, told):
    assert told in changed(file, **values).ignored


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "machines": {"a": 1}}', "\x00"])
def test_a_file_that_is_no_calibration_is_ignored_and_told(file, text):
    with open(file, "w") as out:
        out.write(text)
    assert "can't be understood" in load_calibration(file, HERE).ignored


def test_a_file_of_another_format_is_ignored_and_told(file):
    with open(file, "w") as out:
        json.dump({"format": 2, "machines": []}, out)
    assert "has format 2, wanted 1; calibrate again" in str(load_calibration(file, HERE))


def test_the_plan_takes_the_calibration_that_the_environment_names(make, data_dir, file, monkeypatch):
    make()
    costs = {"pandas": Cost(fixed_seconds=9, seconds_per_gb=1), "dask": Cost(fixed_seconds=1, seconds_per_gb=1)}
    save_calibration(costs, "2026-11-23", file, Machine.here())
    monkeypatch.setenv("AILAB_CALIBRATION", file)
    plan = adp.plan("test/clicks", data_dir=data_dir)
    assert plan.backend == "dask"
    assert "the fastest on the ladder" in str(plan)
    assert f"calibration: measured on this machine, 2026-11-23 ({file})" in str(plan)
    assert plan.to_dict()["seconds"]["pandas"] == pytest.approx(9, abs=0.01)


def test_the_plan_tells_of_a_calibration_that_it_ignores(make, data_dir, file, monkeypatch):
    make()
    monkeypatch.setenv("AILAB_CALIBRATION", file)
    plan = adp.plan("test/clicks", data_dir=data_dir)
    assert plan.backend == "pandas"
    assert f"calibration: none: {file} does not exist" in str(plan)


def test_the_line_through_loads_that_lie_on_one_is_that_line():
    cost = fitted([Point(size, 0.05 + 2e-9 * size) for size in (10**6, 10**8, 10**9)])
    assert cost.fixed_seconds == pytest.approx(0.05)
    assert cost.seconds_per_gb == pytest.approx(2.0)


@pytest.mark.parametrize("seconds", [(0.001, 0.1, 10.0), (0.5, 0.4, 0.3), (1e-4, 0.5, 1.0)])
def test_no_part_of_a_cost_is_negative(seconds):
    cost = fitted([Point(10**power, took) for power, took in zip((6, 8, 9), seconds, strict=True)])
    assert cost.fixed_seconds >= 0
    assert cost.seconds_per_gb >= 0


def test_one_load_alone_gives_its_throughput():
    cost = fitted([Point(2 * 10**9, 3.0, 1.1)])
    assert (cost.fixed_seconds, cost.seconds_per_gb, cost.memory_factor) == (0.0, pytest.approx(1.5), 1.1)


def test_the_memory_factor_is_that_of_the_largest_load():
    assert fitted([Point(10**9, 1.0, 1.2), Point(10**6, 0.1, 4.0)]).memory_factor == 1.2
