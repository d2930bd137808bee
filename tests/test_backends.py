"""Every backend passes the shared tests; what NumPy can't hold is refused in words."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ailab_dataproc.backends import backend as find_backend
from ailab_dataproc.backends.numpy import to_numpy
from ailab_dataproc.columns import column
from ailab_dataproc.errors import BackendRefused
from ailab_dataproc.loading import load
from ailab_dataproc.schema import contract
from ailab_dataproc.testing import BackendTests, edge_cases, prepare_tables


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


_NAN_AND_NULL = (AssertionError, "NumPy's floats have no null beside NaN; dtypes='arrow' has")


class NumPyDtypes(BackendTests):
    options = {"dtypes": "numpy"}  # noqa: RUF012 - ClassVars in BackendTests
    gaps = {"float32_or_null": _NAN_AND_NULL, "float64_or_null": _NAN_AND_NULL}  # noqa: RUF012


class TestPandasNumPy(NumPyDtypes):
    backend = "pandas"


class TestDaskNumPy(NumPyDtypes):
    backend = "dask"


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


def number(field):
    return str(np.dtype(field.type.to_pandas_dtype()))


def arrow(field):
    return re.escape(f"{field.type}[pyarrow]")


# The text of a dtype (a regular expression) by what a cell of the contract says.
CELLS = {
    "bool": lambda field: "bool",
    "bool[pyarrow]": arrow,
    "bool; nullable: boolean": lambda field: "boolean" if field.nullable else "bool",
    "Boolean": lambda field: "Boolean",
    "the same integer": lambda field: f"(?i){number(field)}",
    "the same integer; nullable: Int64 …": lambda field: (
        number(field).replace("int", "Int").replace("u", "U") if field.nullable else number(field)
    ),
    "the same float": lambda field: f"(?i){number(field)}",
    "the same float; null becomes NaN": number,
    "object: str": lambda field: "object",
    "str": lambda field: "str",
    "String": lambda field: "String",
    "object: bytes": lambda field: "object",
    "Binary": lambda field: "Binary",
    "as its value type": lambda field: "object" if pa.types.is_string(field.type.value_type) else "int64",
    "category; of floats: as its value type": lambda field: "category",
    "Categorical; of other than text: as its value type": lambda field: (
        "Categorical" if pa.types.is_string(field.type.value_type) else "Int64"
    ),
    "datetime64[unit], in UTC": lambda field: rf"datetime64\[{field.type.unit}\]",
    "datetime64[unit], datetime64[unit, tz]": lambda field: (
        rf"datetime64\[{field.type.unit}{f', {field.type.tz}' if field.type.tz else ''}\]"
    ),
    "Datetime; s as ms": lambda field: (
        rf"Datetime\(time_unit='{'ms' if field.type.unit == 's' else field.type.unit}', "
        rf"time_zone={field.type.tz!r}\)"
    ),
    "datetime64[D]": lambda field: r"datetime64\[D\]",
    "datetime64[s]": lambda field: r"datetime64\[s\]",
    "Date": lambda field: "Date",
    "timedelta64[unit]": lambda field: rf"timedelta64\[{field.type.unit}\]",
    "Duration; s as ms": lambda field: rf"Duration\(time_unit='{field.type.unit}'\)",
    "object: decimal.Decimal": lambda field: "object",
    "Decimal": lambda field: r"Decimal\(.*",
    "(n, *shape) of the values": lambda field: number(field.with_type(field.type.value_type)),
    "Array": lambda field: r"Array\(.*",
    "object: one array a row": lambda field: "object",
    "List": lambda field: r"List\(.*",
    "object: dict": lambda field: "object",
    "Struct": lambda field: r"Struct\(.*",
}


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    """A data directory with the edge cases in one shard."""
    folder = str(tmp_path_factory.mktemp("contract"))
    prepare_tables(folder, {"train": [edge_cases()]})
    return folder


@pytest.mark.parametrize(
    ("tests", "cells"),
    [
        (TestNumPy, "numpy"),
        (TestPandas, "pandas"),
        (TestDask, "pandas"),
        (TestPandasNumPy, "pandas_numpy"),
        (TestDaskNumPy, "pandas_numpy"),
        (TestPolars, "polars"),
    ],
)
def test_columns_have_the_dtypes_that_the_contract_says(edge, tests, cells):
    found = tests().dtypes(tests().load(edge))
    for field in edge_cases().schema:
        cell = getattr(contract(field.type), cells)
        wanted = arrow(field) if cell.startswith("ArrowDtype") else CELLS[cell](field)
        assert re.fullmatch(wanted, found[field.name]), f"{field}: {found[field.name]} is not {cell!r}"


def test_partitions_of_dask_have_the_dtypes_that_the_frame_promises(edge):
    frame = load("testing/tables", data_dir=edge, backend="dask", dtypes="numpy")
    assert frame.compute().dtypes.astype(str).equals(frame.dtypes.astype(str))


def test_texts_that_outgrow_their_dictionary_keep_their_values(tmp_path):
    words = ["seldom"] * 10_000 + [f"{i:040d}" for i in range(40_000)]  # a dictionary ends at 1 MiB
    table = pa.table([words], schema=pa.schema([column("word", pa.string())]))
    prepare_tables(tmp_path, {"train": [table]})
    (shard,) = tmp_path.rglob("train-*.parquet")
    assert pq.read_metadata(shard).row_group(0).column(0).has_dictionary_page
    for name in ("arrow", "numpy", "polars"):
        found = find_backend(name).to_arrow(load("testing/tables", data_dir=str(tmp_path), backend=name), table.schema)
        assert found.equals(table)
