"""Statistics of columns: right by value, whatever the type, however the rows are cut."""

from __future__ import annotations

import json
from decimal import Decimal

import datasketches
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ailab_dataproc.columns import column
from ailab_dataproc.preparation.profile import Profile
from ailab_dataproc.preparation.sketches import Distinct, Sample, count_distinct
from ailab_dataproc.preparation.summary import merge

UTC = pa.timestamp("us", "UTC")


def told(array, *, pii=False, parts=1):
    """The statistics of one column, counted in so many tasks."""
    schema = pa.schema([column("x", array.type, nullable=True, pii=pii)])
    step = -(-len(array) // parts) or 1
    return merge(schema, [profiled(schema, array.slice(start, step)) for start in range(0, max(len(array), 1), step)])[
        "x"
    ]


def profiled(schema, array, batch=1000):
    profile = Profile(schema)
    for start in range(0, len(array), batch):
        profile.add(pa.RecordBatch.from_arrays([array.slice(start, batch)], schema=schema))
    return profile.to_bytes()


def numbers(dtype):
    """3,000 numbers with a skew, every seventh one missing."""
    draw = np.random.default_rng(7)
    values = draw.lognormal(3, 1, 3000)
    return pa.array(values.astype(dtype), mask=np.arange(3000) % 7 == 0)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("parts", [1, 4])
def test_integers_have_the_numbers_that_numpy_finds(dtype, parts):
    array = numbers("float64").cast(pa.float64())
    array = pa.array([None if x is None else int(min(x, 120)) for x in array.to_pylist()], type=dtype)
    found, values = told(array, parts=parts), array.drop_null().to_numpy()
    assert (found["count"], found["nulls"]) == (len(values), array.null_count)
    assert (found["min"], found["max"]) == (values.min(), values.max())
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-13)
    assert found["std"] == pytest.approx(values.std(), rel=1e-12)
    assert found["approximate"]["distinct"] == len(np.unique(values))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("parts", [1, 4])
def test_floats_have_the_numbers_that_pandas_finds(dtype, parts):
    array = numbers(dtype)
    found, values = told(array, parts=parts), pd.Series(array.drop_null().to_numpy().astype("float64"))
    assert (found["count"], found["nan"]) == (len(values), 0)
    assert (found["min"], found["max"]) == (values.min(), values.max())
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-13)
    assert found["std"] == pytest.approx(values.std(ddof=0), rel=1e-12)


def test_nan_is_counted_apart_from_null():
    found = told(pa.array([1.0, float("nan"), None, 3.0, float("nan")]))
    assert (found["count"], found["nulls"], found["nan"]) == (4, 1, 2)
    assert (found["min"], found["mean"], found["max"], found["std"]) == (1.0, 2.0, 3.0, 1.0)
    assert found["approximate"]["distinct"] == 2


def test_infinities_are_bounds_and_leave_no_mean():
    found = told(pa.array([1.0, float("inf"), -float("inf")]))
    assert (found["min"], found["max"]) == ("-inf", "inf")
    assert "mean" not in found
    json.dumps(found, allow_nan=False)


def test_integers_beyond_the_precision_of_floats_stay_exact():
    base = 2**60 + 1
    found = told(pa.array([base + i for i in range(10)] * 30), parts=3)
    assert (found["min"], found["max"]) == (base, base + 9)
    assert found["std"] == pytest.approx(np.arange(10).std(), rel=1e-12)
    assert found["approximate"]["quantiles"]["0.5"] == base + 4
    found = told(pa.array([2**64 - 1, 0, 2**64 - 1], type=pa.uint64()))
    assert (found["min"], found["max"], found["approximate"]["distinct"]) == (0, 2**64 - 1, 2)
    assert found["approximate"]["frequent"] == [{"value": 2**64 - 1, "rows": 2}]
    found = told(pa.array([-(2**63), 2**63 - 1]))
    assert (found["min"], found["max"]) == (-(2**63), 2**63 - 1)
    assert abs(found["mean"]) < 1


def test_a_spread_far_from_zero_keeps_its_digits():
    values = 1e9 + np.random.default_rng(0).random(5000)
    assert told(pa.array(values), parts=5)["std"] == pytest.approx(values.std(), rel=1e-7)


def test_decimals_keep_every_digit():
    array = pa.array([Decimal("-99999999999999999999999999999999.99"), None, Decimal("0.01"), Decimal("0.01")])
    found = told(array.cast(pa.decimal128(38, 2)))
    assert (found["min"], found["max"]) == ("-99999999999999999999999999999999.99", "0.01")
    assert found["approximate"]["frequent"] == [{"value": "0.01", "rows": 2}]
    assert told(pa.array([Decimal("1.5"), Decimal("2.5")]))["mean"] == 2.0
    assert told(pa.array([Decimal("1.50"), Decimal("2.25")]))["approximate"]["quantiles"]["0.5"] == 1.5


def test_times_read_as_times_from_the_year_1600_on():
    moments = pa.array(["1600-01-01T00:00:00.5", "2020-01-01T00:00:00.5", None]).cast(pa.timestamp("us")).cast(UTC)
    found = told(moments)
    assert (found["min"], found["max"]) == ("1600-01-01T00:00:00.500000Z", "2020-01-01T00:00:00.500000Z")
    assert found["mean"] == "1810-01-01T00:00:00.500000Z"
    assert found["std_seconds"] == (np.datetime64("2020-01-01") - np.datetime64("1600-01-01")).astype(int) * 86400 / 2
    days = told(pa.array([0, 1, 2], type=pa.int32()).cast(pa.date32()))
    assert (days["min"], days["mean"], days["std_seconds"]) == ("1970-01-01", "1970-01-02", np.arange(3).std() * 86400)
    spans = told(pa.array([1500, 2500], type=pa.duration("ms")))
    assert (spans["min"], spans["mean"], spans["std_seconds"]) == ("1500 milliseconds", "2000 milliseconds", 0.5)


def test_texts_have_lengths_in_characters():
    for kind in (pa.string(), pa.large_string()):
        found = told(pa.array(["靴", "", None, "café", "abcdef", "靴"], type=kind).slice(1), parts=2)
        assert found["lengths"] == {"min": 0, "mean": 11 / 4, "max": 6}
        assert found["approximate"]["distinct"] == 4
    found = told(pa.array(["靴", "b", "靴", "a"]))
    assert found["approximate"]["frequent"] == [{"value": "靴", "rows": 2}]


def test_lists_have_lengths_in_items():
    for kind in (pa.list_(pa.int32()), pa.large_list(pa.string())):
        items = [[1, 2, 3], [], None, [4]] if kind == pa.list_(pa.int32()) else [["a", "b", "c"], [], None, ["d"]]
        found = told(pa.array(items, type=kind))
        assert (found["count"], found["nulls"]) == (3, 1)
        assert found["lengths"] == {"min": 0, "mean": 4 / 3, "max": 3}
    fixed = told(pa.array([[1.0, 2.0], None], type=pa.list_(pa.float32(), 2)))
    assert fixed["lengths"] == {"min": 2, "mean": 2.0, "max": 2}


def test_binaries_have_lengths_and_show_no_value():
    for kind in (pa.binary(), pa.large_binary()):
        found = told(pa.array([b"\xff\x00", b"", None, b"\xff\x00"], type=kind))
        assert found["lengths"] == {"min": 0, "mean": 4 / 3, "max": 2}
        assert found["approximate"] == {"sampled_rows": 4, "distinct": 2, "distinct_of_rows": 4}


def test_booleans_are_shares():
    found = told(pa.array([True, False, None, True, True]))
    assert (found["min"], found["max"], found["mean"]) == (False, True, 0.75)
    assert found["approximate"]["frequent"] == [{"value": True, "rows": 3}]


def test_structs_are_counted():
    found = told(pa.array([{"a": 1}, None], type=pa.struct([("a", pa.int64())])))
    assert found == {"type": "struct<a: int64>", "count": 1, "nulls": 1}


@pytest.mark.parametrize("kind", [pa.int64(), pa.float32(), pa.string(), pa.bool_(), UTC, pa.decimal128(9, 2)], ids=str)
def test_no_rows_and_no_values_are_no_error(kind):
    for array in (pa.array([], type=kind), pa.nulls(5, kind)):
        found = told(array)
        assert (found["count"], found["nulls"]) == (0, len(array))
        assert found["approximate"]["distinct"] == 0
        assert not {"min", "mean", "lengths", "frequent", "quantiles"} & {*found, *found["approximate"]}


def test_quantiles_of_few_rows_are_exact_and_of_many_are_near():
    values = np.random.default_rng(1).permutation(200).astype("float64")
    found = told(pa.array(values))["approximate"]["quantiles"]
    assert all(found[part] == np.quantile(values, float(part), method="inverted_cdf") for part in found)
    many = np.random.default_rng(2).normal(size=300_000)
    found = told(pa.array(many), parts=3)["approximate"]
    assert found["sampled_rows"] == pytest.approx(300_000 / 64, rel=0.01)
    for part, value in found["quantiles"].items():
        assert (many < value).mean() == pytest.approx(float(part), abs=0.01)
    assert sum(found["histogram"]["rows"]) == pytest.approx(294_000, rel=0.01)


def test_a_histogram_of_few_integers_has_a_bar_each():
    found = told(pa.array([1, 2, 2, 4] * 50))["approximate"]["histogram"]
    assert found == {"from": 1, "to": 4, "rows": [50, 100, 0, 50]}


@pytest.mark.parametrize("distinct", [3, 1000, 20_000, 200_000])
def test_distinct_integers_are_counted_from_all_rows(distinct):
    values = np.random.default_rng(3).permutation(np.arange(200_000) % distinct) * 7919
    found = told(pa.array(values), parts=2)["approximate"]
    assert found["distinct_of_rows"] == 200_000
    assert found["distinct"] == pytest.approx(distinct, rel=0.1 if distinct > 1024 else 0)


def test_there_are_never_more_distinct_values_than_rows():
    for array in (pa.array(np.arange(100_000)), pa.array(np.arange(100_000) / 8)):
        found = told(array)["approximate"]
        assert found["distinct_of_rows"] * 0.9 <= found["distinct"] <= found["distinct_of_rows"]


def test_integers_that_are_left_out_early_are_those_that_the_sketch_leaves_out():
    values = np.random.default_rng(4).integers(-(2**63), 2**63 - 1, 50_000)
    plain, ours = datasketches.update_theta_sketch(10), Distinct()
    for value in values.tolist():
        plain.update(value)
    ours.add_numbers(values)
    ours.add_numbers(values)
    assert count_distinct([ours.state()]) == pytest.approx(plain.get_estimate(), rel=0.05)
    few = np.arange(1000)
    ours = Distinct()
    ours.add_numbers(few)
    ours.add_numbers(few)
    assert count_distinct([ours.state()]) == 1000


def test_the_most_frequent_values_of_a_long_tail_are_found():
    draw = np.random.default_rng(5)
    values = np.where(draw.random(200_000) < 0.2, draw.integers(0, 3, 200_000), draw.integers(10, 10**6, 200_000))
    found = told(pa.array(values), parts=4)["approximate"]["frequent"][:3]
    assert {one["value"] for one in found} == {0, 1, 2}
    assert all(one["rows"] == pytest.approx(200_000 * 0.2 / 3, rel=0.15) for one in found)


def test_a_rhythm_in_the_rows_does_no_harm_to_the_sample():
    found = told(pa.array(np.arange(320_000) % 32))["approximate"]
    assert found["distinct"] == 32
    assert {one["rows"] for one in found["frequent"]} <= set(range(8_000, 12_500))


def test_sampled_rows_of_many_bytes_do_not_pile_up():
    blobs = pa.record_batch({"x": pa.array([b"x" * 8_000] * 4096)})
    sample = Sample()
    portions = [portion.nbytes for _ in range(80) for portion in sample.add(blobs)]
    assert len(portions) > 1
    assert max(portions) < 32 << 20


def test_exact_numbers_are_the_same_however_rows_are_cut():
    array = numbers("float64")
    whole, cut = told(array), told(array, parts=7)
    for key in ("count", "nulls", "nan", "min", "max"):
        assert whole[key] == cut[key]
    assert (whole["mean"], whole["std"]) == pytest.approx((cut["mean"], cut["std"]), rel=1e-13)


@pytest.mark.parametrize("type_", [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int64(), pa.uint64()], ids=str)
def test_integers_that_lie_close_together_are_counted_at_both_ends_of_their_type(type_):
    width = type_.bit_width
    low, high = (
        (0, 2**width - 1) if pa.types.is_unsigned_integer(type_) else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
    )
    for values in ([low, low + 1, low + 50], [high, high - 1, high - 50], [low, low + min(high - low, 300)]):
        found = told(pa.array(values * 3, type_))["approximate"]["distinct"]
        assert found == len(set(values))
