"""The ways to each object: ailab_dataproc, and its peers on the same Parquet shards."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from load_data import CASES, Job, summary

import ailab_dataproc as adp

OURS = "ailab_dataproc"
Load = Callable[[], Any]
Way = Callable[[Job], Load]


def _ours(backend: str, **options: Any) -> Way:
    def way(job: Job) -> Load:
        filters = [job.filter] if job.filter else None
        if filters and importlib.util.find_spec("polars"):
            importlib.import_module("polars")  # by which few rows come; imports aren't counted
        options_ = {"split": "train", "columns": job.columns, "filters": filters, "data_dir": job.data_dir} | options
        return lambda: adp.load(job.name, backend=backend, **options_)

    return way


def _then(way: Way, change: Callable[[Any], Any]) -> Way:
    def both(job: Job) -> Load:
        load = way(job)
        return lambda: change(load())

    return both


def _pyarrow(job: Job) -> Load:
    import pyarrow.parquet as pq

    return lambda: pq.read_table(job.files, columns=_list(job.columns), filters=_filters(job))


def _pyarrow_dataset(job: Job) -> Load:
    import pyarrow.dataset as ds

    def load() -> Any:
        chosen = ds.field(job.filter[0]) < job.filter[2] if job.filter else None
        return ds.dataset(job.files).to_table(columns=_list(job.columns), filter=chosen)

    return load


def _polars(streaming: bool) -> Way:
    def way(job: Job) -> Load:
        import polars as pl

        def load() -> Any:
            frame = pl.scan_parquet(job.files)
            frame = frame.filter(pl.col(job.filter[0]) < job.filter[2]) if job.filter else frame
            frame = frame.select(job.columns) if job.columns else frame
            return frame.collect(engine="streaming" if streaming else "in-memory")

        return load

    return way


def _duckdb(job: Job) -> Load:
    import duckdb

    def load() -> Any:
        found = duckdb.read_parquet(job.files)
        if job.filter:
            name, _, limit = job.filter
            told = limit if isinstance(limit, int | float) else f"TIMESTAMPTZ '{limit.isoformat()}'"
            found = found.filter(f'"{name}" < {told}')
        return found.project(", ".join(f'"{name}"' for name in job.columns)) if job.columns else found

    return load


def _pandas(**options: Any) -> Way:
    def way(job: Job) -> Load:
        import pandas as pd

        chosen = {"columns": _list(job.columns), "filters": _filters(job)}
        return lambda: pd.read_parquet(job.files, **chosen, **options)

    return way


def _dask(**options: Any) -> Way:
    def way(job: Job) -> Load:
        import dask.dataframe as dd
        from pyarrow import fs

        if options.get("filesystem") == "arrow":  # the text "arrow" takes no list of files
            options["filesystem"] = fs.LocalFileSystem()
        chosen = {"columns": _list(job.columns), "filters": _filters(job)}
        return lambda: dd.read_parquet(job.files, **chosen, **options)

    return way


def _huggingface(job: Job) -> Load:
    """Its cache of Arrow files is made before the clock starts."""
    import datasets

    datasets.disable_progress_bars()
    chosen = datasets.Dataset.from_parquet(
        job.files, cache_dir=f"{job.data_dir}/huggingface", columns=_list(job.columns)
    )
    return lambda: chosen.with_format("numpy")[:]


def _list(columns: tuple[str, ...] | None) -> list[str] | None:
    return list(columns) if columns else None


def _filters(job: Job) -> list[Any] | None:
    return [job.filter] if job.filter else None


def _arrow_frame(table: Any) -> Any:
    import pandas as pd

    return table.to_pandas(types_mapper=pd.ArrowDtype)


def _arrays(frame: Any) -> dict[str, np.ndarray]:
    return {name: frame[name].to_numpy() for name in frame.columns}


def _table_arrays(table: Any) -> dict[str, np.ndarray]:
    return {name: table[name].to_numpy() for name in table.column_names}


def _compute(frame: Any) -> Any:
    return frame.compute()


def _sum(frame: Any) -> Any:
    """One number of a lazy frame: only its columns are read."""
    numbers = frame.select_dtypes("number")
    return numbers[[name for name in numbers.columns if name in ("l_extendedprice", "bid")]].sum().compute()


_POLARS, _STREAMING = _polars(False), _polars(True)
# By object: the ways to make it. What a way's text says behind the comma is what it does with the peer's result.
WAYS: dict[str, dict[str, Way]] = {
    "Arrow table": {
        OURS: _ours("arrow"),
        "pyarrow read_table": _pyarrow,
        "pyarrow dataset": _pyarrow_dataset,
        "Polars, to_arrow": _then(_STREAMING, lambda frame: frame.to_arrow()),
        "DuckDB, to_arrow_table": _then(_duckdb, lambda found: found.to_arrow_table()),
    },
    "pandas, Arrow-backed": {
        OURS: _ours("pandas"),
        "pandas dtype_backend='pyarrow'": _pandas(dtype_backend="pyarrow"),
        "pyarrow, to_pandas": _then(_pyarrow, _arrow_frame),
        "Polars, to_pandas": _then(_STREAMING, lambda frame: frame.to_pandas(use_pyarrow_extension_array=True)),
    },
    "pandas, NumPy dtypes": {
        OURS: _ours("pandas", dtypes="numpy"),
        "pandas read_parquet": _pandas(),
        "DuckDB, df": _then(_duckdb, lambda found: found.df()),
    },
    "Polars frame": {
        OURS: _ours("polars"),
        "Polars": _POLARS,
        "Polars streaming": _STREAMING,
    },
    "NumPy arrays": {
        OURS: _ours("numpy", nulls="mask"),
        "pandas read_parquet, to_numpy": _then(_pandas(), _arrays),
        "pyarrow, to_numpy": _then(_pyarrow, _table_arrays),
        "Polars, to_numpy": _then(_STREAMING, _arrays),
        "DuckDB, fetchnumpy": _then(_duckdb, lambda found: found.fetchnumpy()),
        "HF datasets": _huggingface,
    },
    "Dask, computed": {
        OURS: _then(_ours("dask"), _compute),
        "dask read_parquet, Arrow-backed": _then(_dask(dtype_backend="pyarrow"), _compute),
        "dask read_parquet": _then(_dask(), _compute),
        "dask read_parquet, filesystem='arrow'": _then(_dask(filesystem="arrow"), _compute),
    },
    "Dask, a sum": {
        OURS: _then(_ours("dask"), _sum),
        "dask read_parquet": _then(_dask(), _sum),
        "dask read_parquet, filesystem='arrow'": _then(_dask(filesystem="arrow"), _sum),
    },
}
_CASES = {  # else all but "arrays"
    "NumPy arrays": ("arrays",),
    "Dask, computed": ("whole", "3 columns"),
    "Dask, a sum": ("whole",),
    "pandas, NumPy dtypes": ("whole", "arrays"),
}
ONCE = ("HF datasets",)  # too slow for more than one round
# By the first word of a way, and for ours by object.
_NEEDS = {"Polars": "polars", "DuckDB": "duckdb", "HF": "datasets", "dask": "dask", "pandas": "pandas"}
_NEEDS |= {"Polars frame": "polars", "Dask, computed": "dask", "Dask, a sum": "dask"}
_NEEDS |= {"pandas, Arrow-backed": "pandas", "pandas, NumPy dtypes": "pandas"}


def chosen(objects: list[str] | None, cases: list[str]) -> list[tuple[str, str, str]]:
    """Case, object and way of each measurement."""
    kinds = [kind for kind in WAYS if not objects or kind in objects]
    every = [(case, kind) for case in cases for kind in kinds if case in _CASES.get(kind, CASES[:-1])]
    return [(case, kind, way) for case, kind in every for way in WAYS[kind]]


def needs(kind: str, way: str) -> tuple[str, ...]:
    """The module without which a way isn't there."""
    found = _NEEDS.get(kind if way == OURS else way.split(maxsplit=1)[0].rstrip(","))
    return (found,) if found else ()


def found(kind: str, result: Any, job: Job) -> dict[str, Any]:
    """The rows of what came back, a sum and the bounds of a time; what a case lacks is left out."""
    if kind == "Dask, a sum":
        return {"sum": float(result.iloc[0])}
    number, time = (result[name] for name in job.check)
    if kind == "Arrow table":
        import pyarrow.compute as pc

        bounds = pc.min_max(time)
        return {"rows": len(result)} | summary(pc.sum(number).as_py(), (bounds["min"], bounds["max"]))
    rows = len(number) if kind == "NumPy arrays" else len(result)
    return {"rows": rows} | summary(number.sum(), (time.min(), time.max()))
