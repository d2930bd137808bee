"""Every backend passes the shared tests; what NumPy can't hold is refused in words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ailab_dataproc.backends.numpy import to_numpy
from ailab_dataproc.dataset import column
from ailab_dataproc.errors import BackendRefused
from ailab_dataproc.loading import load
from ailab_dataproc.testing import BackendTests, edge_cases


class TestArrow(BackendTests):
    backend = "arrow"

    def test_the_table_has_the_declared_schema_with_its_metadata(self, place):
        found = load("testing/tables", data_dir=place, backend="arrow").schema
        assert found.equals(edge_cases().schema, check_metadata=True)


class TestPandas(BackendTests):
    backend = "pandas"


class TestDask(BackendTests):
    backend = "dask"

    def test_a_projection_of_the_frame_reads_the_same_values(self, place):
        frame = load("testing/tables", split="train", data_dir=place, backend="dask")
        assert frame["big_or_null"].compute().tolist()[2] == 2**60 + 1

    def test_the_frame_has_a_partition_for_each_shard_with_rows(self, place):
        assert load("testing/many", data_dir=place, backend="dask").npartitions == 12


class TestPolars(BackendTests):
    backend = "polars"


class TestPandasNumPy(BackendTests):
    backend = "pandas"
    options = {"dtypes": "numpy"}  # noqa: RUF012


class TestDaskNumPy(BackendTests):
    backend = "dask"
    options = {"dtypes": "numpy"}  # noqa: RUF012


@pytest.mark.slow
class TestDaskProcesses(BackendTests):
    backend = "dask"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def cluster(cls):
        from dask.distributed import Client, LocalCluster

        with (
            LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as made,
            Client(made),
        ):
            yield


class TestNumPy(BackendTests):
    backend = "numpy"
    options = {"nulls": "mask"}  # noqa: RUF012 - a ClassVar in BackendTests

    @pytest.mark.parametrize("name", [one.name for one in edge_cases().schema if not one.nullable])
    def test_a_column_that_is_not_nullable_is_a_plain_array(self, place, name):
        found = load("testing/tables", split="train", data_dir=place, backend="numpy", columns=[name])[name]
        assert type(found) is np.ndarray
        assert len(found) == 4

    @pytest.mark.parametrize("name", [one.name for one in edge_cases().schema if one.nullable])
    def test_a_nullable_column_is_refused_with_what_to_do(self, place, name):
        with pytest.raises(BackendRefused, match=rf"'{name}' is nullable.*nulls='mask'.*columns=.*pandas"):
            load("testing/tables", data_dir=place, backend="numpy", columns=[name])

    def test_a_nullable_column_without_a_null_is_masked_too(self, place):
        found = load("testing/nulls", split="test", data_dir=place, backend="numpy", nulls="mask")["x"]
        assert isinstance(found, np.ma.MaskedArray)
        assert not found.mask.any()

    def test_an_image_has_its_declared_shape(self, place):
        found = load("testing/tables", split="train", data_dir=place, backend="numpy", columns=["image"])["image"]
        assert found.shape == (4, 2, 3)
        assert found.dtype == np.uint8

    @pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.list_(pa.int64(), 2)], ids=str)
    def test_a_null_inside_a_list_is_refused(self, kind):
        table = pa.table([pa.array([[1, None], None], kind)], schema=pa.schema([column("x", kind, nullable=True)]))
        with pytest.raises(BackendRefused, match="'x' has nulls inside its lists"):
            to_numpy(table, "mask")

    def test_a_sliced_table_gives_only_its_own_lists(self):
        kind = pa.list_(pa.int64(), 2)
        table = pa.table([pa.array([[1, 2], [3, 4], [5, 6]], kind)], schema=pa.schema([column("x", kind)]))
        assert to_numpy(table.slice(1, 1))["x"].tolist() == [[3, 4]]
