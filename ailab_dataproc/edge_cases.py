"""Values that other readers bend, a column a type, and filters on them: what every backend is tested with."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.columns import column

_NAN = float("nan")
_UTC = dt.UTC
_OLD = dt.datetime(1600, 2, 29, 12, 30, tzinfo=_UTC)
_NOW = dt.datetime(2021, 1, 31, 23, 59, 59, 999_999, tzinfo=_UTC)
_LATER = dt.datetime(2021, 1, 31, 23, 59, 59, 999_000, tzinfo=_UTC)
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
    ("rate_or_null", pa.float32(), [0.5, None, -0.0, None], {"nullable": True}),  # no NaN: exact where NaN is null
    ("text", pa.string(), ["", "日本語 🐈", "NA", "null"], {}),
    ("text_or_null", pa.string(), ["", None, "é", "nan"], {"nullable": True}),
    ("large_text", pa.large_string(), ["", "ß", "b", "a" * 1000], {}),
    ("bytes", pa.binary(), [b"", b"\x00\xff", b"a", b"\x80"], {}),
    ("bytes_or_null", pa.binary(), [b"", None, b"\x00", b"\xfe"], {"nullable": True}),
    ("large_bytes", pa.large_binary(), [b"", b"\x00\xff", b"a", b"a" * 1000], {}),
    ("kind", pa.dictionary(pa.int32(), pa.string()), ["a", "ü", "a", ""], {}),
    ("kind_or_null", pa.dictionary(pa.int32(), pa.string()), ["a", None, "ü", "a"], {"nullable": True}),
    ("code_or_null", pa.dictionary(pa.int8(), pa.int64()), [5, None, 2**60 + 1, 5], {"nullable": True}),
    ("moment_or_null", pa.timestamp("us", "UTC"), [_OLD, None, _NOW, None], {"nullable": True}),
    ("moment", pa.timestamp("us", "UTC"), [_NOW, _OLD, _NOW, _OLD], {}),
    ("abroad_or_null", pa.timestamp("ms", "Asia/Tokyo"), [_OLD, None, _LATER, _OLD], {"nullable": True}),
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
    ("large_integers", pa.large_list(pa.uint64()), [[2**64 - 1], [], [1, 2], [0]], {}),
    ("switches", pa.list_(pa.bool_()), [[True], [], [False, True, True], [False]], {}),
    ("moments", pa.list_(pa.timestamp("us", "UTC")), [[_OLD], [], [_NOW, _OLD], []], {}),
    ("lists_or_null", pa.list_(pa.list_(pa.int16())), [[[1], []], None, [], [[2, 3]]], {"nullable": True}),
    ("embedding", pa.list_(pa.float32(), 4), [[i, i + 0.5, _NAN, -i] for i in range(4)], {}),
    ("embedding_or_null", pa.list_(pa.float32(), 2), [[1, 2], None, [3, 4], None], {"nullable": True}),
    ("image", pa.list_(pa.uint8(), 6), [[i, 255, 0, 1, 2, 3] for i in range(4)], {"shape": (2, 3)}),
    (
        "matrix_or_null",
        pa.list_(pa.float64(), 4),
        [None, [1, 2, 3, _NAN], None, [0] * 4],
        {"nullable": True, "shape": (2, 2)},
    ),
    (
        "boxes",
        pa.list_(pa.struct([("x", pa.int32()), ("label", pa.string())])),
        [[], [{"x": 1, "label": "é"}], [], []],
        {},
    ),
    (
        "place_or_null",
        pa.struct([("x", pa.int64()), ("name", pa.string())]),
        [{"x": 2**53 + 1, "name": ""}, None, {"x": None, "name": "é"}, {"x": 0, "name": None}],
        {"nullable": True},
    ),
    (
        "post",
        pa.struct([("tags", pa.list_(pa.string()))]),
        [{"tags": ["a", ""]}, {"tags": []}, {"tags": ["é"]}, {"tags": []}],
        {},
    ),
)
# What `load` takes, and the same in pyarrow's own words.
FILTERS: dict[str, tuple[Any, pc.Expression]] = {
    "integer": ([("big_or_null", ">", 2**53)], pc.field("big_or_null") > 2**53),
    "unsigned": ([("uint64", "==", 2**64 - 1)], pc.field("uint64") == pa.scalar(2**64 - 1, pa.uint64())),
    "nan": ([("float64_or_null", "!=", 0.1)], pc.field("float64_or_null") != 0.1),
    "text": ([("text", "in", ["", "NA"])], pc.field("text").isin(["", "NA"])),
    "category": ([("kind_or_null", "not in", ["a"])], ~pc.field("kind_or_null").isin(["a"])),
    "moment": ([("moment", ">", _OLD)], pc.field("moment") > pa.scalar(_OLD)),
    "day": ([("day", "<", _DAYS[1])], pc.field("day") < pa.scalar(_DAYS[1])),
    "decimal": ([("decimal", ">=", Decimal(0))], pc.field("decimal") >= Decimal(0)),
    "null": ([("small_or_null", "is", None)], pc.field("small_or_null").is_null()),
    "and": ([("int8", ">", 0), ("flag", "==", True)], (pc.field("int8") > 0) & pc.field("flag")),
    "or": ([[("int8", "==", 0)], [("text", "==", "")]], (pc.field("int8") == 0) | (pc.field("text") == "")),
}
COLUMNS = [case[0] for case in _CASES]


def edge_cases() -> pa.Table:
    """Four rows of all types, with the values that other readers bend: 2**53 + 1 beside null, NaN beside null."""
    fields = [column(name, type_, f"edge cases of {type_}", **options) for name, type_, _, options in _CASES]
    arrays = [array_of(values, type_) for _, type_, values, _ in _CASES]
    return pa.table(arrays, schema=pa.schema(fields))


def array_of(values: list[Any], type_: pa.DataType) -> pa.Array:
    """Values as an array of a type; pyarrow makes no dictionaries from Python values."""
    if t.is_dictionary(type_):
        return pa.array(values, type_.value_type).dictionary_encode().cast(type_)
    return pa.array(values, type_)
