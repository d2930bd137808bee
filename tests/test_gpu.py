"""On a GPU: every test that other backends pass, two workers on one GPU, spilling. Skipped where there is none.

The extras pandas, dask and gpu, and pytest, are enough to run it; AILAB_TEST_DATA names data prepared elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t
import pytest
import yaml

import ailab_dataproc as adp
from ailab_dataproc.backends import backend
from ailab_dataproc.cluster import connect, find_cluster
from ailab_dataproc.edge_cases import edge_cases
from ailab_dataproc.sizing import Machine
from ailab_dataproc.testing import BackendTests, assert_same, prepare_edge_cases


def missing() -> str:
    """Why nothing here can run; empty where it can."""
    machine = Machine.here()
    if not machine.gpus:
        return f"no GPU visible: {machine.no_gpu}"
    absent = [one for one in ("cudf", "dask_cudf", "dask_cuda") if importlib.util.find_spec(one) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(missing()), reason=missing() or "there is a GPU")]
LACKING = {
    one.name: "cuDF has no such type"
    for one in edge_cases().schema
    if t.is_float16(one.type) or t.is_binary(one.type) or t.is_large_binary(one.type)
}  # tests pass all other columns


class TestCuDF(BackendTests):
    backend = "cudf"
    refused = LACKING

    def test_the_frame_is_cudfs_own(self, place):
        import cudf

        assert type(self.load(place, "testing/many")) is cudf.DataFrame

    def test_numbers_keep_their_width_and_nulls_are_no_nan(self, place):
        names = ["int8", "big_or_null", "float32_or_null", "flag_or_null"]
        frame = self.load(place, split="train", columns=names)
        assert self.dtypes(frame) == dict(zip(names, ["int8", "int64", "float32", "bool"], strict=True))
        assert [frame[name].to_arrow().null_count for name in names] == [0, 1, 2, 2]

    def test_dictionaries_are_categories(self, place):
        frame = self.load(place, split="train", columns=["kind_or_null"])
        assert frame["kind_or_null"].cat.categories.to_arrow().to_pylist() == ["a", "ü"]

    def test_a_category_without_a_value_is_null_in_arrow(self, place):
        frame = self.load(place, "testing/nulls", split="bare")
        schema = adp.plan("testing/nulls", data_dir=place, backend="arrow").selection.schema
        assert self.as_arrow(frame, schema)["kind"].to_pylist() == [None] * 3

    def test_a_bucket_gives_the_same_frame_as_a_disk(self, place, monkeypatch):
        import fsspec

        monkeypatch.setenv("AILAB_CACHE_BYTES", "0")
        fsspec.filesystem("memory").put(f"{place}/", "/edge", recursive=True)
        self.check("memory://edge", self.exact(), split="train")
        wanted = self.exact().filter(pc.field("int8") > 0)
        self.check("memory://edge", wanted, split="train", filters=[("int8", ">", 0)])

    def test_data_larger_than_the_gpu_are_refused_with_its_free_memory(self, place):
        made = adp.plan("testing/many", data_dir=place, backend="cudf")
        free = made.machine.gpus[0]
        found = backend("cudf").refuse(replace(made.need, bytes=free), made.machine)
        assert found.startswith("needs ")
        assert "the GPU has" in found


class TestDaskCuDF(BackendTests):
    backend = "dask_cudf"
    refused = LACKING

    def test_the_frame_is_dask_cudfs_own(self, place):
        import dask_cudf

        assert isinstance(self.load(place, "testing/many"), dask_cudf.DataFrame)

    def test_the_partitions_have_the_dtypes_that_the_frame_tells(self, place):
        frame = self.load(place, split="train", columns=self.exact().column_names)
        told, found = self.dtypes(frame), self.dtypes(frame.get_partition(0).compute())
        assert told == found

    def test_a_group_by_is_the_one_of_arrow(self, place):
        frame = self.load(place, "testing/many")
        found = frame.assign(k=frame["x"] % 7).groupby("k").agg({"x": "sum"}).compute().sort_index()
        assert found["x"].to_arrow().to_pylist() == [sum(range(k, 120, 7)) for k in range(7)]

    def test_a_projection_reads_the_same_values(self, place):
        found = self.load(place, split="train")["big_or_null"].compute().to_arrow().to_pylist()
        assert found == edge_cases()["big_or_null"].to_pylist()

    def test_counting_rows_is_right(self, place):
        assert len(self.load(place, "testing/many")) == 120


class TestTwoWorkersOnOneGPU(TestDaskCuDF):
    """`LocalCUDACluster` wants a GPU for each worker: they are started one by one, each with a third of its memory."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def cluster(cls, tmp_path_factory):
        from dask.distributed import Client

        folder = tmp_path_factory.mktemp("workers")
        file = folder / "scheduler.json"
        started = [_dask("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", file, folder=folder)]
        try:
            _wait_for(file)
            options = ("--rmm-pool-size", "0.3", "--enable-cudf-spill", "--no-dashboard", "--death-timeout", "60")
            for _ in range(2):
                started.append(_dask("cuda", "worker", "--scheduler-file", file, *options, folder=folder))
            with Client(json.loads(file.read_text())["address"], timeout=60) as client:
                client.wait_for_workers(2, timeout=120)
                yield
        finally:
            for process in reversed(started):
                process.terminate()
            for process in started:
                process.wait(30)

    def test_both_workers_are_used(self, place):
        frame = self.load(place, "testing/many")
        assert frame.npartitions >= 8


@pytest.fixture
def prepared(tmp_path):
    """As `BackendTests.place`."""
    folder = os.environ.get("AILAB_TEST_DATA") or str(tmp_path / "edge")
    if not Path(folder).exists():
        prepare_edge_cases(folder)
    return folder


@pytest.fixture
def small_pool(tmp_path):
    """The cluster of gpu.yaml with 1 GiB of one GPU."""
    pool = {"rmm_pool_size": "1 GiB", "rmm_maximum_pool_size": "1 GiB", "CUDA_VISIBLE_DEVICES": [0]}
    found = find_cluster("gpu")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump({"cluster": found.kind, "options": {**found.options, **pool}}))
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(connect(str(tmp_path / "small.yaml"), timeout=60))


@pytest.mark.slow
def test_more_than_the_pool_is_spilled_to_the_host(small_pool):
    import dask.dataframe as dd
    from dask.distributed import wait

    def numbers(number, rows=2**24):  # 128 MiB; defined here, so that it is sent by value: workers can't import tests
        import cudf
        import cupy

        return cudf.DataFrame({"x": cupy.full(rows, number, dtype="int64")})

    frame = dd.from_map(numbers, range(16), meta=numbers(0, 0)).persist()
    wait(frame)
    assert int(frame["x"].sum().compute()) == sum(i * 2**24 for i in range(16))


def test_the_cluster_that_a_load_would_start_returns_the_same_rows(prepared):
    schema = adp.plan("testing/many", data_dir=prepared, backend="arrow").selection.schema
    with connect("gpu", timeout=60):
        frame = adp.load("testing/many", data_dir=prepared, backend="dask_cudf")
        found = backend("dask_cudf").to_arrow(frame, schema)
    assert_same(found, pa.table([range(120)], schema=schema))


def _dask(*words, folder: Path):
    """A process of Dask's command line."""
    with open(folder / f"{words[0]}-{time.monotonic_ns()}.log", "wb") as log:
        return subprocess.Popen([sys.executable, "-m", "dask", *map(str, words)], stdout=log, stderr=log, cwd=folder)


def _wait_for(file: Path, seconds: float = 60):
    until = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < until, f"{file} was not written within {seconds:.0f} s"
        time.sleep(0.1)
