"""pandas.DataFrame: Arrow-backed columns, exact and without a copy, or NumPy's dtypes by declared nullability."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends import few, memory, too_large
from ailab_dataproc.backends.columns import Columns, read_columns
from ailab_dataproc.backends.shards import Selection
from ailab_dataproc.sizing import Machine, Need


class Pandas:
    """Backend "pandas"."""

    returns = "pandas.DataFrame"
    family = "eager"

    def peak(self, need: Need) -> int:
        """The frame, and the shards that are decoded meanwhile."""
        return memory.frame(need) if need.dtypes == "numpy" else memory.table(need)

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """Refuses where pandas isn't installed, and what doesn't fit into memory."""
        if importlib.util.find_spec("pandas") is None:
            return "pandas is not installed: pip install 'ailab_dataproc[pandas]'"
        return too_large(self.peak(need), need, machine)

    def read(self, selection: Selection) -> Any:
        """A frame with pd.ArrowDtype columns, or with NumPy's dtypes where they were asked for."""
        if selection.dtypes == "numpy":
            plain = pa.schema([one for one in selection.schema if is_plain(one.type)])
            columns, rest = read_columns(selection, plain)
            return frame_of(columns, rest, selection.schema)
        return to_pandas(few.read(selection))

    def to_arrow(self, frame: Any, schema: pa.Schema) -> pa.Table:
        """The frame as a table of the declared schema."""
        return pa.table([_back(frame[one.name], one) for one in schema], schema=schema)


def to_pandas(table: pa.Table, dtypes: str = "arrow") -> Any:
    """A table as a frame.

    Args:
        table: any number of rows.
        dtypes: "arrow" for pd.ArrowDtype columns, no value of which is converted; "numpy" for NumPy's.
    """
    import pandas as pd

    if dtypes == "arrow":
        return table.to_pandas(types_mapper=pd.ArrowDtype)
    plain = [one for one in table.schema if is_plain(one.type)]
    columns = Columns(pa.schema(plain), len(table))
    columns.put(table)
    return frame_of(columns, [table.drop_columns([one.name for one in plain])], table.schema)


def is_plain(type_: pa.DataType) -> bool:
    """Whether NumPy has the type: numbers, times, and dictionaries of floats, whose NaN no category can be."""
    if t.is_dictionary(type_):
        return t.is_floating(type_.value_type)
    return t.is_primitive(type_) and not t.is_decimal(type_)


def frame_of(columns: Columns, rest: Sequence[pa.Table], schema: pa.Schema) -> Any:
    """A frame with NumPy's dtypes.

    Args:
        columns: those for which `is_plain` holds; the frame takes their memory over.
        rest: the others, in pieces.
        schema: of all.
    """
    import pandas as pd

    others = pa.concat_tables(rest) if rest else schema.empty_table()
    rows = len(others) if not columns.schema.names else len(columns.values[columns.schema.names[0]])
    made = {}
    for field in schema:
        if field.name in columns.values:
            made[field.name] = _plain(columns.values[field.name], columns.invalid.get(field.name), field)
        else:
            made[field.name] = _other(others[field.name])
    return pd.DataFrame(made, index=pd.RangeIndex(rows), copy=False)


def _plain(values: np.ndarray, invalid: np.ndarray | None, field: pa.Field) -> Any:
    import pandas as pd

    kind = values.dtype.kind
    if invalid is not None and kind in "iu":
        return pd.arrays.IntegerArray(values, invalid)
    if invalid is not None and kind == "b":
        return pd.arrays.BooleanArray(values, invalid)
    if invalid is not None:
        values[invalid] = np.nan if kind == "f" else np.array("NaT", values.dtype)
    if t.is_timestamp(field.type) and field.type.tz:
        return pd.array(values, dtype=pd.DatetimeTZDtype(field.type.unit, "UTC")).tz_convert(field.type.tz)
    return values.astype("datetime64[s]") if t.is_date32(field.type) else values


def _other(column: pa.ChunkedArray) -> Any:
    import pandas as pd

    if t.is_dictionary(column.type):
        return _category(column.unify_dictionaries())
    if t.is_string(column.type) or t.is_large_string(column.type):
        return pd.array(column, dtype=pd.StringDtype("pyarrow", na_value=np.nan))
    return pd.arrays.ArrowExtensionArray(column)


def _category(column: pa.ChunkedArray) -> Any:
    """A category column; its categories have the same type on any shard."""
    import pandas as pd

    kinds = column.chunk(0).dictionary if column.num_chunks else pa.array([], column.type.value_type)
    codes = [np.zeros(0, np.int8), *(one.indices.fill_null(-1).to_numpy() for one in column.chunks)]
    return pd.Categorical.from_codes(np.concatenate(codes), categories=pd.Index(_other(pa.chunked_array([kinds]))))


def _back(series: Any, field: pa.Field) -> pa.Array | pa.ChunkedArray:
    """One column as Arrow, of the declared type."""
    import pandas as pd

    if isinstance(series.dtype, pd.ArrowDtype | pd.StringDtype | pd.CategoricalDtype):
        return pa.array(series.array).cast(field.type)
    if t.is_dictionary(field.type):
        values = pa.array(series, field.type.value_type, from_pandas=field.nullable)
        return values.dictionary_encode().cast(field.type)
    # In a nullable column NaN is the null; elsewhere it is a number.
    return pa.array(series, field.type, from_pandas=field.nullable if series.dtype.kind == "f" else None)
