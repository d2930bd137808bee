"""Filters keep the rows that pyarrow's own filter keeps, on every backend, and never lose one with a pruned shard."""

from __future__ import annotations

import datetime as dt
import io
import pickle
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import ailab_dataproc as adp
from ailab_dataproc import filters, guarantees, pruning, storage
from ailab_dataproc.backends import backend
from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.errors import BackendRefused, InvalidRequest, UnknownName
from ailab_dataproc.preparation.parquet import stored
from ailab_dataproc.preparation.pipeline import Options, prepare_dataset
from ailab_dataproc.preparation.statistics import ColumnStatistics, struct_type
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.sizing import Machine
from ailab_dataproc.testing import assert_same, edge_cases, prepare_tables

NAN = float("nan")
SMALL = float(np.float32(0.1))
SECOND = dt.timedelta(seconds=1)
NEW_YEAR = dt.datetime(2021, 1, 1, tzinfo=dt.UTC)
# Type, and values that rows and filters are drawn from.
DOMAIN = {
    "i8": (pa.int8(), [-128, -1, 0, 1, 127]),
    "i64": (pa.int64(), [-(2**63), 0, 2**53, 2**53 + 1, 2**63 - 1]),
    "u64": (pa.uint64(), [0, 1, 2**63, 2**64 - 1]),
    "f32": (pa.float32(), [SMALL, 0.1, -0.0, 0.0, NAN, float("inf"), -1.5]),
    "f64": (pa.float64(), [0.1, -0.0, 0.0, NAN, float("-inf"), 5e-324]),
    "text": (pa.string(), ["", "a", "b", "ü", "日本", "a" * 70, "z" * 70]),
    "kind": (pa.dictionary(pa.int32(), pa.string()), ["a", "b", "ü"]),
    "raw": (pa.binary(), [b"", b"\x00", b"\xff"]),
    "when": (pa.timestamp("s", "UTC"), [NEW_YEAR, NEW_YEAR + SECOND, dt.datetime(1600, 2, 29, tzinfo=dt.UTC)]),
    "fine": (pa.timestamp("us"), [dt.datetime(1970, 1, 1), dt.datetime(2021, 1, 1, 0, 0, 0, 1)]),
    "day": (pa.date32(), [dt.date(1600, 2, 29), dt.date(1970, 1, 1), dt.date(9999, 12, 31)]),
    "money": (pa.decimal128(18, 4), [Decimal("-99999999999999.9999"), Decimal("0.0000"), Decimal("1.5000")]),
    "flag": (pa.bool_(), [True, False]),
    "span": (pa.duration("us"), [SECOND, -SECOND, 2 * SECOND]),
    "items": (pa.list_(pa.int64()), [[], [1], [None]]),
}
SCHEMA = pa.schema([column(name, type_, nullable=True) for name, (type_, _) in DOMAIN.items()])
COMPARED = [name for name in DOMAIN if name != "items"]


def array(values, type_):
    if pa.types.is_dictionary(type_):
        return pa.array(values, type_.value_type).dictionary_encode().cast(type_)
    return pa.array(values, type_)


def shard(seed, rows):
    """Rows of all types; a column is null, constant or mixed."""
    own = random.Random(seed)
    arrays = []
    for type_, values in DOMAIN.values():
        pool = own.choice([[None], [own.choice(values)], [own.choice(values), None], [*values, None], values[:2]])
        arrays.append(array([own.choice(pool) for _ in range(rows)], type_))
    return pa.table(arrays, schema=SCHEMA)


@st.composite
def conditions(draw):
    name = draw(st.sampled_from(list(DOMAIN)))
    values = st.sampled_from(DOMAIN[name][1])
    ops = ["==", "=", "!=", "<", "<=", ">", ">=", "in", "not in", "is", "is not"]
    op = draw(st.sampled_from(ops if name in COMPARED else ["is", "is not"]))
    if op in ("is", "is not"):
        return (name, op, None)
    return (name, op, draw(st.lists(st.one_of(values, st.none()), max_size=3) if "in" in op else values))


some_filters = st.one_of(
    st.lists(conditions(), min_size=1, max_size=3),
    st.lists(st.lists(conditions(), min_size=1, max_size=2), min_size=1, max_size=3),
)


def expression(asked):
    """What pyarrow makes of filters, with null tests besides, and with integers in the type of their column."""
    groups = [asked] if isinstance(asked[0], tuple) else asked
    members = []
    for group in groups:
        parts = [one(*condition) for condition in group]
        members.append(parts[0] if len(parts) == 1 else pc.and_kleene(parts[0], rest(parts[1:], pc.and_kleene)))
    return rest(members, pc.or_kleene)


def rest(parts, join):
    return parts[0] if len(parts) == 1 else join(parts[0], rest(parts[1:], join))


def one(name, op, value):
    if op in ("is", "is not"):
        return pc.field(name).is_null() if op == "is" else pc.field(name).is_valid()
    type_ = DOMAIN[name][0]
    type_ = type_.value_type if pa.types.is_dictionary(type_) else type_
    if "in" in op:
        return pq.filters_to_expression([(name, op, pa.array(value, type_))])
    return pq.filters_to_expression([(name, op, value if pa.types.is_floating(type_) else pa.scalar(value, type_))])


def statistics(tables):
    """The index of shards that hold these tables, as `prepare` makes it."""
    entries = []
    for table in tables:
        columns = {}
        for field in SCHEMA:
            found = ColumnStatistics(field)
            values = table[field.name].combine_chunks()
            found.add(values.cast(field.type.value_type) if pa.types.is_dictionary(field.type) else values)
            texts = sorted(one.encode() for one in values.to_pylist() if isinstance(one, str))
            found.text = (texts[0].decode(), texts[-1].decode()) if texts else None
            columns[field.name] = found.to_struct()
        entries.append({"rows": len(table), "columns": columns})
    return pa.Table.from_pylist(entries, pa.schema([("rows", pa.int64()), ("columns", struct_type(SCHEMA))]))


@given(asked=some_filters, shards=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 4)), min_size=1, max_size=4))
@settings(deadline=None, max_examples=300)
@example(asked=[("f64", "!=", 0.1)], shards=[(1, 4)])
def test_a_shard_that_holds_a_wanted_row_is_never_pruned(asked, shards):
    tables = [shard(seed, rows) for seed, rows in shards]
    wanted = [len(table.filter(expression(asked))) for table in tables]
    parsed = filters.parse(asked, SCHEMA, "x")
    assert [len(parsed.rows.keep(table)) for table in tables] == wanted
    kept = pruning.may_match(parsed, statistics(tables)).tolist()
    assert all(keep for keep, rows in zip(kept, wanted, strict=True) if rows)


@st.composite
def expressions(draw):
    """Expressions of all kinds, also those that only NaN or null fulfil."""
    leaf = conditions().map(lambda condition: one(*condition))
    odd = st.sampled_from(
        [
            pc.is_nan(pc.field("f64")),
            pc.coalesce(pc.field("i64"), 5) == 5,
            pc.if_else(pc.field("flag"), pc.field("i64") > 0, pc.field("i8") < 0),
            pc.utf8_length(pc.field("text")) < 3,
            pc.field("f32") == pc.field("f64"),
            pc.field("f64").cast(pa.float32()) > 0.05,
            pc.field("i64").cast(pa.string()) == "0",
            pc.field("f32") * 2 > 0.1,
        ]
    )
    found = draw(leaf | odd)
    for join in draw(st.lists(st.sampled_from("&|~"), max_size=3)):
        other = draw(leaf | odd)
        found = {"~": ~found, "&": found & other, "|": found | other}[join]
    return found


@given(
    asked=expressions(), shards=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 4)), min_size=1, max_size=4)
)
@settings(deadline=None, max_examples=300)
@example(asked=~(pc.field("f64") > 0.1), shards=[(1, 4)])
def test_no_expression_loses_a_shard_or_a_row_group_that_holds_a_wanted_row(asked, shards):
    tables = [shard(seed, rows) for seed, rows in shards]
    wanted = [len(table.filter(asked)) > 0 for table in tables]
    parsed = filters.parse(asked, SCHEMA, "x")
    kept = pruning.may_match(parsed, statistics(tables)).tolist()
    assert all(keep for keep, some in zip(kept, wanted, strict=True) if some)
    file = io.BytesIO()
    plain = stored(SCHEMA)
    with pq.ParquetWriter(file, plain) as writer:
        for table in tables:
            arrays = [one.cast(field.type) for one, field in zip(table.columns, plain, strict=True)]
            writer.write_table(pa.table(arrays, schema=plain))
    groups = guarantees.row_groups(parsed.rows, pq.read_metadata(file), range(len(tables)))
    assert set(groups) >= {i for i, some in enumerate(wanted) if some}


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (pc.field("x") > 19_998, [19_999]),
        ((pc.field("x") >= 300) & (pc.field("x") < 302), [300, 301]),
        (~(pc.field("x") > 0), [0]),
        (pc.field("x").isin([3, 5000]), [3, 5000]),
        (pc.field("x").is_null(), [7]),
        (pc.field("day") == dt.date(1970, 1, 3), [2]),
        (pc.field("f") < 1.0, [0]),
        ((pc.field("x") == 1) | (pc.field("word") == "00002"), [1, 2]),
        (pc.field("money") == Decimal("4.00"), [4]),
    ],
    ids=str,
)
def test_an_expression_leaves_out_shards_of_a_large_index(asked, kept):
    count = 20_000
    schema = pa.schema([("x", pa.int64()), ("day", pa.date32()), ("f", pa.float64()), ("word", pa.string()),
                        ("money", pa.decimal128(9, 2)), ("span", pa.duration("us"))])  # fmt: skip
    numbers = pa.array(range(count), pa.int64())
    texts = pa.array([f"{i:05d}" for i in range(count)])
    values = [numbers, numbers.cast(pa.int32()), numbers.cast(pa.float64()), texts, numbers.cast(pa.decimal128(19, 0)),
              numbers]  # fmt: skip
    columns = {}
    for field, each in zip(schema, values, strict=True):
        bound = each.cast(field.type)
        nulls = pa.array([int(i == 7 and field.name == "x") for i in range(count)])
        columns[field.name] = pa.StructArray.from_arrays([nulls, bound, bound], ["nulls", "min", "max"])
    index = pa.table({"rows": [10] * count, "columns": pa.StructArray.from_arrays(columns.values(), columns.keys())})
    parsed = filters.parse(asked, schema, "x")
    assert np.flatnonzero(pruning.may_match(parsed, index)).tolist() == kept
    spans = filters.parse((pc.field("span") > dt.timedelta(microseconds=19_998)) & (pc.field("x") > 0), schema, "x")
    assert pruning.may_match(spans, index)[19_999]


def test_an_expression_that_many_shards_may_fulfil_is_not_looked_at_shard_by_shard():
    count = 40_000
    bound = pa.array([i % 2 for i in range(count)])
    column_ = pa.StructArray.from_arrays([pa.array([0] * count), bound, bound], ["nulls", "min", "max"])
    index = pa.table({"rows": [1] * count, "columns": pa.StructArray.from_arrays([column_], ["x"])})
    parsed = filters.parse(pc.field("x") == 1, pa.schema([("x", pa.int64())]), "x")
    assert pruning.may_match(parsed, index).all()


def prunes(asked, values, name="i64"):
    table = pa.table([array(values, one.type) if one.name == name else array([None] * len(values), one.type)
                      for one in SCHEMA], schema=SCHEMA)  # fmt: skip
    return not pruning.may_match(filters.parse([(name, *asked)], SCHEMA, "x"), statistics([table]))[0]


@pytest.mark.parametrize(
    ("name", "values", "asked"),
    [
        ("i64", [1, 5], (">", 5)),
        ("i64", [1, 5], (">=", 6)),
        ("i64", [1, 5], ("<", 1)),
        ("i64", [1, 5], ("==", 6)),
        ("i64", [5, 5], ("!=", 5)),
        ("i64", [5, 5], ("not in", [4, 5])),
        ("i64", [5, None], ("not in", [None, 5])),
        ("i64", [1, 5], ("in", [0, 6])),
        ("i64", [1, 5], ("in", list(range(6, 200)))),
        ("i64", [1, 5], ("in", [])),
        ("i64", [1, 5], ("is", None)),
        ("i64", [None], ("is not", None)),
        ("i64", [None], ("!=", 5)),
        ("items", [None], ("is not", None)),
        ("u64", [0, 2**63 - 1], (">", 2**63)),
        ("f32", [0.5, NAN], (">", 0.5)),
        ("f32", [0.5, NAN], ("==", NAN)),
        ("text", ["a", "b"], (">", "c")),
        ("when", [NEW_YEAR], (">", NEW_YEAR)),
        ("day", [dt.date(2021, 1, 1)], ("<", dt.date(2021, 1, 1))),
        ("money", [Decimal("1.5")], (">", Decimal("1.50001"))),
        ("span", [SECOND], ("in", [2 * SECOND])),
    ],
    ids=str,
)
def test_a_shard_whose_bounds_exclude_a_filter_is_pruned(name, values, asked):
    assert prunes(asked, values, name)


@pytest.mark.parametrize(
    ("name", "values", "asked"),
    [
        ("f64", [1.0, NAN], ("!=", 1.0)),
        ("f64", [NAN], ("!=", NAN)),
        ("f64", [1.0, NAN], ("in", [NAN])),
        ("f64", [1.0, NAN], ("not in", [1.0])),
        ("f32", [0.1], (">", 0.1)),
        ("i64", [5, None], ("not in", [5])),
        ("i64", [5, None], ("in", [4, None])),
        ("text", ["b" * 70], ("==", "b" * 70)),
        ("kind", ["a"], ("==", "b")),
        ("flag", [True], ("==", False)),
    ],
    ids=str,
)
def test_a_shard_stays_where_its_bounds_do_not_tell(name, values, asked):
    assert not prunes(asked, values, name)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset of 9 shards, two of them empty, and another split."""
    folder = str(tmp_path_factory.mktemp("filters"))
    shards = [shard(seed, rows) for seed, rows in enumerate([5, 3, 0, 5, 1, 5, 2, 0, 5])]
    prepare_tables(folder, {"train": shards, "test": [shard(99, 4)]})
    return folder


@pytest.fixture(scope="module")
def rows(place):
    return adp.load("testing/tables", split="train", backend="arrow", data_dir=place)


def loaded(place, asked, kind, **given):
    given = {"split": "train", "columns": ["i8", "f32", "text"], "nulls": "mask"} | given
    frame = adp.load("testing/tables", filters=asked, backend=kind, data_dir=place, **given)
    return backend(kind).to_arrow(frame, pa.schema([SCHEMA.field(name) for name in given["columns"]]))


@pytest.mark.parametrize("kind", ["arrow", "numpy", "pandas", "dask"])
@given(asked=some_filters)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_backend_loads_the_rows_that_pyarrow_keeps(place, rows, kind, asked):
    wanted = rows.filter(expression(asked)).select(["i8", "f32", "text"])
    assert_same(loaded(place, asked, kind), wanted)


@pytest.mark.parametrize("kind", ["arrow", "numpy", "pandas", "dask"])
def test_an_expression_keeps_the_same_rows_on_every_backend(place, rows, kind):
    asked = (pc.field("i64") > 0) & (pc.utf8_length(pc.field("text")) < 3) | pc.field("span").is_null()
    assert_same(loaded(place, asked, kind), rows.filter(asked).select(["i8", "f32", "text"]))


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """A dataset of 3 shards of several row groups, and its rows."""
    folder = str(tmp_path_factory.mktemp("grouped"))
    tables = [pa.concat_tables([shard(seed * 10 + i, 5) for i in range(4)]) for seed in range(3)]
    dataset = Dataset(
        name="testing/grouped",
        version="1.0.0",
        schema=SCHEMA,
        splits={"train": "3"},
        sources=lambda split, text: [Source(str(i), split, identity=str(i)) for i in range(int(text))],
        read=lambda source: [tables[int(source.url)]],
    )
    layout = Layout(row_group_rows=5, chunk_rows=5)
    prepare_dataset(dataset, storage.folder(folder), Options(layout=layout, runner="inline", formats=("parquet",)))
    shards = sorted(Path(folder).rglob("train-*.parquet"))
    assert [pq.read_metadata(one).num_row_groups for one in shards] == [4, 4, 4]
    return folder, pa.concat_tables(tables)


@given(
    asked=expressions() | some_filters, ends=st.tuples(st.integers(0, 60), st.integers(0, 60)), limit=st.integers(0, 60)
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_row_groups_that_are_left_out_hold_no_wanted_row(grouped, asked, ends, limit):
    folder, rows = grouped
    start, stop = sorted(ends)
    given = {"split": f"train[{start}:{stop}]", "data_dir": folder, "backend": "arrow", "filters": asked}
    wanted = rows.slice(start, stop - start).filter(asked if isinstance(asked, pc.Expression) else expression(asked))
    assert_same(adp.load("testing/grouped", **given), wanted)
    names = ["text", "i64"]
    assert_same(adp.load("testing/grouped", columns=names, limit=limit, **given), wanted.select(names).slice(0, limit))


@pytest.mark.parametrize("kept", [(0, 100), (100, 4_900), (4_000, 9_500), (0, 10_000)])
def test_rows_that_stand_together_keep_at_most_as_many_others_in_memory(tmp_path, kept):
    schema = pa.schema([column("at", pa.int64()), column("half", pa.float64())])
    table = pa.table({"at": np.arange(10_000), "half": np.arange(10_000) / 2}, schema)
    prepare_tables(tmp_path, {"train": [table]})
    first, end = kept
    asked = [("at", ">=", first), ("at", "<", end)]
    found = adp.load("testing/tables", filters=asked, backend="arrow", data_dir=str(tmp_path))
    assert found["half"].to_pylist() == [one / 2 for one in range(first, end)]
    assert found.get_total_buffer_size() <= 2 * found.nbytes + 1_000


@pytest.mark.parametrize("kind", ["arrow", "numpy", "pandas", "polars", "dask"])
@pytest.mark.parametrize(("first", "end"), [(0, 7), (3, 9), (2, 12)])
def test_rows_that_stand_together_come_with_their_nulls(tmp_path, kind, first, end):
    types = {"vector": pa.list_(pa.float32(), 2), "flag": pa.bool_(), "number": pa.int64(), "text": pa.string()}
    schema = pa.schema([column("at", pa.int64()), *(column(name, one, nullable=True) for name, one in types.items())])
    values = {"vector": [[1.0, 2.0], None], "flag": [True, None, False], "number": [1, 2, None], "text": [None, "a"]}
    table = pa.table({"at": range(12)} | {name: (one * 12)[:12] for name, one in values.items()}, schema)
    prepare_tables(tmp_path, {"train": [table]})
    asked = [("at", ">=", first), ("at", "<", end)]
    found = adp.load("testing/tables", filters=asked, nulls="mask", backend=kind, data_dir=str(tmp_path))
    assert_same(backend(kind).to_arrow(found, schema), table.slice(first, end - first))


def test_a_slice_is_taken_before_the_filter(place, rows):
    found = loaded(place, [("text", "is not", None)], "arrow", split="train[4:12]+train[:2]")
    sliced = pa.concat_tables([rows.slice(4, 8), rows.slice(0, 2)])
    assert_same(found, sliced.filter(pc.field("text").is_valid()).select(found.column_names))


def test_batches_hold_the_rows_of_a_filter(place, rows):
    given = {"split": "train", "columns": ["i8"], "data_dir": place, "format": "arrow", "batch_size": 3}
    found = pa.concat_tables(adp.batches("testing/tables", filters=[("i8", "is not", None)], **given))
    assert found["i8"].to_pylist() == rows["i8"].drop_null().to_pylist()
    mixed = pa.concat_tables(adp.batches("testing/tables", filters=[("i8", "is not", None)], shuffle=True, **given))
    assert len(found) > 4
    assert sorted(mixed["i8"].to_pylist()) == sorted(found["i8"].to_pylist())


def test_batches_need_the_memory_of_a_few_shards(tmp_path, monkeypatch):
    schema = pa.schema([column("x", pa.int64())])
    prepare_tables(tmp_path, {"train": [pa.table([[i]], schema=schema) for i in range(40)]})
    asked = {"data_dir": str(tmp_path), "split": "train"}
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls: Machine(memory=300, cpus=1)))
    with pytest.raises(BackendRefused, match="free memory"):
        adp.load("testing/tables", backend="numpy", **asked)
    found = adp.batches("testing/tables", batch_size=3, **asked)
    assert sum(len(batch["x"]) for batch in found) == 40


def test_a_filter_works_in_a_bucket_too(place, rows):
    url = "memory://filters"
    fs = fsspec.filesystem("memory")
    fs.put(f"{place}/testing", "/filters/testing", recursive=True)
    asked = [("i8", "is not", None), ("f32", "!=", 0.0)]
    assert_same(loaded(url, asked, "arrow"), rows.filter(expression(asked)).select(["i8", "f32", "text"]))


def test_a_filter_travels_to_workers(place):
    selection = adp.plan("testing/tables", filters=[("i8", "is not", None)], data_dir=place).selection
    arrived = pickle.loads(pickle.dumps(selection))  # noqa: S301 - our own bytes
    assert list(arrived.parts) == list(selection.parts)
    assert {arrived.parts[0].filter} == {selection.parts[0].filter}
    assert arrived.parts[0] != replace(arrived.parts[0], filter=None)


def test_a_plan_says_how_many_shards_a_filter_leaves(tmp_path):
    schema = pa.schema([column("x", pa.int64()), column("y", pa.int64())])
    shards = [pa.table([[i, i], [0, 0]], schema=schema) for i in range(10)]
    prepare_tables(tmp_path, {"train": shards, "test": shards[:1]})
    asked = {"columns": ["y"], "backend": "arrow", "data_dir": str(tmp_path)}
    plan = adp.plan("testing/tables", split="train[:16]", filters=[("x", ">", 5)], **asked)
    assert "at most 4 rows · at most 32 B as Arrow · 1 of 2 columns · 2 of 11 shards, 6 pruned by x > 5" in str(plan)
    assert (plan.to_dict()["filters"], plan.to_dict()["pruned"]) == ("x > 5", 6)
    plan = adp.plan("testing/tables", filters=pc.field("x") > 5, **asked)
    assert "at most 8 rows · at most 64 B as Arrow · 1 of 2 columns · 4 of 11 shards, 7 pruned by (x > 5)" in str(plan)


def test_no_column_of_a_filter_is_loaded_unless_it_is_asked_for(place):
    found = adp.load("testing/tables", columns=["text"], filters=[("i8", "==", 0)], backend="arrow", data_dir=place)
    assert found.column_names == ["text"]


FORM = r"can't be read\. Write \[\('price', '>', 3\)"


@pytest.mark.parametrize(
    ("asked", "kind", "told"),
    [
        ([("pricee", ">", 1)], UnknownName, "filters: no column 'pricee'. Did you mean 'price'"),
        ([("price", "=>", 1)], UnknownName, "filters: no operator '=>'. Did you mean '>' or '=' or '>='"),
        ([("price", "like", 1)], UnknownName, "filters: no operator 'like'. There is"),
        ([], InvalidRequest, FORM),
        ([[]], InvalidRequest, FORM),
        ("price > 1", InvalidRequest, FORM),
        (("price", ">", 1), InvalidRequest, FORM),
        ([("price", ">")], InvalidRequest, FORM),
        (
            [("user", ">", "1")],
            InvalidRequest,
            r"'1' can't be compared with 'user', a column of int64 \(wanted a whole",
        ),
        ([("user", ">", 1.5)], InvalidRequest, "1.5 can't be compared with 'user'"),
        ([("user", ">", True)], InvalidRequest, "True can't be compared with 'user'"),
        ([("user", ">", 2**63)], InvalidRequest, "can't be compared with 'user'"),
        ([("user", ">", NAN)], InvalidRequest, "nan can't be compared with 'user'"),
        ([("word", "==", 1)], InvalidRequest, r"a column of string \(wanted a text\)"),
        ([("price", "==", "1")], InvalidRequest, r"a column of float \(wanted a number\)"),
        ([("word", "==", None)], InvalidRequest, r"nothing equals null\. Write \('word', 'is', None\)"),
        ([("word", "is", "x")], InvalidRequest, "wanted None after 'is'"),
        ([("word", "in", "abc")], InvalidRequest, r"wanted a list: \['abc'\]"),
        ([("user", "in", 3)], InvalidRequest, r"wanted a list: \[3\]"),
        (pc.field("pricee") > 1, UnknownName, "filters: no column 'pricee'. Did you mean 'price'"),
        (pc.field("price") + 1, InvalidRequest, "gives float, wanted true or false"),
        (pc.field("price") == "x", InvalidRequest, "can't be evaluated"),
        (pc.field(0) == 1, InvalidRequest, "by its number"),
        (pc.scalar(True), InvalidRequest, "names no column"),
    ],
    ids=str,
)
def test_a_bad_filter_is_told_in_one_sentence(make, data_dir, asked, kind, told):
    make()
    with pytest.raises(kind, match=told) as caught:
        adp.load("test/clicks", data_dir=data_dir, filters=asked)
    assert str(caught.value).startswith("test/clicks:1.0.0: filters")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("moment", dt.datetime(2021, 1, 1), "no time zone"),
        ("moment", "2021-01-01", "no time zone"),
        ("moment", "yesterday", "can't be compared"),
        ("naive_ms", dt.datetime(2021, 1, 1, tzinfo=dt.UTC), "the column has none"),
        ("day", dt.datetime(2021, 1, 1, 12), "wanted a date"),
        ("decimal", 1.5, "wanted a whole number, a Decimal"),
        ("decimal", "one", "can't be compared"),
        ("duration", 1, "wanted a timedelta"),
        ("flag", 1, "wanted True or False"),
        ("bytes", "a", "wanted bytes"),
        ("float16", 1.0, "only null tests"),
        ("embedding", [1.0], "only null tests"),
    ],
)
def test_a_value_of_another_kind_than_its_column_is_refused(name, value, told):
    with pytest.raises(InvalidRequest, match=told):
        filters.parse([(name, "==", value)], edge_cases().schema, "x")


@pytest.mark.parametrize(
    ("name", "value", "rows"),
    [
        ("moment", "2021-01-31T23:59:59.999999Z", 2),
        ("moment", dt.datetime(2021, 2, 1, 8, 59, 59, 999_999, dt.timezone(9 * 3600 * SECOND)), 2),
        ("moment", pd.Timestamp("2021-01-31T23:59:59.999999Z"), 2),
        ("naive_ms", np.datetime64(1, "ms"), 1),
        ("naive_s", np.datetime64("1970-01-01"), 1),
        ("naive_s", dt.date(1970, 1, 1), 1),
        ("day", "1970-01-01", 1),
        ("day", np.datetime64("1970-01-01"), 1),
        ("day", pd.Timestamp("1970-01-01"), 1),
        ("decimal", "1.5", 1),
        ("decimal", Decimal("1.50000000"), 1),
        ("decimal", 0, 1),
        ("int64", 0.0, 1),
        ("int64", np.int8(0), 1),
        ("float64", 0.1, 0),
        ("float64", pa.scalar(1e300), 1),
        ("duration", dt.timedelta(microseconds=1), 1),
        ("duration", np.timedelta64(1, "us"), 1),
        ("kind", "a", 2),
        ("code_or_null", 5, 2),
        ("large_text", "ß", 1),
    ],
    ids=str,
)
def test_a_value_is_typed_by_its_column(name, value, rows):
    table = edge_cases()
    assert len(filters.parse([(name, "==", value)], table.schema, "x").rows.keep(table)) == rows
    assert len(filters.parse([(name, "in", [value])], table.schema, "x").rows.keep(table)) == rows


def test_a_time_finer_than_its_column_is_compared_exactly():
    table = edge_cases()
    for op, rows in ((">", 1), (">=", 1), ("<", 3), ("==", 0)):
        asked = [("naive_s", op, dt.datetime(1970, 1, 1, 0, 0, 1, 1))]
        assert len(filters.parse(asked, table.schema, "x").rows.keep(table)) == rows
    with pytest.raises(InvalidRequest, match="is finer than 'naive_s'"):
        filters.parse([("naive_s", "in", [dt.datetime(1970, 1, 1, 0, 0, 1, 1)])], table.schema, "x")


def test_personal_data_in_a_filter_need_permission(tmp_path):
    schema = pa.schema([column("mail", pa.string(), pii=True), column("x", pa.int64())])
    prepare_tables(tmp_path, {"train": [pa.table([["a", "b"], [1, 2]], schema=schema)]})
    for asked in ([("mail", "==", "a")], pc.field("mail") == "a"):
        given = {"columns": ["x"], "backend": "arrow", "data_dir": str(tmp_path), "filters": asked}
        with pytest.raises(InvalidRequest, match=r"'mail' holds personal data .*filters=, or pass allow_pii"):
            adp.load("testing/tables", **given)
        assert adp.load("testing/tables", allow_pii=True, **given)["x"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("i8 > 3", ("i8", ">", 3)),
        ("i8>=-3", ("i8", ">=", -3)),
        ("f32 = 1e3", ("f32", "=", 1000.0)),
        ("text == is it in?", ("text", "==", "is it in?")),
        ("text != ' a'", ("text", "!=", " a")),
        ('text in a, "b,c"', ("text", "in", ["a", "b,c"])),
        ("i8 not in 1,2", ("i8", "not in", [1, 2])),
        ("text is null", ("text", "is", None)),
        ("text is  not null", ("text", "is not", None)),
        ("flag == True", ("flag", "==", True)),
        ("raw == x", ("raw", "==", b"x")),
        ("day < 2021-01-01", ("day", "<", "2021-01-01")),
    ],
)
def test_a_text_is_a_filter_too(text, wanted):
    assert filters.parse_texts([text], SCHEMA, "x") == [wanted]
    assert filters.parse([wanted], SCHEMA, "x")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("price", "can't be read. Write it as 'price > 3.5'"),
        ("", "can't be read"),
        ("tex == a", "no column 'tex'. Did you mean 'text'"),
        ("i8 > many", "'many' is no int8, the type of 'i8'"),
        ("flag == 1", "'1' is no bool"),
        ("text is a", "wanted 'null' after 'is'"),
    ],
)
def test_a_bad_text_is_told_in_one_sentence(text, told):
    with pytest.raises((InvalidRequest, UnknownName), match=told) as caught:
        filters.parse_texts([text], SCHEMA, "x")
    assert "\n" not in str(caught.value)
