"""Tests that every backend passes, also of other repositories: the same values, whichever backend loads them."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.types as t
import pytest

from ailab_dataproc.backends import backend as find_backend
from ailab_dataproc.dataset import Dataset, Source, column
from ailab_dataproc.loading import load
from ailab_dataproc.preparing import prepare

_NAN = float("nan")
_UTC = dt.UTC
_OLD = dt.datetime(1600, 2, 29, 12, 30, tzinfo=_UTC)
_NOW = dt.datetime(2021, 1, 31, 23, 59, 59, 999_999, tzinfo=_UTC)
_DAYS = [dt.date(1600, 2, 29), dt.date(1970, 1, 1), dt.date(9999, 12, 31), dt.date(2021, 1, 31)]

# Name, type, values of four rows, options of `column`.
_CASES: tuple[tuple[str, pa.DataType, list[Any], dict[str, Any]], ...] = (
    *(
        (f"{sign}int{bits}", getattr(pa, f"{sign}int{bits}")(), [low, high, 0, high - 1], {})
        for bits in (8, 16, 32, 64)
        for sign, low, high in (("", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1), ("u", 0, 2**bits - 1))
    ),
    ("big_or_null", pa.int64(), [2**53 + 1, None, 2**60 + 1, -(2**63)], {"nullable": True}),
    ("unsigned_or_null", pa.uint64(), [2**64 - 1, None, 2**53 + 1, 0], {"nullable": True}),
    ("small_or_null", pa.int8(), [None, -128, 127, None], {"nullable": True}),
    ("flag", pa.bool_(), [True, False, False, True], {}),
    ("flag_or_null", pa.bool_(), [True, None, False, None], {"nullable": True}),
    ("float16", pa.float16(), [1.5, -2.0, 0.0, _NAN], {}),
    ("float32", pa.float32(), [1.5, _NAN, -0.0, float("inf")], {}),
    ("float64", pa.float64(), [1e300, _NAN, 5e-324, float("-inf")], {}),
    ("float32_or_null", pa.float32(), [_NAN, None, 1.5, None], {"nullable": True}),
    ("float64_or_null", pa.float64(), [None, _NAN, 0.1, -0.0], {"nullable": True}),
    ("text", pa.string(), ["", "日本語 🐈", "NA", "null"], {}),
    ("text_or_null", pa.string(), ["", None, "é", "nan"], {"nullable": True}),
    ("large_text", pa.large_string(), ["", "ß", "b", "a" * 1000], {}),
    ("bytes", pa.binary(), [b"", b"\x00\xff", b"a", b"\x80"], {}),
    ("bytes_or_null", pa.binary(), [b"", None, b"\x00", b"\xfe"], {"nullable": True}),
    ("kind", pa.dictionary(pa.int32(), pa.string()), ["a", "ü", "a", ""], {}),
    ("kind_or_null", pa.dictionary(pa.int32(), pa.string()), ["a", None, "ü", "a"], {"nullable": True}),
    ("code_or_null", pa.dictionary(pa.int8(), pa.int64()), [5, None, 2**60 + 1, 5], {"nullable": True}),
    ("moment_or_null", pa.timestamp("us", "UTC"), [_OLD, None, _NOW, None], {"nullable": True}),
    ("moment", pa.timestamp("us", "UTC"), [_NOW, _OLD, _NOW, _OLD], {}),
    ("naive_ns", pa.timestamp("ns"), [1, -(2**62), 0, 1_600_000_000_123_456_789], {}),
    ("naive_ms", pa.timestamp("ms"), [1, -11_670_000_000_000, 0, 253_402_300_799_000], {}),
    ("naive_s", pa.timestamp("s"), [1, -11_670_000_000, 0, 253_402_300_799], {}),
    ("far_or_null", pa.timestamp("us"), [2**62, None, -(2**62), 0], {"nullable": True}),
    ("day", pa.date32(), _DAYS, {}),
    ("day_or_null", pa.date32(), [None, *_DAYS[:3]], {"nullable": True}),
    ("decimal", pa.decimal128(18, 4), [Decimal(text) for text in ("0.0001", "-99999999999999.9999", "0", "1.5")], {}),
    ("decimal_or_null", pa.decimal128(18, 4), [None, Decimal("0.0001"), None, Decimal("-1")], {"nullable": True}),
    ("duration", pa.duration("us"), [1, -1, 2**60, 0], {}),
    ("duration_or_null", pa.duration("ns"), [1, None, -(2**62), 0], {"nullable": True}),
    ("floats_or_null", pa.list_(pa.float32()), [[1.5, _NAN], [], None, [0.5]], {"nullable": True}),
    ("integers", pa.list_(pa.int64()), [[2**53 + 1], [], [1, 2, 3], [-(2**63)]], {}),
    ("words", pa.list_(pa.string()), [["a", ""], [], ["日本"], ["x", "y", "z"]], {}),
    ("embedding", pa.list_(pa.float32(), 4), [[i, i + 0.5, _NAN, -i] for i in range(4)], {}),
    ("embedding_or_null", pa.list_(pa.float32(), 2), [[1, 2], None, [3, 4], None], {"nullable": True}),
    ("image", pa.list_(pa.uint8(), 6), [[i, 255, 0, 1, 2, 3] for i in range(4)], {"shape": (2, 3)}),
    (
        "place_or_null",
        pa.struct([("x", pa.int64()), ("name", pa.string())]),
        [{"x": 2**53 + 1, "name": ""}, None, {"x": None, "name": "é"}, {"x": 0, "name": None}],
        {"nullable": True},
    ),
)
COLUMNS = [case[0] for case in _CASES]


def edge_cases() -> pa.Table:
    """Four rows of all types, with the values that other readers bend: 2**53 + 1 beside null, NaN beside null."""
    fields = [column(name, type_, f"edge cases of {type_}", **options) for name, type_, _, options in _CASES]
    arrays = [_array(values, type_) for _, type_, values, _ in _CASES]
    return pa.table(arrays, schema=pa.schema(fields))


def prepare_tables(
    data_dir: str | Path, splits: Mapping[str, Sequence[pa.Table]], *, name: str = "testing/tables", **given: Any
) -> str:
    """Prepare a dataset whose shards hold the given tables, one each, and return ``name:version``.

    Args:
        data_dir: where.
        splits: the tables of each split; all of one schema.
        name: of the dataset.
        **given: what `Dataset` takes besides.
    """
    tables = {f"{split}-{i:03d}": table for split, members in splits.items() for i, table in enumerate(members)}

    def read(source: Source) -> Iterator[pa.Table]:
        yield tables[source.url]

    def sources(split: str, url: str) -> Iterable[Source]:
        return [Source(url, split, identity=_digest(tables[url]))]

    dataset = Dataset(
        name=name,
        version="1.0.0",
        schema=next(iter(tables.values())).schema,
        splits={split: [url for url in tables if url.rpartition("-")[0] == split] for split in splits},
        read=read,
        sources=sources,
        allow_empty=True,
        **given,
    )
    return prepare(dataset, data_dir=str(data_dir), runner="inline", formats=("parquet",)).dataset


def assert_same(found: pa.Table, wanted: pa.Table) -> None:
    """Fail unless two tables have the same columns, types and values. NaN is NaN, -0.0 isn't 0.0, null is null."""
    assert found.schema.equals(wanted.schema), f"{found.schema} is not {wanted.schema}"
    assert len(found) == len(wanted), f"{len(found)} rows, wanted {len(wanted)}"
    for field in wanted.schema:
        one, other = found[field.name].combine_chunks(), wanted[field.name].combine_chunks()
        assert _same(_joined(one), _joined(other)), f"{field.name}: {one.to_pylist()} is not {other.to_pylist()}"


class BackendTests:
    """Subclass it with ``backend = "mine"``, register the backend, and run pytest."""

    backend: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}  # what `load` needs besides, such as {"nulls": "mask"}
    gaps: ClassVar[dict[str, tuple[type[Exception], str]]] = {}  # by column: how it fails, and why; a strict xfail

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        """A data directory with the edge cases."""
        folder = str(tmp_path_factory.mktemp("edge"))
        rows = edge_cases()
        prepare_tables(
            folder, {"train": [rows.slice(0, 3), rows.slice(0, 0), rows.slice(3)], "test": [rows.slice(1, 2)]}
        )
        one = pa.schema([column("x", pa.int64(), nullable=True), column("kind", _CASES_KIND, nullable=True)])
        null = pa.table([pa.nulls(3, pa.int64()), pa.nulls(3, _CASES_KIND)], schema=one)
        full = pa.table([[1, 2, 2**60 + 1], pa.array(["a", "b", "a"]).dictionary_encode()], schema=one)
        prepare_tables(folder, {"train": [null, full], "test": [full, full], "bare": [null]}, name="testing/nulls")
        prepare_tables(folder, {"train": [rows.slice(0, 1)]}, name="testing/one")
        prepare_tables(folder, {"train": [rows.slice(0, 0)]}, name="testing/none")
        many = pa.schema([column("x", pa.int64())])
        shards = [pa.table([range(i * 10, i * 10 + 10)], schema=many) for i in range(12)]
        prepare_tables(folder, {"train": shards}, name="testing/many")
        return folder

    def load(self, place: str, name: str = "testing/tables", **given: Any) -> Any:
        """What the backend returns."""
        return load(name, data_dir=place, backend=self.backend, **self.options, **given)

    def as_arrow(self, frame: Any, schema: pa.Schema) -> pa.Table:
        """What the backend returned, as Arrow."""
        return find_backend(self.backend).to_arrow(frame, schema)

    def check(self, place: str, wanted: pa.Table, name: str = "testing/tables", **given: Any) -> None:
        """Load, and compare by value."""
        frame = self.load(place, name, columns=wanted.column_names, **given)
        assert_same(self.as_arrow(frame, wanted.schema), wanted)

    def exact(self) -> pa.Table:
        """The edge cases that the backend can hold."""
        return edge_cases().select([name for name in COLUMNS if name not in self.gaps])

    def dtypes(self, frame: Any) -> dict[str, str]:
        """The dtype of each column, as text."""
        if isinstance(frame, pa.Table):
            return {one.name: str(one.type) for one in frame.schema}
        columns = frame.items() if isinstance(frame, dict) else frame.dtypes.items()
        return {str(name): str(getattr(one, "dtype", one)) for name, one in columns}

    @pytest.mark.parametrize("name", COLUMNS)
    def test_a_column_alone_keeps_its_values(self, place: str, name: str, request: pytest.FixtureRequest) -> None:
        """Also with a null, an extreme or an empty value."""
        if name in self.gaps:
            raises, reason = self.gaps[name]
            request.applymarker(pytest.mark.xfail(raises=raises, reason=reason, strict=True))
        self.check(place, edge_cases().select([name]), split="train")

    def test_the_whole_table_keeps_its_values(self, place: str) -> None:
        """Over three shards, one of them empty."""
        self.check(place, self.exact(), split="train")

    def test_columns_come_in_the_order_asked_for(self, place: str) -> None:
        """Whatever the order in the files."""
        wanted = self.exact().select(["text", "int8", "embedding", "float64"])
        assert list(self.dtypes(self.load(place, split="train", columns=wanted.column_names))) == wanted.column_names
        self.check(place, wanted, split="train")

    @pytest.mark.parametrize(("start", "stop"), [(0, 1), (1, 3), (2, 4), (3, 4), (0, 0), (2, 2)])
    def test_a_slice_keeps_its_values(self, place: str, start: int, stop: int) -> None:
        """Within a shard, across shards, and of no rows."""
        self.check(place, self.exact().slice(start, stop - start), split=f"train[{start}:{stop}]")

    def test_splits_follow_each_other(self, place: str) -> None:
        """In the order asked for."""
        rows = self.exact()
        self.check(place, pa.concat_tables([rows.slice(1, 2), rows.slice(3)]), split="test+train[3:]")

    def test_dtypes_are_the_same_on_any_slice(self, place: str) -> None:
        """They come from the declared schema, never from the data."""
        columns = self.exact().column_names
        specs = ["train", "train[:0]", "train[:1]", "train[1:2]", "train[2:]", "test"]
        found = [self.dtypes(self.load(place, split=spec, columns=columns)) for spec in specs]
        assert all(one == found[0] for one in found)

    def test_a_shard_of_nulls_has_the_dtypes_of_its_neighbours(self, place: str) -> None:
        """And its nulls stay nulls."""
        specs = ["train", "test", "bare"]
        found = [self.dtypes(self.load(place, "testing/nulls", split=spec)) for spec in specs]
        assert found[0] == found[1] == found[2]
        wanted: dict[str, list[Any]] = {"x": [None] * 3 + [1, 2, 2**60 + 1], "kind": [None] * 3 + ["a", "b", "a"]}
        schema = pa.schema([column("x", pa.int64(), nullable=True), column("kind", _CASES_KIND, nullable=True)])
        table = pa.table([_array(wanted[one.name], one.type) for one in schema], schema=schema)
        self.check(place, table, "testing/nulls", split="train")

    def test_one_row_keeps_its_values(self, place: str) -> None:
        """A dataset of one row."""
        self.check(place, self.exact().slice(0, 1), "testing/one")

    def test_no_rows_keep_their_columns(self, place: str) -> None:
        """A dataset of no rows."""
        self.check(place, self.exact().slice(0, 0), "testing/none")

    def test_rows_stand_in_the_order_of_the_shards(self, place: str) -> None:
        """Although many threads read them."""
        schema = pa.schema([column("x", pa.int64())])
        self.check(place, pa.table([range(120)], schema=schema), "testing/many", split="train")


_CASES_KIND = pa.dictionary(pa.int32(), pa.string())


def _array(values: list[Any], type_: pa.DataType) -> pa.Array:
    if t.is_dictionary(type_):
        return pa.array(values, type_.value_type).dictionary_encode().cast(type_)
    return pa.array(values, type_)


def _digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return hashlib.blake2b(sink.getvalue(), digest_size=16).hexdigest()


def _joined(array: Any) -> pa.Array:
    if not isinstance(array, pa.ChunkedArray):
        return array
    return pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)


def _same(one: pa.Array, other: pa.Array) -> bool:  # noqa: PLR0911 - one line a kind of type
    if one.is_null().to_pylist() != other.is_null().to_pylist():
        return False
    if t.is_dictionary(one.type):
        return _same(one.cast(one.type.value_type), other.cast(other.type.value_type))
    if t.is_floating(one.type):
        return [repr(value) for value in one.to_pylist()] == [repr(value) for value in other.to_pylist()]
    if t.is_list(one.type) or t.is_large_list(one.type):
        lengths = one.value_lengths().to_pylist() == other.value_lengths().to_pylist()
        return lengths and _same(one.flatten(), other.flatten())
    if t.is_fixed_size_list(one.type):
        return _same(one.flatten(), other.flatten())
    if t.is_struct(one.type):
        return all(_same(*pair) for pair in zip(one.flatten(), other.flatten(), strict=True))
    return bool(one.equals(other))
