"""The type contract, in one table: what each backend returns for an Arrow type, and which types a shard may hold."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.errors import DamagedData, InvalidDefinition


@dataclass(frozen=True, slots=True)
class Contract:
    """What a column of one Arrow type becomes on each backend."""

    arrow: str  # the family of Arrow types
    numpy: str  # dtype and shape of the array; n is the number of rows
    pandas: str  # dtype in pandas and in each partition of Dask
    matches: Callable[[pa.DataType], bool]


# Arrow is the value space; pandas and Dask carry it unchanged, NumPy is a declared projection of it.
CONTRACTS: tuple[Contract, ...] = (
    Contract("bool", "bool", "bool[pyarrow]", t.is_boolean),
    Contract("int8 … int64, uint8 … uint64", "the same integer", "ArrowDtype of the same", t.is_integer),
    Contract("float16, float32, float64", "the same float", "ArrowDtype of the same; NaN is not null", t.is_floating),
    Contract(
        "string, large_string", "object: str", "ArrowDtype(string)", lambda x: t.is_string(x) or t.is_large_string(x)
    ),
    Contract(
        "binary, large_binary", "object: bytes", "ArrowDtype(binary)", lambda x: t.is_binary(x) or t.is_large_binary(x)
    ),
    Contract("dictionary", "as its value type", "ArrowDtype(dictionary)", t.is_dictionary),
    Contract("timestamp", "datetime64[unit], in UTC", "ArrowDtype(timestamp)", t.is_timestamp),
    Contract("date32", "datetime64[D]", "ArrowDtype(date32)", t.is_date32),
    Contract("duration", "timedelta64[unit]", "ArrowDtype(duration)", t.is_duration),
    Contract("decimal128", "object: decimal.Decimal", "ArrowDtype(decimal128)", t.is_decimal128),
    Contract("fixed-size list", "(n, *shape) of the values", "ArrowDtype(list)", t.is_fixed_size_list),
    Contract(
        "list, large_list", "object: one array a row", "ArrowDtype(list)", lambda x: t.is_list(x) or t.is_large_list(x)
    ),
    Contract("struct", "object: dict", "ArrowDtype(struct)", t.is_struct),
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
