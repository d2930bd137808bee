"""The planner decides from what is wanted and what is there, and its explanation is the decision."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ailab_dataproc as adp
from ailab_dataproc.backends import BACKENDS, backend
from ailab_dataproc.calibration import Calibration, Cost
from ailab_dataproc.choosing import GPU_LEAST, SLACK, check_ladder, choose
from ailab_dataproc.columns import column
from ailab_dataproc.errors import AilabError, BackendRefused, InvalidRequest, MissingLibrary
from ailab_dataproc.gpus import Gpu
from ailab_dataproc.sizing import Machine, Need, Worker

GB = 10**9
NEED = Need(
    rows=125 * 10**6,
    bytes=GB,
    largest=GB // 10,
    shards=10,
    schema=pa.schema([column("x", pa.int64())]),
    columns={"x": GB},
)
BIG = Machine(memory=16 * GB, cpus=4)
SMALL = Machine(memory=2 * GB, cpus=4)
CPU = ("arrow", "numpy", "pandas", "polars", "dask")
ALL = {name: backend(name) for name in CPU}
LADDER = ("pandas", "dask")


class OnGpu:
    """A backend whose memory is a GPU's."""

    returns = "a frame"
    family = "eager"
    device = "gpu"

    def peak(self, need):
        return need.bytes

    def refuse(self, need, machine):
        return None if machine.gpus else f"no GPU visible: {machine.no_gpu}"


class Absent(OnGpu):
    """A backend that isn't installed."""

    def refuse(self, need, machine):
        return "absent is not installed: pip install 'ailab_dataproc[absent]'"


def chosen(need=NEED, machine=BIG, asked="auto", ladder=LADDER, calibration=None, **more):
    return choose(need, machine, ALL | more, asked=asked, ladder=ladder, calibration=calibration).backend


def scaled(need, times):
    """The same with so many times the rows."""
    sizes = {name: int(size * times) for name, size in need.columns.items()}
    total = sum(sizes.values())
    return replace(need, rows=int(need.rows * times), bytes=total, columns=sizes, largest=int(need.largest * times))


def test_auto_takes_pandas_where_it_fits():
    assert chosen() == "pandas"


def test_auto_takes_dask_where_pandas_does_not_fit():
    assert chosen(machine=SMALL) == "dask"


def test_an_asked_backend_that_refuses_is_never_swapped():
    with pytest.raises(BackendRefused, match=r"backend 'pandas': needs 1\.\d GB .*half of the free memory is 1\.0 GB"):
        chosen(machine=SMALL, asked="pandas")


def test_data_larger_than_memory_is_refused_with_what_to_do():
    told = r"The selection has 1\.0 GB as Arrow\. Take fewer columns or a smaller split, .* or use batches"
    with pytest.raises(BackendRefused, match=told):
        chosen(machine=SMALL, asked="pandas")


def test_auto_tells_all_refusals_where_none_fits():
    with pytest.raises(BackendRefused, match=r"none fits\. pandas: needs .*; dask: its largest shard needs"):
        chosen(replace(NEED, largest=GB), SMALL)


def test_a_backend_that_is_not_installed_is_refused_with_the_command():
    with pytest.raises(MissingLibrary, match=r"backend 'absent': absent is not installed: pip install 'ailab_dataproc"):
        chosen(asked="absent", absent=Absent())


def test_a_gpu_backend_is_refused_with_the_reason_why_no_gpu_is_visible():
    machine = replace(BIG, no_gpu="no NVIDIA driver (NVML: Driver Not Loaded)")
    with pytest.raises(BackendRefused, match=r"no GPU visible: no NVIDIA driver \(NVML: Driver Not Loaded\)\."):
        chosen(machine=machine, asked="fast", fast=OnGpu())


def test_a_lazy_backend_is_judged_by_the_memory_of_the_connected_cluster():
    crowded = Machine(memory=2 * GB, cpus=8, address="tcp://there:8786", workers=(Worker(GB, 4), Worker(GB, 4)))
    with pytest.raises(BackendRefused, match=r"a thread of tcp://there:8786, which has 250\.0 MB free"):
        chosen(machine=replace(BIG, cluster=crowded), asked="dask")


def test_an_eager_backend_is_judged_by_the_memory_of_this_process():
    large = Machine(memory=100 * GB, cpus=8, address="tcp://there:8786", workers=(Worker(100 * GB, 8),))
    assert chosen(machine=replace(SMALL, cluster=large)) == "dask"


@pytest.mark.parametrize(("size", "wanted"), [(GPU_LEAST, "fast"), (GPU_LEAST - 8, "pandas")])
def test_a_gpu_is_taken_for_data_that_is_large_enough_to_pay(size, wanted):
    need = replace(NEED, rows=size // 8, bytes=size, columns={"x": size})
    machine = replace(BIG, gpus=(GB,))
    assert chosen(need, machine, ladder=("fast", "pandas"), fast=OnGpu()) == wanted


def test_a_gpu_is_taken_for_small_data_where_nothing_else_is_on_the_ladder():
    small = scaled(NEED, 0.001)
    assert chosen(small, replace(BIG, gpus=(GB,)), ladder=("fast",), fast=OnGpu()) == "fast"


def measured(**seconds):
    return Calibration(costs={name: Cost(fixed_seconds=a, seconds_per_gb=b) for name, (a, b) in seconds.items()})


def test_with_a_calibration_the_fastest_that_fits_is_taken():
    calibration = measured(pandas=(0, 10), dask=(0, 2), arrow=(0, 1))
    assert chosen(calibration=calibration) == "dask"
    assert chosen(calibration=calibration, ladder=("pandas", "dask", "arrow")) == "arrow"
    assert chosen(calibration=calibration, ladder=("pandas", "dask", "arrow"), machine=SMALL) == "dask"


def test_the_order_of_the_ladder_stands_where_another_is_only_a_little_faster():
    assert chosen(calibration=measured(pandas=(0, SLACK), dask=(0, 1))) == "pandas"
    assert chosen(calibration=measured(pandas=(0, SLACK * 1.01), dask=(0, 1))) == "dask"


def test_a_backend_without_a_measurement_is_taken_where_no_measured_one_fits():
    assert chosen(calibration=measured(pandas=(0, 1))) == "pandas"
    assert chosen(calibration=measured(pandas=(0, 1)), machine=SMALL) == "dask"


def test_a_calibration_of_this_machine_says_nothing_about_a_cluster():
    cluster = Machine(memory=100 * GB, cpus=8, address="tcp://there:8786", workers=(Worker(100 * GB, 8),))
    calibration = measured(pandas=(0, 10), dask=(0, 1))
    assert chosen(machine=replace(BIG, cluster=cluster), calibration=calibration) == "pandas"


def test_a_measured_memory_factor_is_kept_to():
    heavy = Calibration(costs={"pandas": Cost(fixed_seconds=0, seconds_per_gb=1, memory_factor=100)})
    assert chosen(calibration=heavy) == "dask"


@settings(deadline=None)
@given(st.floats(0, 5), st.floats(0.01, 10), st.floats(0, 5), st.floats(0.01, 10))
def test_growing_data_change_the_choice_at_most_once(first_fixed, first_slope, other_fixed, other_slope):
    calibration = measured(pandas=(first_fixed, first_slope), dask=(other_fixed, other_slope))
    room = Machine(memory=10**6 * GB, cpus=4)
    picked = [chosen(scaled(NEED, times), room, calibration=calibration) for times in (0.01, 0.1, 0.5, 1, 2, 10, 100)]
    assert sum(one != other for one, other in itertools.pairwise(picked)) <= 1


COSTS = st.builds(Cost, fixed_seconds=st.floats(0, 10), seconds_per_gb=st.floats(0, 100))
TYPES = st.sampled_from([pa.int64(), pa.bool_(), pa.string(), pa.list_(pa.float32()), pa.timestamp("us", "UTC")])


@st.composite
def needs(draw):
    rows = draw(st.integers(0, 10**9))
    fields = draw(st.lists(st.tuples(TYPES, st.booleans()), min_size=1, max_size=5))
    schema = pa.schema([column(f"c{i}", type_, nullable=nullable) for i, (type_, nullable) in enumerate(fields)])
    columns = {one.name: rows * draw(st.integers(1, 100)) for one in schema}
    shards = draw(st.integers(1, 1000))
    total = sum(columns.values())
    return Need(
        rows=rows,
        bytes=total,
        largest=-(-total // shards),
        shards=shards,
        schema=schema,
        columns=columns,
        nulls=draw(st.sampled_from(["refuse", "mask"])),
        dtypes=draw(st.sampled_from(["arrow", "numpy"])),
        filtered=draw(st.booleans()),
        threads=draw(st.integers(1, 64)),
    )


@settings(deadline=None)
@given(
    needs(),
    st.builds(Machine, memory=st.integers(0, 10**13), cpus=st.integers(1, 128)),
    st.permutations(CPU),
    st.dictionaries(st.sampled_from(CPU), COSTS),
)
def test_the_choice_is_a_pure_function_and_fits(need, machine, ladder, costs):
    def decide():
        try:
            return choose(need, machine, ALL, asked="auto", ladder=ladder, calibration=Calibration(costs=costs))
        except AilabError as error:
            return str(error)

    choice = decide()
    assert choice == decide()
    if isinstance(choice, str):
        return
    verdict = choice.verdict
    assert verdict.refusal is None
    room = machine.memory // 2 if verdict.family == "eager" else machine.a_thread(need.shards)
    assert verdict.peak <= room


def test_a_family_narrows_the_ladder():
    assert check_ladder(LADDER, "lazy", ALL) == ("dask",)
    with pytest.raises(InvalidRequest, match="wanted 'eager'"):
        check_ladder(LADDER, "quick", ALL)


def test_a_ladder_that_names_an_unknown_backend_is_refused_with_the_names(make, data_dir, monkeypatch):
    make()
    monkeypatch.setenv("AILAB_AUTO", "pandas,spark")
    with pytest.raises(InvalidRequest, match=f"auto names 'spark', wanted some of {', '.join(BACKENDS)}"):
        adp.plan("test/clicks", data_dir=data_dir)


def test_the_plan_says_why_in_text_table_and_dict(make, data_dir):
    make()
    plan = adp.plan("test/clicks", data_dir=data_dir, columns=["user"], backend="auto")
    assert "1 of" in str(plan)
    assert "-> pandas" in str(plan)
    assert ">pandas</td>" in plan._repr_html_()
    assert plan.to_dict()["backend"] == plan.backend == "pandas"


def test_ipython_shows_a_plan_in_words(make, data_dir):
    pretty = pytest.importorskip("IPython.lib.pretty")
    make()
    plan = adp.plan("test/clicks", data_dir=data_dir)
    assert pretty.pretty(plan) == plan.explain()


def test_the_plan_tells_the_peak_of_each_backend_and_the_free_memory(make, data_dir):
    make()
    plan = adp.plan("test/clicks", data_dir=data_dir)
    told = plan.to_dict()
    assert set(told["peaks"]) == set(told["refusals"]) == set(BACKENDS)
    assert told["peaks"]["pandas"] > 0
    assert "of memory free" in str(plan)
    assert told["column_bytes"] == dict(plan.need.columns)


def test_the_plan_tells_the_machine_in_one_line_and_the_backends_beside_the_ladder_in_few(make, data_dir):
    make()
    plan = adp.plan("test/clicks", data_dir=data_dir)
    lines = str(plan).split("\n")
    assert len(lines) < 5 + len(BACKENDS)
    assert any(line.split()[:2] == ["if", "asked"] and "arrow (" in line for line in lines)
    assert lines[-1].split(maxsplit=1) == ["ladder", "pandas, dask; calibration: none"]


def test_the_plan_tells_the_cluster_and_the_gpus(make, data_dir):
    make()
    plan = adp.plan("test/clicks", data_dir=data_dir)
    cluster = Machine(memory=24 * GB, cpus=8, address="tcp://there:8786", workers=(Worker(24 * GB, 8),) * 3)
    card = Gpu("H200", "GPU-1", 140 * GB, 139 * GB)
    seen = replace(plan, machine=replace(plan.machine, cluster=cluster, gpus=(139 * GB,), devices=(card,)))
    assert "3 workers, 8 threads, 24.0 GB free, from tcp://there:8786" in str(seen)
    assert "1 x H200 with 139.0 GB free, which no backend of the ladder uses (settings: auto)" in str(seen)
    assert seen.to_dict()["cluster"]["workers"] == 3


def test_a_plan_loads_and_leaves_a_report(make, data_dir):
    make()
    plan = adp.plan("test/clicks", data_dir=data_dir, columns=["user", "price"], split="train")
    frame = plan.load()
    report = adp.last_report()
    assert list(frame.columns) == ["user", "price"]
    assert (report.step, report.backend, report.reason) == ("load", "pandas", "the first on the ladder that fits")
    assert report.rows == {"train": len(frame)}
    assert report.fingerprint == plan.fingerprint != ""
    assert report.predicted_memory == plan.choice.verdict.peak
    assert report.to_dict()["columns"] == ["user", "price"]
    assert f"{len(frame):,} rows of train with pandas" in str(report)


def test_the_report_of_a_load_tells_the_rows_that_the_filter_left(make, data_dir):
    make()
    frame = adp.load("test/clicks", data_dir=data_dir, filters=[("user", ">", 15)], backend="arrow")
    report = adp.last_report()
    assert report.rows == {"all": len(frame)}
    assert report.filters
    assert not report.at_most


def test_the_report_of_a_lazy_load_with_a_filter_tells_rows_at_most(make, data_dir):
    make()
    adp.load("test/clicks", data_dir=data_dir, filters=[("user", ">", 15)], backend="dask")
    assert adp.last_report().at_most
    assert "at most 20 rows" in str(adp.last_report())


def test_auto_logs_what_it_chose_and_why(make, data_dir, caplog):
    make()
    with caplog.at_level(logging.INFO, logger="ailab_dataproc"):
        adp.load("test/clicks", data_dir=data_dir)
    assert "backend pandas (pandas.DataFrame), the first on the ladder that fits" in caplog.text
