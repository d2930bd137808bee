"""The tables of TPC-H as datasets of ailab_dataproc: made by tpchgen-cli, prepared by the framework."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tpch_queries

import ailab_dataproc as adp

TABLES = ("lineitem", "orders", "customer", "part", "partsupp", "supplier", "nation", "region")
SMALL = ("nation", "region", "supplier")  # of one file, whatever the scale


def name(table: str) -> str:
    """The dataset's name."""
    return f"tpch/{table}"


def generate(folder: Path, scale: float, tables: Sequence[str] = TABLES, parts: int = 8) -> None:
    """Write tables as Parquet, with decimals, into `<folder>/<table>/`.

    Args:
        folder: is made.
        scale: of TPC-H; 1 is 6 M rows of lineitem.
        tables: their names.
        parts: files of each large table.
    """
    program = str(Path(sys.executable).parent / "tpchgen-cli")
    for some, cut in ((set(tables) - {*SMALL}, parts), (set(tables) & {*SMALL}, 1)):
        if some:
            chosen = [f"--tables={','.join(sorted(some))}", f"--parts={cut}", f"--scale-factor={scale}"]
            subprocess.run([program, "parquet", "--quiet", f"--output-dir={folder}", *chosen], check=True)


def files(folder: Path, table: str) -> list[str]:
    """What `generate` has written of a table."""
    return sorted(map(str, (folder / table).glob("*.parquet")))


def dataset(table: str, sources: Sequence[str], called: str | None = None) -> adp.Dataset:
    """A table as TPC-H has it, but money as float64: pandas has no decimals but objects.

    Args:
        table: its name in TPC-H.
        sources: its Parquet files.
        called: the dataset's name; `name(table)` if left out.
    """
    found = pq.read_schema(sources[0])
    schema = pa.schema([adp.column(one.name, _plain(one.type), "see the specification of TPC-H") for one in found])
    return adp.Dataset(
        name=called or name(table),
        version="1.0.0",
        schema=schema,
        splits={"train": list(sources)},
        read=functools.partial(_read, schema=schema),
    )


def prepare(folder: Path, data_dir: str, tables: Sequence[str] = TABLES) -> None:
    """Prepare what `generate` has written."""
    for table in tables:
        adp.prepare(dataset(table, files(folder, table)), data_dir=data_dir, formats=("parquet",))


def answers(folder: Path, queries: Mapping[str, str]) -> dict[str, list[list[Any]]]:
    """What DuckDB makes of the files that `generate` has written.

    Args:
        folder: that `generate` was given.
        queries: SQL by name.
    """
    import duckdb

    with duckdb.connect() as sql:
        for table in TABLES:
            sql.execute(f"create view {table} as from read_parquet({files(folder, table)!r})")
        found = {query: sql.execute(text).fetchall() for query, text in queries.items()}
    return {query: [[tpch_queries.plain(value) for value in row] for row in rows] for query, rows in found.items()}


def loader(backend: str, split: str, data_dir: str, sizes: list[tuple[int, int]] | None = None) -> Callable[..., Any]:
    """What a query of `tpch_queries` loads its tables with.

    Args:
        backend: of all tables.
        split: such as "train".
        data_dir: that `prepare` was given.
        sizes: gets the rows and the Arrow bytes of each table that is loaded.
    """

    def load(table: str, columns: Sequence[str] | None, filters: Any = None) -> Any:
        given: dict[str, Any] = {"columns": columns, "filters": filters, "data_dir": data_dir, "backend": backend}
        if sizes is not None:
            need = adp.plan(name(table), split=split, **given).need
            sizes.append((need.rows, need.bytes))
        return adp.load(name(table), split=split, **given)

    return load


def _read(source: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with source.open() as file:
        for batch in pq.ParquetFile(file).iter_batches(65_536, use_threads=False):
            yield batch.cast(schema)


def _plain(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal(type_):
        return pa.float64()
    return pa.string() if type_ == pa.string_view() else type_
