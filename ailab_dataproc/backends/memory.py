"""The memory that a load takes at its peak, predicted from its Need; benchmarks/results/memory.jsonl measures it.

A load has, one after the other, what reading takes and what converting takes; the larger of the two is its peak:

- reading: the Arrow table, what each reader thread decodes meanwhile, and what the allocator keeps back;
- converting: the table, the columns made from it, and the copy of the column that is being converted.

With filters it is what the load would take if they kept every row: the selected columns' bytes are "at most".
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.sizing import Need

KEPT = 1.15  # bytes that the allocator holds for a byte of a table
CHUNK = 256 << 10  # bytes at most that it holds beside for each column of each shard, and no more than the column has
DECODED = 0.5  # bytes that a thread holds beside for a byte of its shard: the file's pages, and those decompressed
LEVELS = 10  # bytes that a thread holds for each value in a list: where lists begin, and what is null
GROWING = 0.8  # bytes that a thread holds beside for a byte of its longest column of texts, which grows as it is read
PHYSICAL = 4  # bytes at least that Parquet decodes a value of a list to
POINTER = 8
STRING, BYTES, LIST, DECIMAL, DICT, NUMBER = 49, 33, 136, 104, 184, 32  # bytes of a Python object, without its values

Converted = Callable[[pa.Field, int, int], int]  # bytes of a column, from its field, rows and bytes as Arrow


def table(need: Need) -> int:
    """Reading into an Arrow table."""
    return _held(need) + need.threads * _decoding(need)


def converted(need: Need, column: Converted, copied: Callable[[pa.DataType], bool]) -> int:
    """Reading, then converting column by column while the table stays.

    Args:
        need: what is read.
        column: bytes of a column as it becomes.
        copied: whether a column of a type is copied into one piece of Arrow first, which goes when it is done.
    """
    made = sum(column(one, need.rows, need.columns[one.name]) for one in need.schema)
    between = max((need.columns[one.name] for one in need.schema if copied(one.type)), default=0)
    return max(table(need), _held(need) + made + between)


def array(field: pa.Field, rows: int, size: int) -> int:
    """A column as a NumPy array, and its mask where it is nullable."""
    values = _width(field.type)
    mask = rows * max(_values(field.type, 1, 0), 1) if field.nullable else 0
    if values:
        return rows * values + mask
    return rows * POINTER + _objects(field.type, rows, size) + mask


def is_object(type_: pa.DataType) -> bool:
    """Whether NumPy holds a type as Python's objects."""
    return not _width(type_)


def _held(need: Need) -> int:
    """What the table has, and what the allocator keeps back."""
    sizes = _sizes(need)
    return int(sum(sizes) * KEPT) + sum(min(size, CHUNK * need.shards) for size in sizes)


def _sizes(need: Need) -> list[int]:
    """Bytes of each column in a table."""
    return [_in_memory(one.type, need.rows, need.columns[one.name]) for one in need.schema]


def _decoding(need: Need) -> int:
    """What a thread has beside its shard's table, at the column that takes the most."""
    part = need.largest / max(need.bytes, 1)
    columns = [_beside(one.type, need.rows, need.columns[one.name]) for one in need.schema]
    shard = need.largest * (2 if need.filtered else 1)  # with those of its rows that the filter keeps, at most
    return int(shard * DECODED * sum(_sizes(need)) / max(need.bytes, 1) + max(columns, default=0) * part)


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
