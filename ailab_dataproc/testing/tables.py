"""Tables in tests: prepared as they are, and compared by value."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.preparing import prepare


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
        one, other = found[field.name], wanted[field.name]
        assert same(one, other), f"{field.name}: {one.to_pylist()} is not {other.to_pylist()}"


def same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Whether two columns of one type hold the same values, as `assert_same` means it."""
    return _same(_joined(one.combine_chunks()), _joined(other.combine_chunks()))


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
