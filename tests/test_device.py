"""What the GPU backends decide without a GPU: refusals, sizes, which rows, which types."""

from __future__ import annotations

import inspect
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as t
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import ailab_dataproc as adp
from ailab_dataproc.backends import backend, device
from ailab_dataproc.backends.dask_cudf import Devices, lacking, needs_cluster, shard_too_large, spread
from ailab_dataproc.backends.parquet import Located
from ailab_dataproc.backends.shards import locate_part
from ailab_dataproc.cli import cli
from ailab_dataproc.cluster import find_cluster
from ailab_dataproc.columns import column
from ailab_dataproc.edge_cases import edge_cases
from ailab_dataproc.errors import BackendRefused
from ailab_dataproc.gpus import Gpu
from ailab_dataproc.sizing import Machine, Need, Worker
from ailab_dataproc.testing import assert_same, prepare_tables

GB = 10**9
NEED = Need(
    rows=1000,
    bytes=GB,
    largest=GB // 10,
    shards=10,
    schema=pa.schema([column("x", pa.int64())]),
    columns={"x": GB},
)
MACHINE = Machine(memory=64 * GB, cpus=16, gpus=(20 * GB, 10 * GB))
HELD = [
    one.name
    for one in edge_cases().schema
    if not (t.is_float16(one.type) or t.is_binary(one.type) or t.is_large_binary(one.type))
]


def refusal(need=NEED, machine=MACHINE):
    return device.refusal(need, machine, (), "dask")


def in_one_column(type_):
    return replace(NEED, schema=pa.schema([column("x", type_)]))


def cluster(*gpus):
    devices = tuple(Gpu("a GPU", f"GPU-{i}", size, size // 10) for i, size in enumerate(gpus))
    return Machine(
        memory=64 * GB,
        cpus=16,
        gpus=tuple(one.free for one in devices),
        devices=devices,
        no_gpu="" if gpus else "no NVIDIA driver",
        address="tcp://host:8786",
        workers=(Worker(8 * GB, 1),) * max(len(gpus), 1),
    )


@pytest.mark.parametrize("name", ["cudf", "dask_cudf"])
def test_without_a_gpu_the_sentence_says_why_and_what_else_to_take(name):
    found = backend(name).refuse(NEED, Machine(memory=GB, cpus=1, no_gpu="no NVIDIA driver"))
    assert found.startswith("no GPU visible (no NVIDIA driver); take backend=")


@pytest.mark.parametrize(("name", "other"), [("cudf", "pandas"), ("dask_cudf", "dask")])
def test_a_load_without_a_gpu_is_refused_in_one_sentence(make, data_dir, monkeypatch, name, other):
    make()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    wanted = f"backend '{name}': no GPU visible .*CUDA_VISIBLE_DEVICES is empty.*backend='{other}'"
    with pytest.raises(BackendRefused, match=wanted):
        adp.load("test/clicks", data_dir=data_dir, backend=name)


def test_the_command_line_tells_the_same_sentence(make, data_dir, monkeypatch):
    make()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = CliRunner().invoke(cli, ["plan", "test/clicks", "--data-dir", data_dir, "--backend", "dask_cudf"])
    assert done.exit_code
    assert "backend 'dask_cudf': no GPU visible" in done.output


def test_auto_is_not_disturbed_by_backends_that_see_no_gpu(make, data_dir, monkeypatch):
    make()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    made = adp.plan("test/clicks", data_dir=data_dir)
    assert made.backend == "pandas"
    assert "cudf       no GPU visible" in made.explain()


def test_a_library_that_is_not_installed_is_named_with_the_pip_line():
    assert device.refusal(NEED, MACHINE, ("no_such_library",), "dask") == (
        "no_such_library is not installed: pip install 'ailab_dataproc[gpu]'"
    )


@pytest.mark.parametrize("type_", [pa.float16(), pa.binary(), pa.list_(pa.float16()), pa.struct([("a", pa.binary())])])
def test_types_that_cudf_lacks_are_refused_with_the_column(type_):
    assert "column 'x' (" in refusal(in_one_column(type_))
    assert "columns=[…], or take backend='dask'" in refusal(in_one_column(type_))


@pytest.mark.parametrize("name", HELD)
def test_the_other_types_are_not_refused(name):
    assert refusal(replace(NEED, schema=edge_cases().select([name]).schema)) is None


def test_data_larger_than_the_first_gpu_are_refused_with_the_sizes():
    assert device.too_large(25 * GB, NEED, MACHINE) == "needs 25.0 GB (25.0 x data), the GPU has 20.0 GB free"
    assert device.too_large(20 * GB, NEED, MACHINE) is None


def test_more_rows_than_a_cudf_frame_can_have_are_refused():
    need = replace(NEED, rows=2**31)
    assert "2,147,483,648 rows" in device.too_large(GB, need, MACHINE)
    assert device.too_large(GB, replace(need, filtered=True), MACHINE) is None


def test_more_values_in_lists_than_a_cudf_column_can_have_are_refused():
    need = replace(in_one_column(pa.list_(pa.float32(), 1024)), columns={"x": 4 * 2**31})
    assert "the lists of column 'x'" in device.too_large(GB, need, MACHINE)
    assert device.too_large(GB, replace(need, columns={"x": 4 * 2**31 - 4}), MACHINE) is None


def test_a_partition_takes_a_32nd_of_a_gpu_or_less_where_many_threads_share_it():
    assert device.partition_bytes(32 * GB, 1, NEED.schema) == GB
    assert device.partition_bytes(32 * GB, 64, NEED.schema) == int(32 * GB / 160)


def test_a_partition_has_no_more_list_values_than_a_column_can_have():
    lists = pa.schema([column("image", pa.list_(pa.uint8(), 6)), column("x", pa.list_(pa.float32()))])
    assert device.partition_bytes(320 * GB, 1, lists) == 2**31 - 1


def test_each_gpu_gets_some_partitions():
    assert spread(100, Devices(smallest=GB, count=4, threads=1)) == 7


def test_a_cluster_is_started_for_many_gpus_or_for_more_data_than_one_holds():
    assert needs_cluster((GB, GB), 1)
    assert needs_cluster((GB,), GB)
    assert not needs_cluster((GB,), GB // 10)


def test_a_connected_cluster_without_gpus_is_refused_with_its_address():
    assert lacking(cluster()).startswith("the connected Dask cluster at tcp://host:8786 has no GPU (no NVIDIA driver)")
    assert lacking(cluster(GB)) is None


def test_a_shard_must_fit_into_the_smallest_gpu_of_the_cluster_whatever_its_pool_took():
    assert shard_too_large(GB // 4, cluster(GB, GB // 4)) is None
    assert shard_too_large(GB // 4, cluster(GB, GB // 5)) == (
        "its largest shard needs 250.0 MB, the smallest GPU has 200.0 MB"
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("device"))
    rows = edge_cases()
    prepare_tables(folder, {"train": [rows.slice(0, 3), rows.slice(0, 0), rows.slice(3)], "test": [rows.slice(1, 2)]})
    return folder


@pytest.mark.parametrize(
    "split", ["train", "train[:2]", "train[1:]", "train[2:4]", "test+train[3:]", "train[3:]+train[:3]", "train[:0]"]
)
@pytest.mark.parametrize(
    "selecting",
    [
        {},
        {"filters": [("int8", ">=", 0)]},
        {"filters": [("flag_or_null", "is", None)]},
        {"filters": [("text", "==", "-")]},
        {"limit": 2},
        {"sample": 2, "seed": 1},
    ],
    ids=str,
)
def test_the_rows_that_the_gpu_would_take_are_those_of_other_backends(place, split, selecting):
    asked = {"split": split, "data_dir": place, "backend": "arrow", "columns": ["int8"], **selecting}
    selection = adp.plan("testing/tables", **asked).selection
    wanted = adp.load("testing/tables", **asked)
    located = [(part, locate_part(part, selection.schema)) for part in selection.parts]
    left = [(part, one) for part, one in located if len(one.numbers)]
    found = wanted.schema.empty_table()
    if left:
        found = taken([part.folder.path(part.path) for part, _ in left], device.reading([one for _, one in left]))
    assert found["int8"].to_pylist() == wanted["int8"].to_pylist()


def taken(paths, reading):
    """What `cudf.read_parquet` and a gather do, by pyarrow."""
    files = [pq.ParquetFile(path) for path in paths]
    groups = reading.groups or [list(range(file.num_row_groups)) for file in files]
    table = pa.concat_tables([file.read_row_groups(some) for file, some in zip(files, groups, strict=True)])
    assert len(table) == reading.rows
    if reading.wanted is None:
        return table
    if isinstance(reading.wanted, slice):
        return table.slice(reading.wanted.start, reading.wanted.stop - reading.wanted.start)
    return table.take(reading.wanted)


def rows_in(groups, numbers):
    return Located(numbers if isinstance(numbers, range) else np.array(numbers), np.array(groups))


def test_whole_files_are_read_whole():
    found = device.reading([rows_in([2, 3], range(5)), rows_in([4], range(4))])
    assert found == device.Reading(None, 9, None)


def test_only_row_groups_with_a_wanted_row_are_read():
    found = device.reading([rows_in([2, 3, 5], [3, 8]), rows_in([4, 4], [7])])
    assert (found.groups, found.rows) == ([[1, 2], [1]], 12)
    assert found.wanted.tolist() == [1, 6, 11]


def test_rows_that_follow_each_other_are_cut_out_without_a_list_of_them():
    found = device.reading([rows_in([2, 3], [3, 4]), rows_in([4], range(2))])
    assert found == device.Reading([[1], [0]], 7, slice(1, 5))


@st.composite
def files(draw):
    groups = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(sum))
    rows = range(sum(groups))
    if draw(st.booleans()):
        start = draw(st.integers(0, len(rows) - 1))
        return rows_in(groups, rows[start : draw(st.integers(start + 1, len(rows)))])
    return rows_in(groups, sorted(draw(st.sets(st.sampled_from(rows), min_size=1))))


@given(st.lists(files(), min_size=1, max_size=3))
def test_any_rows_of_any_files_are_found_in_what_is_read(located):
    found = device.reading(located)
    every = [
        [list(rows) for rows in np.split(np.arange(sum(one.groups)), np.cumsum(one.groups)[:-1])] for one in located
    ]
    groups = found.groups or [range(len(rows)) for rows in every]
    read = [(i, row) for i, some in enumerate(groups) for group in some for row in every[i][group]]
    wanted = found.wanted if found.wanted is not None else slice(None)
    assert len(read) == found.rows
    assert (read[wanted] if isinstance(wanted, slice) else [read[i] for i in wanted]) == [
        (i, row) for i, one in enumerate(located) for row in one.numbers
    ]


def test_an_empty_row_group_is_no_reason_to_name_row_groups():
    assert device.reading([rows_in([2, 0, 3], range(5))]) == device.Reading(None, 5, None)


def from_cudf(table):
    """What `cudf.DataFrame.to_arrow` makes of a frame, as read in its source."""
    columns = {}
    for field in table.schema:
        values, type_ = table[field.name].combine_chunks(), field.type
        if t.is_date32(type_):
            values = values.cast(pa.timestamp("s"))
        elif t.is_decimal128(type_):
            values = values.cast(pa.decimal128(38, type_.scale))
        elif t.is_string(type_):
            values = values.cast(pa.large_string())
        elif t.is_nested(type_) and values.null_count == len(values):
            values = pa.nulls(len(values))
        columns[field.name] = values
    return pa.table(columns)


@pytest.mark.parametrize("rows", [slice(0, 4), slice(1, 2), slice(0, 0)], ids=["all", "one", "none"])
def test_what_cudf_gives_leads_back_to_the_declared_types(rows):
    wanted = edge_cases().select(HELD).slice(rows.start, rows.stop - rows.start)
    held = wanted.cast(device.held(wanted.schema))
    assert_same(device.declared(from_cudf(held), wanted.schema), wanted)


def test_categories_in_another_order_lead_back_to_the_same_values():
    schema = pa.schema([column("kind", pa.dictionary(pa.int32(), pa.string()), nullable=True)])
    codes = pa.array([1, None, 0], pa.int8())
    found = pa.table({"kind": pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b"], pa.large_string()))})
    assert device.declared(found, schema)["kind"].to_pylist() == ["b", None, "a"]


def test_the_cluster_of_gpus_is_configured_with_spilling_and_one_thread_each():
    found = find_cluster("gpu")
    assert found.kind == "dask_cuda:LocalCUDACluster"
    assert found.options["enable_cudf_spill"] is True
    assert found.options["threads_per_worker"] == 1


@pytest.mark.parametrize("name", [name for name in HELD if edge_cases().schema.field(name).nullable])
def test_a_column_of_nulls_leads_back_to_its_declared_type(name):
    schema = edge_cases().select([name]).schema
    found = device.declared(pa.table({name: pa.nulls(3)}), schema)
    assert_same(found, pa.table([pa.nulls(3, schema.field(name).type)], schema=schema))


def test_conda_and_pip_install_the_same_rapids():
    root = Path(__file__).parent.parent
    extra = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]["gpu"]
    conda = yaml.safe_load((root / "environment.yml").read_text())["dependencies"]
    by_pip = {one.split("==")[0].removesuffix("-cu13"): one.split("==")[1].removesuffix(".*") for one in extra}
    by_conda = dict(one.split("=") for one in conda if isinstance(one, str) and one.split("=")[0] in by_pip)
    assert by_pip == by_conda
    assert "cuda-version=13.*" in conda


def test_the_options_of_the_gpu_cluster_are_those_of_the_installed_dask_cuda():
    dask_cuda = pytest.importorskip("dask_cuda", reason="dask_cuda is not installed")
    distributed = pytest.importorskip("distributed")
    known = (
        inspect.signature(dask_cuda.LocalCUDACluster).parameters
        | inspect.signature(distributed.LocalCluster).parameters
    )
    assert set(find_cluster("gpu").options) <= set(known)


def test_the_installed_cudf_has_what_the_backend_calls():
    cudf = pytest.importorskip("cudf", reason="cudf is not installed; it may be, also without a GPU")
    wanted = {"columns", "row_groups", "use_pandas_metadata", "dataset_kwargs", "ignore_missing_columns"}
    assert wanted <= set(inspect.signature(cudf.read_parquet).parameters)
    for name in ("from_arrow", "take", "reset_index"):
        assert callable(getattr(cudf.DataFrame, name))
    for name in ("astype", "isna", "to_arrow"):
        assert callable(getattr(cudf.Series, name))
    assert cudf.CategoricalDtype(ordered=False).ordered is False
    assert cudf.Decimal128Dtype(18, 4).precision == 18
