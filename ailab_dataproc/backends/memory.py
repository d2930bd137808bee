"""The memory that a load takes at its peak, predicted from its Need; benchmarks/results/memory.jsonl measures it.

It is what the load makes (a table, arrays, a frame), and what each thread that reads has beside while it decodes a
shard. With filters it is what the load would take if they kept every row.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.sizing import Need

KEPT = 1.15  # bytes that the allocator holds for a byte of a table
CHUNK = 256 << 10  # bytes at most that it holds beside for each column of each shard, and no more than the column has
DECODED = 0.5  # bytes that a thread holds beside for a byte of its shard: the file's pages, and those decompressed
GROWING = 0.8  # bytes that a thread holds beside for a byte of its longest column of texts, which grows as it is read
OWN_KEPT, OWN_GROWING = 1.05, 0.4  # the same of Polars' own reader
LEVELS = 16  # bytes that a thread holds for each value in a list: where lists begin, and what is null
PHYSICAL = 4  # bytes at least that Parquet decodes a value of a list to
PACKED, FEW = 1 << 20, 8_192  # bytes of the distinct texts of a shard, and their number, up to which it packs them
BY_DISTINCT = frozenset({"numpy", "polars"})  # backends whose memory depends on how many texts differ
POINTER = 8
STRING, BYTES, LIST, DECIMAL, DICT, NUMBER = 49, 33, 136, 104, 184, 32  # bytes of a Python object, without its values
VIEW = 16  # bytes of a text in Polars; those of up to 12 bytes have no others


def table(need: Need) -> int:
    """An Arrow table, also within pandas."""
    return _held(need) + _decoding(need)


def arrays(need: Need) -> int:
    """NumPy arrays that are filled shard by shard."""
    made = sum(_array(one, need) for one in need.schema)
    if need.filtered:  # the shards are read before the arrays are made
        return _held(need) + made + _decoding(need)
    return _filled(need, made, need.schema)


def frame(need: Need) -> int:
    """A pandas frame with NumPy's dtypes: arrays where NumPy has the type, Arrow elsewhere."""
    plain = [one for one in need.schema if _width(one.type) and not t.is_fixed_size_list(one.type)]
    made = sum(_array(one, need) for one in plain)
    rest = _held(need, [one for one in need.schema if one not in plain])
    for one in need.schema:
        if one not in plain and _is_text(one.type):
            rest += 8 * need.rows  # its offsets become wider
        elif one not in plain and t.is_dictionary(one.type):
            rest += need.rows * one.type.index_type.bit_width // 8
    copied = [one for one in plain if t.is_date32(one.type) or (t.is_timestamp(one.type) and one.type.tz)]
    return rest + max(made + 8 * need.rows * len(copied), _filled(need, made, plain))


def polars(need: Need) -> int:
    """A Polars frame: made shard by shard, or read by Polars itself, which decodes straight into it."""
    beside = 0
    for one in need.schema:
        size = need.columns[one.name]
        if _is_text(one.type):
            short = size <= need.rows * (12 + 4)
            beside += need.rows * (VIEW - 4) - (size - 4 * need.rows if short or _is_packed(one, need) else 0)
        elif t.is_list(one.type):
            beside += 4 * need.rows + (
                VIEW * _values(one.type, need.rows, size) if not _width(one.type.value_type) else 0
            )
    if need.whole and not any(t.is_dictionary(one.type) or t.is_fixed_size_list(one.type) for one in need.schema):
        texts = [need.columns[one.name] for one in need.schema if _is_text(one.type)]
        growing = int(OWN_GROWING * max(texts, default=0) * need.largest / max(need.bytes, 1))
        return int(need.bytes * OWN_KEPT) + beside + need.threads * growing
    return _held(need) + beside + _decoding(need)


def _array(field: pa.Field, need: Need) -> int:
    """A column as a NumPy array, with its mask where it is nullable."""
    rows, size = need.rows, need.columns[field.name]
    values = _width(field.type)
    mask = 0
    if field.nullable:
        mask = rows * (1 + (_values(field.type, 1, 0) if t.is_fixed_size_list(field.type) else 0))
    if values:
        return rows * values + mask
    if _is_packed(field, need):
        made = need.shards * need.distinct.get(field.name, rows)
        return rows * POINTER + int(min(made / max(rows, 1), 1) * _objects(field.type, rows, size)) + mask
    return rows * POINTER + _objects(field.type, rows, size) + mask


def _is_packed(field: pa.Field, need: Need) -> bool:
    """Whether shards hold a text column as a dictionary, so that equal texts of a shard are one."""
    text = field.type.value_type if t.is_dictionary(field.type) else field.type
    distinct = need.distinct.get(field.name, need.rows)
    content = distinct * need.columns[field.name] / max(need.rows, 1)
    return _is_text(text) and (t.is_dictionary(field.type) or (content < PACKED and distinct < FEW))


def _held(need: Need, columns: Iterable[pa.Field] | None = None) -> int:
    """What a table of some columns has, all by default, and what the allocator keeps back."""
    fields = need.schema if columns is None else columns
    sizes = [_in_memory(one.type, need.rows, need.columns[one.name]) for one in fields]
    return int(sum(sizes) * KEPT) + sum(min(size, CHUNK * need.shards) for size in sizes)


def _filled(need: Need, made: int, columns: Iterable[pa.Field]) -> int:
    """Arrays of some columns, filled shard by shard; made is their bytes.

    At the peak the last shards are decoded, which have no values in the arrays yet; or these are copied there, and of
    what decoding took the allocator keeps half.
    """
    share = sum(need.columns[one.name] for one in columns) / max(need.bytes, 1)
    shards = int(need.threads * need.largest * share * KEPT)
    decoding = _decoding(need)
    before = int(made * (1 - min(need.threads / max(need.shards, 1), 1)))
    return shards + max(before + decoding, made + decoding // 2)


def _decoding(need: Need) -> int:
    """What threads have beside the tables of their shards, at the column that takes the most."""
    whole = max(need.bytes, 1)
    sizes = sum(_in_memory(one.type, need.rows, need.columns[one.name]) for one in need.schema)
    shard = need.largest * (2 if need.filtered else 1)  # with those of its rows that the filter keeps, at most
    column = max((_beside(one.type, need.rows, need.columns[one.name]) for one in need.schema), default=0)
    return int(need.threads * (shard * DECODED * sizes + column * need.largest) / whole)


def _beside(type_: pa.DataType, rows: int, size: int) -> float:
    """Bytes that decoding a column takes beside it."""
    if t.is_nested(type_):
        return _values(type_, rows, size) * (LEVELS + (PHYSICAL if _leaf(type_) < PHYSICAL else 0))
    return size * GROWING if _is_text(type_) else 0


def _in_memory(type_: pa.DataType, rows: int, size: int) -> int:
    """Bytes of a column in a table: the index counts the values of dictionaries with their rows."""
    if t.is_dictionary(type_):
        return min(rows * type_.index_type.bit_width // 8 + size // 100, size)
    return size


def _width(type_: pa.DataType) -> int:
    """Bytes of a value in a NumPy array; 0 where it is an object."""
    if t.is_fixed_size_list(type_):
        return type_.list_size * _width(type_.value_type)
    if t.is_dictionary(type_):
        return _width(type_.value_type)
    if t.is_boolean(type_):
        return 1
    if t.is_date32(type_):
        return 8
    return type_.bit_width // 8 if t.is_primitive(type_) and not t.is_decimal(type_) else 0


def _objects(type_: pa.DataType, rows: int, size: int) -> int:
    """Bytes of the Python objects of a column, without the pointers to them."""
    if t.is_dictionary(type_):
        return _objects(type_.value_type, rows, size)
    if t.is_decimal(type_):
        return rows * DECIMAL
    if _is_text(type_):
        content = max(size / max(rows, 1) - 4, 0)
        return int(rows * _round(content + (STRING if t.is_string(type_) or t.is_large_string(type_) else BYTES)))
    if t.is_struct(type_):
        return rows * (DICT + NUMBER * type_.num_fields) + size
    inner, values = type_.value_type, _values(type_, rows, size)
    content = size - 4 * rows
    plain = _width(inner)
    return rows * LIST + values * (plain or POINTER) + (0 if plain else _objects(inner, values, content))


def _values(type_: pa.DataType, rows: int, size: int) -> int:
    """How many values the lists of a column have; of a struct, of its fields."""
    if t.is_fixed_size_list(type_):
        return rows * type_.list_size
    if t.is_list(type_) or t.is_large_list(type_):
        return int(max(size - 4 * rows, 0) / _leaf(type_))
    return rows * type_.num_fields if t.is_struct(type_) else 0


def _leaf(type_: pa.DataType) -> float:
    """Bytes of the innermost value of a list."""
    if t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_):
        return _leaf(type_.value_type)
    if t.is_primitive(type_) or t.is_decimal(type_):
        return type_.bit_width / 8
    return 12.0  # a short text with its offset


def _is_text(type_: pa.DataType) -> bool:
    return bool(t.is_string(type_) or t.is_large_string(type_) or t.is_binary(type_) or t.is_large_binary(type_))


def _round(size: float) -> float:
    """As Python's allocator does for small objects, by 16."""
    return -(-(size + 1) // 16) * 16 if size < 512 else size + 16
