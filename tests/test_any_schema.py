"""Any schema, nulls, shards, split, filter and columns: every backend finds the rows and values that pyarrow does."""

from __future__ import annotations

import functools
import operator
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from ailab_dataproc.backends import backend as find_backend
from ailab_dataproc.columns import column
from ailab_dataproc.edge_cases import array_of
from ailab_dataproc.errors import BackendRefused
from ailab_dataproc.loading import load
from ailab_dataproc.testing import assert_same, prepare_tables

# What a backend is asked with, and which columns it can't carry, by a rule that a reader can check.
BACKENDS: dict[str, dict[str, Any]] = {
    "arrow": {"backend": "arrow"},
    "pandas": {"backend": "pandas"},
    "dask": {"backend": "dask"},
    "polars": {"backend": "polars"},
    "numpy": {"backend": "numpy", "nulls": "mask"},
    "pandas with NumPy's dtypes": {"backend": "pandas", "dtypes": "numpy"},
    "dask with NumPy's dtypes": {"backend": "dask", "dtypes": "numpy"},
}
TENSORS = {name: {"backend": name, "nulls": "mask"} for name in ("tf", "torch")}

PLAIN = st.sampled_from(
    [
        *(getattr(pa, f"{sign}int{bits}")() for bits in (8, 16, 32, 64) for sign in ("", "u")),
        pa.bool_(),
        pa.float16(),
        pa.float32(),
        pa.float64(),
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.large_binary(),
        pa.date32(),
        pa.decimal128(20, 3),
        *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
        *(pa.timestamp(unit, zone) for unit in ("s", "us") for zone in ("UTC", "Asia/Tokyo")),
        *(pa.duration(unit) for unit in ("ms", "us", "ns")),
    ]
)
DICTIONARIES = st.sampled_from(
    [
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.int64()),
        pa.dictionary(pa.int32(), pa.binary()),
    ]
)
NESTED = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.builds(pa.list_, inner),
        st.builds(pa.large_list, inner),
        st.builds(pa.list_, inner, st.integers(1, 3)),
        st.lists(inner, min_size=1, max_size=2).map(lambda kinds: pa.struct(zip("ab", kinds, strict=False))),
    ),
    max_leaves=3,
)
TYPES = st.one_of(PLAIN, DICTIONARIES, NESTED)
ROWS = 8  # of one shard, at most


def values(type_: pa.DataType) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one line a kind of type
    """What a column of a type may hold, but nulls; times as integers."""
    if t.is_dictionary(type_):
        return values(type_.value_type)
    if t.is_boolean(type_):
        return st.booleans()
    if t.is_integer(type_):
        low = 0 if t.is_unsigned_integer(type_) else -(2 ** (type_.bit_width - 1))
        return st.integers(low, low + 2**type_.bit_width - 1)
    if t.is_floating(type_):
        floats = st.floats(width=type_.bit_width)
        return floats.map(np.float16) if t.is_float16(type_) else floats
    if t.is_string(type_) or t.is_large_string(type_):
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    if t.is_binary(type_) or t.is_large_binary(type_):
        return st.binary(max_size=4)
    if t.is_date32(type_):
        return st.dates()
    if t.is_decimal(type_):
        return st.decimals(-(10**16), 10**16, places=3)
    if t.is_timestamp(type_) or t.is_duration(type_):
        # Seconds lie in files as milliseconds; the least int64 is what NumPy and pandas call NaT.
        most = 2**62 // (1000 if type_.unit == "s" else 1)
        return st.integers(-most, most)
    if t.is_struct(type_):
        return st.fixed_dictionaries({one.name: st.none() | values(one.type) for one in type_})
    size = type_.list_size if t.is_fixed_size_list(type_) else None
    inner = values(type_.value_type)
    return st.lists(inner | st.none(), min_size=size or 0, max_size=3 if size is None else size)


@dataclass(frozen=True)
class Case:
    """A dataset, and what is asked of it."""

    shards: dict[str, list[pa.Table]]
    split: str
    wanted: pa.Table  # the rows of the split
    columns: list[str]
    filters: Any
    expression: pc.Expression | None  # the same, in pyarrow's words


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a schema, tables in shards, a split spec, columns and filters."""
    kinds = draw(st.lists(st.tuples(TYPES, st.booleans()), min_size=1, max_size=4))
    schema = pa.schema([column(f"c{i}", kind, nullable=nullable) for i, (kind, nullable) in enumerate(kinds)])
    shards = {split: [draw(tables(schema)) for _ in range(draw(st.integers(1, 3)))] for split in ("train", "test")}
    split, wanted = draw(splits({name: pa.concat_tables(members) for name, members in shards.items()}))
    columns = draw(st.permutations(schema.names))[: draw(st.integers(1, len(schema)))]
    filters, expression = draw(st.just((None, None)) | conditions(schema))
    return Case(shards, split, wanted, columns, filters, expression)


@st.composite
def tables(draw: st.DrawFn, schema: pa.Schema) -> pa.Table:
    """The rows of one shard; often none."""
    rows = draw(st.integers(0, ROWS))
    columns = []
    for field in schema:
        one = values(field.type)
        drawn = draw(st.lists(st.none() | one if field.nullable else one, min_size=rows, max_size=rows))
        columns.append(array_of(drawn, field.type))
    return pa.table(columns, schema=schema)


@st.composite
def splits(draw: st.DrawFn, whole: dict[str, pa.Table]) -> tuple[str, pa.Table]:
    """A split spec, and its rows."""
    texts, parts = [], []
    for name in draw(st.permutations(sorted(whole)))[: draw(st.integers(1, 2))]:
        rows = len(whole[name])
        start, stop = sorted([draw(st.integers(0, rows)), draw(st.integers(0, rows))])
        kind = draw(st.sampled_from(["whole", "rows", "negative", "percent"]))
        if kind == "percent":
            low, high = sorted([draw(st.integers(0, 100)), draw(st.integers(0, 100))])
            texts.append(f"{name}[{low}%:{high}%]")
            start, stop = round(low * rows / 100), round(high * rows / 100)
        elif kind == "rows":
            texts.append(f"{name}[{start}:{stop}]")
        elif kind == "negative" and start < rows:
            texts.append(f"{name}[{start - rows}:]")
            stop = rows
        else:
            texts.append(name)
            start, stop = 0, rows
        parts.append(whole[name].slice(start, stop - start))
    return "+".join(texts), pa.concat_tables(parts)


COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@st.composite
def conditions(draw: st.DrawFn, schema: pa.Schema) -> tuple[Any, pc.Expression]:
    """Filters as load takes them, and as pyarrow's Expression; or an Expression for both."""
    groups = [[draw(condition(schema)) for _ in range(draw(st.integers(1, 2)))] for _ in range(draw(st.integers(1, 2)))]
    every = [functools.reduce(operator.and_, (one[1] for one in group)) for group in groups]
    expression = functools.reduce(operator.or_, every)
    asked = [[one[0] for one in group] for group in groups]
    return draw(st.sampled_from([asked, expression])), expression


@st.composite
def condition(draw: st.DrawFn, schema: pa.Schema) -> tuple[Any, pc.Expression]:
    """One condition on one column; of types that can't be compared, whether they are null."""
    field = draw(st.sampled_from(list(schema)))
    name, type_ = field.name, field.type
    comparable = t.is_integer(type_) or t.is_float32(type_) or t.is_float64(type_) or t.is_string(type_)
    kind = draw(st.sampled_from(["null", "not null", "compare", "compare", "in"])) if comparable else "null"
    if kind in ("null", "not null") or not comparable:
        found = pc.field(name).is_null()
        return ((name, "is", None), found) if kind == "null" else ((name, "is not", None), pc.field(name).is_valid())
    if kind == "compare":
        op, value = draw(st.sampled_from(sorted(COMPARE))), draw(values(type_))
        return (name, op, value), COMPARE[op](pc.field(name), pa.scalar(value, type_))
    members = draw(st.lists(values(type_), min_size=1, max_size=3))
    return (name, "in", members), pc.field(name).isin(pa.array(members, type_))


def refused(asked: str, table: pa.Table) -> str | None:
    """Words of the sentence with which a backend refuses a table: NumPy has no null inside a list."""
    if asked == "numpy" and any(null_inside(table[name]) for name in table.schema.names):
        return "has nulls inside its lists"
    return None


def null_inside(column: pa.ChunkedArray) -> bool:
    """Whether a list that becomes an array holds a null."""
    return any(_null_inside(one) for one in column.chunks)


def _null_inside(array: pa.Array) -> bool:
    type_ = array.type
    if not (t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_)):
        return False
    inner = array.flatten()
    return bool(inner.null_count) or _null_inside(inner)


def carried(asked: str, table: pa.Table) -> pa.Table:
    """The table as a backend can carry it: where NumPy's floats are nullable, NaN is null."""
    if "NumPy's dtypes" not in asked:
        return table
    columns = []
    for field in table.schema:
        one = table[field.name]
        if field.nullable and t.is_floating(field.type):
            one = pc.if_else(pc.is_nan(one.cast(pa.float64())), pa.scalar(None, field.type), one)
        columns.append(one)
    return pa.table(columns, schema=table.schema)


COMMON = settings(
    max_examples=30, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@settings(COMMON)
@given(cases())
def test_every_frame_has_the_rows_and_values_that_pyarrow_finds(case):
    compare(case, BACKENDS)


@settings(COMMON, max_examples=10)
@given(cases())
@pytest.mark.parametrize("name", TENSORS)
def test_tensors_have_the_rows_and_values_that_pyarrow_finds_or_say_why_not(name, case):
    pytest.importorskip({"tf": "tensorflow"}.get(name, name))
    try:
        compare(case, {name: TENSORS[name]})
    except Exception as error:  # TensorFlow wraps what its data pipeline raises in an error of its own
        told = str(error)
        nulls = "has nulls inside its lists" in told and any(map(null_inside, case.wanted.columns))
        nested = "no tensor holds" in told and any(t.is_nested(one.type) for one in case.wanted.schema)
        if not (nulls or nested):
            raise


def compare(case: Case, backends: dict[str, dict[str, Any]], note: Callable[[str], None] = note) -> None:
    rows = case.wanted if case.expression is None else case.wanted.filter(case.expression)
    wanted = rows.select(case.columns)
    note(f"{case.shards['train'][0].schema} {case.split} {case.columns} {case.expression}")
    with tempfile.TemporaryDirectory() as folder:
        prepare_tables(folder, case.shards)
        asked = {"split": case.split, "columns": case.columns, "filters": case.filters, "data_dir": folder}
        for name, options in backends.items():
            note(name)
            words = refused(name, wanted)
            if words:
                with pytest.raises(BackendRefused, match=words):
                    load("testing/tables", **asked, **options)
                continue
            frame = load("testing/tables", **asked, **options)
            assert_same(find_backend(options["backend"]).to_arrow(frame, wanted.schema), carried(name, wanted))


@pytest.mark.parametrize("values", [[[]], [[], [[1]], [[1], [2]]]], ids=["empty", "of several lengths"])
@pytest.mark.parametrize("inner", [pa.timestamp("s"), pa.date32(), pa.int16()], ids=str)
def test_a_list_of_fixed_size_lists_comes_back(inner, values):
    schema = pa.schema([column("a", pa.large_list(pa.list_(inner, 1)))])
    table = pa.table({"a": pa.array(values, schema.field("a").type)}, schema=schema)
    compare(Case({"train": [table]}, "train", table, ["a"], None, None), {"numpy": BACKENDS["numpy"]}, print)
