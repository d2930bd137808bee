"""The type contract, in one table: what each backend returns for an Arrow type, and which types a shard may hold."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.errors import DamagedData, InvalidDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a column of one family of Arrow types becomes on each backend."""

    arrow: str  # the family of Arrow types
    matches: Callable[[pa.DataType], bool]
    numpy: str  # dtype and shape of the array; n is the number of rows
    pandas: str  # dtype in pandas and in each partition of Dask
    pandas_numpy: str  # the same with dtypes="numpy"
    polars: str
    cudf: str  # dtype in cudf and in each partition of dask_cudf
    tf: str  # the tensor of a tf.data.Dataset
    torch: str


# Arrow is the value space; pandas and Dask carry it unchanged, the others are declared projections of it.
CONTRACTS: tuple[Contract, ...] = (
    Contract(
        arrow="bool",
        matches=t.is_boolean,
        numpy="bool",
        pandas="bool[pyarrow]",
        pandas_numpy="bool; nullable: boolean",
        polars="Boolean",
        cudf="bool",
        tf="tf.bool",
        torch="torch.bool",
    ),
    Contract(
        arrow="int8 … int64, uint8 … uint64",
        matches=t.is_integer,
        numpy="the same integer",
        pandas="ArrowDtype of the same",
        pandas_numpy="the same integer; nullable: Int64 …",
        polars="the same integer",
        cudf="the same integer",
        tf="the same integer",
        torch="the same integer",
    ),
    Contract(
        arrow="float16, float32, float64",
        matches=t.is_floating,
        numpy="the same float",
        pandas="ArrowDtype of the same; NaN is not null",
        pandas_numpy="the same float; null becomes NaN",
        polars="the same float",
        cudf="the same float; no float16",
        tf="the same float",
        torch="the same float",
    ),
    Contract(
        arrow="string, large_string",
        matches=lambda x: t.is_string(x) or t.is_large_string(x),
        numpy="object: str",
        pandas="ArrowDtype(string)",
        pandas_numpy="str",
        polars="String",
        cudf="str",
        tf="tf.string",
        torch="a list of str",
    ),
    Contract(
        arrow="binary, large_binary",
        matches=lambda x: t.is_binary(x) or t.is_large_binary(x),
        numpy="object: bytes",
        pandas="ArrowDtype(binary)",
        pandas_numpy="ArrowDtype(binary)",
        polars="Binary",
        cudf="refused",
        tf="tf.string",
        torch="a list of bytes",
    ),
    Contract(
        arrow="dictionary",
        matches=t.is_dictionary,
        numpy="as its value type",
        pandas="ArrowDtype(dictionary)",
        pandas_numpy="category; of floats: as its value type",
        polars="Categorical; of other than text: as its value type",
        cudf="category",
        tf="as its value type",
        torch="as its value type",
    ),
    Contract(
        arrow="timestamp",
        matches=t.is_timestamp,
        numpy="datetime64[unit], in UTC",
        pandas="ArrowDtype(timestamp)",
        pandas_numpy="datetime64[unit], datetime64[unit, tz]",
        polars="Datetime; s as ms",
        cudf="datetime64[unit], in UTC",
        tf="tf.int64 in the unit",
        torch="torch.int64 in the unit",
    ),
    Contract(
        arrow="date32",
        matches=t.is_date32,
        numpy="datetime64[D]",
        pandas="ArrowDtype(date32)",
        pandas_numpy="datetime64[s]",
        polars="Date",
        cudf="datetime64[s]",
        tf="tf.int32 days",
        torch="torch.int32 days",
    ),
    Contract(
        arrow="duration",
        matches=t.is_duration,
        numpy="timedelta64[unit]",
        pandas="ArrowDtype(duration)",
        pandas_numpy="timedelta64[unit]",
        polars="Duration; s as ms",
        cudf="timedelta64[unit]",
        tf="tf.int64 in the unit",
        torch="torch.int64 in the unit",
    ),
    Contract(
        arrow="decimal128",
        matches=t.is_decimal128,
        numpy="object: decimal.Decimal",
        pandas="ArrowDtype(decimal128)",
        pandas_numpy="ArrowDtype(decimal128)",
        polars="Decimal",
        cudf="Decimal128Dtype",
        tf="tf.string",
        torch="a list of decimal.Decimal",
    ),
    Contract(
        arrow="fixed-size list",
        matches=t.is_fixed_size_list,
        numpy="(n, *shape) of the values",
        pandas="ArrowDtype(list)",
        pandas_numpy="ArrowDtype(list)",
        polars="Array",
        cudf="ListDtype",
        tf="(n, *shape) of the values",
        torch="(n, *shape) of the values",
    ),
    Contract(
        arrow="list, large_list",
        matches=lambda x: t.is_list(x) or t.is_large_list(x),
        numpy="object: one array a row",
        pandas="ArrowDtype(list)",
        pandas_numpy="ArrowDtype(list)",
        polars="List",
        cudf="ListDtype",
        tf="tf.RaggedTensor",
        torch="a list of tensors; not of numbers: a list of lists",
    ),
    Contract(
        arrow="struct",
        matches=t.is_struct,
        numpy="object: dict",
        pandas="ArrowDtype(struct)",
        pandas_numpy="ArrowDtype(struct)",
        polars="Struct",
        cudf="StructDtype",
        tf="a dict of tensors",
        torch="a list of dict",
    ),
)


def contract(type_: pa.DataType) -> Contract | None:
    """The line of the table for an Arrow type; None for a type that no shard may hold."""
    return next((one for one in CONTRACTS if one.matches(type_)), None)


def check_types(schema: pa.Schema, where: str) -> None:
    """Raise `InvalidDefinition` for a column whose type (or a type inside it) has no contract."""
    for field in schema:
        for inner in _types(field.type):
            if contract(inner) is None:
                allowed = "; ".join(one.arrow for one in CONTRACTS)
                raise InvalidDefinition(
                    f"{where}: column {field.name!r} has type {field.type}, which no backend keeps the same. "
                    f"Use one of: {allowed}."
                )


def in_parquet(type_: pa.DataType, *, nullable: bool) -> pa.DataType:
    """The type that a Parquet file holds for a declared one; a cast leads there and back without loss.

    Dictionaries lie by their values, and pyarrow (25) can't read back a fixed-size list that is null.
    """
    if t.is_dictionary(type_):
        return type_.value_type
    if t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_):
        inner = type_.value_field.with_type(in_parquet(type_.value_type, nullable=True))
        if t.is_fixed_size_list(type_) and not nullable:
            return pa.list_(inner, type_.list_size)
        return pa.large_list(inner) if t.is_large_list(type_) else pa.list_(inner)
    if t.is_struct(type_):
        return pa.struct([one.with_type(in_parquet(one.type, nullable=True)) for one in type_])
    return pa.timestamp("ms", type_.tz) if t.is_timestamp(type_) and type_.unit == "s" else type_


def encode(schema: pa.Schema) -> str:
    """A schema as text that `decode` reads back with any version of Arrow."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def decode(text: str, where: str) -> pa.Schema:
    """The schema that `encode` wrote.

    Raises:
        DamagedData: the text is something else.
    """
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True)))
    except (ValueError, pa.ArrowInvalid) as error:
        raise DamagedData(f"{where}: its schema can't be read ({error}).") from error


def _types(type_: pa.DataType) -> list[pa.DataType]:
    if t.is_dictionary(type_):
        return [type_, type_.value_type]
    children = [type_.field(i).type for i in range(type_.num_fields)]
    return [type_, *(inner for child in children for inner in _types(child))]
