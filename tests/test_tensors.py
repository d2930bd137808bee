"""The tensor backends pass the shared tests, and are what TensorFlow's and PyTorch's own users expect."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import ailab_dataproc as adp
from ailab_dataproc.columns import column
from ailab_dataproc.errors import BackendRefused, InvalidRequest
from ailab_dataproc.loading import load
from ailab_dataproc.testing import BackendTests, edge_cases, prepare_tables


class TestTf(BackendTests):
    backend = "tf"
    options = {"nulls": "mask"}  # noqa: RUF012 - a ClassVar in BackendTests
    refused = {"boxes": "no tensor holds that"}  # noqa: RUF012

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def library(cls):
        pytest.importorskip("tensorflow")

    def dtypes(self, frame):
        return {name: str(spec) for name, spec in frame.element_spec.items() if not name.endswith("__valid")}


class TestTorch(BackendTests):
    backend = "torch"
    options = {"nulls": "mask"}  # noqa: RUF012 - a ClassVar in BackendTests

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def library(cls):
        pytest.importorskip("torch")

    def dtypes(self, frame):
        return frame.dtypes


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Twelve shards of ten numbers."""
    folder = str(tmp_path_factory.mktemp("tensors"))
    schema = pa.schema([column("x", pa.int64())])
    prepare_tables(folder, {"train": [pa.table([range(i * 10, i * 10 + 10)], schema=schema) for i in range(12)]})
    return folder


def one_column(tmp_path, values, kind, **given):
    """The data directory of a dataset of one column."""
    schema = pa.schema([column("x", kind, **given)])
    prepare_tables(tmp_path, {"train": [pa.table([pa.array(values, kind)], schema=schema)]})
    return str(tmp_path)


BOTH = [pytest.param("tf", id="tf"), pytest.param("torch", id="torch")]


@pytest.fixture
def library(request):
    """Skips where the backend's library isn't installed."""
    name = request.getfixturevalue("name")
    pytest.importorskip({"tf": "tensorflow"}.get(name, name))


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("name", BOTH)
def test_a_nullable_column_is_refused_with_what_to_do(tmp_path, name):
    folder = one_column(tmp_path, [1, None], pa.int64(), nullable=True)
    with pytest.raises(BackendRefused, match=r"'x' is nullable.*nulls='mask' for 'x__valid'"):
        load("testing/tables", data_dir=folder, backend=name)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("name", BOTH)
def test_a_column_named_like_a_validity_is_refused(tmp_path, name):
    schema = pa.schema([column("x", pa.int64(), nullable=True), column("x__valid", pa.int64())])
    prepare_tables(tmp_path, {"train": [pa.table([[1], [2]], schema=schema)]})
    with pytest.raises(BackendRefused, match="'x__valid' has the name"):
        load("testing/tables", data_dir=str(tmp_path), backend=name, nulls="mask")


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("name", BOTH)
def test_a_null_inside_a_list_is_refused(tmp_path, name):
    folder = one_column(tmp_path, [[1, None]], pa.list_(pa.int64()))
    with pytest.raises(Exception, match="'x' has nulls inside its lists"):
        list(load("testing/tables", data_dir=folder, backend=name))


def test_the_elements_of_tf_are_parts_of_shards_and_can_be_cut_again(place):
    pytest.importorskip("tensorflow")
    found = load("testing/tables", data_dir=place, backend="tf", split="train[5:100]")
    assert [len(one["x"]) for one in found] == [5, *[10] * 9]
    assert [len(one["x"]) for one in found.rebatch(40)] == [40, 40, 15]
    assert [int(row) for one in found.rebatch(40) for row in one["x"]] == list(range(5, 100))


def test_the_spec_of_tf_is_exact():
    tf = pytest.importorskip("tensorflow")
    from ailab_dataproc.backends.tf import to_tf

    rows = edge_cases().drop_columns("boxes")
    spec = {name: tf.type_spec_from_value(one) for name, one in to_tf(rows, "mask").items() if not is_dict(one)}
    assert spec["embedding"] == tf.TensorSpec((4, 4), tf.float32)
    assert spec["image"] == tf.TensorSpec((4, 2, 3), tf.uint8)
    assert spec["words"] == tf.RaggedTensorSpec((4, None), tf.string, ragged_rank=1)
    assert spec["decimal"] == tf.TensorSpec((4,), tf.string)
    assert spec["big_or_null__valid"] == tf.TensorSpec((4,), tf.bool)


def is_dict(one):
    return isinstance(one, dict)


def test_lists_of_lists_are_ragged_twice(tmp_path):
    tf = pytest.importorskip("tensorflow")
    values = [[[1, 2], []], [], [[3]]]
    folder = one_column(tmp_path, values, pa.list_(pa.list_(pa.int32())))
    found = load("testing/tables", data_dir=folder, backend="tf")
    assert found.element_spec["x"] == tf.RaggedTensorSpec((None, None, None), tf.int32, ragged_rank=2)
    assert next(iter(found))["x"].to_list() == values


def test_a_null_row_of_fixed_texts_is_not_valid(tmp_path):
    pytest.importorskip("tensorflow")
    folder = one_column(tmp_path, [["a", "b"], None], pa.list_(pa.string(), 2), nullable=True)
    (found,) = load("testing/tables", data_dir=folder, backend="tf", nulls="mask")
    assert found["x"].numpy()[0].tolist() == [b"a", b"b"]
    assert found["x__valid"].numpy().tolist() == [True, False]


def test_a_list_of_structs_is_refused_by_tf(tmp_path):
    pytest.importorskip("tensorflow")
    folder = one_column(tmp_path, [[{"a": 1}]], pa.list_(pa.struct([("a", pa.int64())])))
    with pytest.raises(BackendRefused, match="no tensor holds that"):
        load("testing/tables", data_dir=folder, backend="tf")


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("workers", [1, 2])
def test_loader_workers_share_out_the_parts(place, workers, context):
    data = pytest.importorskip("torch.utils.data")
    parts = load("testing/tables", data_dir=place, backend="torch")
    loader = data.DataLoader(parts, batch_size=None, num_workers=workers, multiprocessing_context=context)
    assert sorted(row for one in loader for row in one["x"].tolist()) == list(range(120))


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("persistent", [False, True])
def test_loader_workers_give_the_batches_of_one_process_each_epoch(place, context, persistent):
    data = pytest.importorskip("torch.utils.data")
    asked = {"batch_size": 7, "format": "torch", "shuffle": True, "data_dir": place, "rank": 1, "world_size": 2}
    alone = adp.batches("testing/tables", **asked)
    wanted = [sorted(one["x"].tolist() for one in alone) for _ in range(3)]
    loader = data.DataLoader(
        adp.batches("testing/tables", **asked),
        batch_size=None,
        num_workers=2,
        multiprocessing_context=context,
        persistent_workers=persistent,
    )
    assert len(loader) == len(wanted[0]) == 9
    assert [sorted(one["x"].tolist() for one in loader) for _ in range(3)] == wanted
    assert wanted[0] != wanted[1]


@pytest.mark.slow
def test_loader_workers_share_out_what_a_filter_leaves(place):
    data = pytest.importorskip("torch.utils.data")
    asked = {"batch_size": 7, "format": "torch", "filters": [("x", ">=", 35)], "data_dir": place}
    loader = data.DataLoader(adp.batches("testing/tables", **asked), batch_size=None, num_workers=2)
    assert sorted(row for one in loader for row in one["x"].tolist()) == list(range(35, 120))


@pytest.mark.slow
def test_a_position_that_only_workers_know_is_refused(place):
    data = pytest.importorskip("torch.utils.data")
    found = adp.batches("testing/tables", batch_size=7, format="torch", data_dir=place)
    assert len(list(data.DataLoader(found, batch_size=None, num_workers=1))) == 18
    with pytest.raises(InvalidRequest, match="only they know"):
        found.state_dict()


def test_a_loader_of_this_process_can_be_resumed(place):
    data = pytest.importorskip("torch.utils.data")
    asked = {"batch_size": 7, "format": "torch", "shuffle": True, "data_dir": place}
    found = adp.batches("testing/tables", **asked)
    loader = iter(data.DataLoader(found, batch_size=None))
    for _ in range(5):
        next(loader)
    state = found.state_dict()
    rest = [one["x"].tolist() for one in loader]
    again = adp.batches("testing/tables", **asked)
    again.load_state_dict(state)
    assert [one["x"].tolist() for one in data.DataLoader(again, batch_size=None)] == rest


@pytest.mark.parametrize("kind", ["bool", "uint8", "uint32", "float16", "int64"])
def test_memory_that_begins_anywhere_is_computed_with(kind):
    pytest.importorskip("tensorflow")
    from ailab_dataproc.backends.tf import as_tensor

    values = np.arange(300).astype(kind).reshape(100, 3)
    for first in range(1, 9):
        found = as_tensor(values[first:])[1:]  # TensorFlow ends the process where it counts on alignment in vain
        assert found.numpy().tolist() == values[first + 1 :].tolist()
