"""The columns that a mapped function makes, from what it makes of the first part; and which of them are personal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends.shards import Part
from ailab_dataproc.columns import column, is_pii, labels, meaning, shape, stated_pii, unit
from ailab_dataproc.errors import InvalidRequest, unknown
from ailab_dataproc.preparation.mapped import Call, to_table

_GIVE = "Give schema=pa.schema([column(…), …])."


def inferred(call: Call, parts: Iterable[Part]) -> pa.Schema:
    """The columns of the first part that becomes rows; where none does, of the first one.

    A column whose name and type are those of a source's column is declared as that; another may hold nulls.

    Raises:
        InvalidRequest: there is no row to try, or a column's type isn't known from it.
    """
    first = None
    for part in parts:
        found = call(part)
        if found is None:
            continue
        table = to_table(found, f"{part.folder.path(part.path)}: {call.label}()")
        first = table if first is None or table.num_rows else first
        if table.num_rows:
            break
    if first is None:
        raise InvalidRequest(
            f"{call.label}(): filters leave no row to try it on. Give schema=pa.schema([column(…), …])."
        )
    kept = _unchanged(call)
    return pa.schema([kept.get((one.name, one.type)) or _new(one, call.label) for one in first.schema])


def with_personal(schema: pa.Schema, inputs: pa.Schema, public: Sequence[str]) -> pa.Schema:
    """The columns, and as personal those that may be made of personal data, unless somebody says otherwise.

    A column whose name and type are those of a source's column that isn't personal stays so.
    """
    for one in public:
        if one not in schema.names:
            raise unknown("column", one, schema.names, where="public")
    plain = {(one.name, one.type) for one in inputs if not is_pii(one)}
    made = set() if not any(map(is_pii, inputs)) else {one.name for one in schema if (one.name, one.type) not in plain}
    personal = (made | {one.name for one in schema if is_pii(one)}) - {*public}
    return pa.schema([_declared(one, pii=one.name in personal or _denied(one)) for one in schema])


def _unchanged(call: Call) -> dict[tuple[str, pa.DataType], pa.Field]:
    """The declared columns, by name and the type that they come back with from a function that changes nothing."""
    same = Call(lambda frame: frame, call.label, call.inputs, call.frame)
    back = to_table(same.of(call.inputs.empty_table(), call.label), call.label).schema
    return {(one.name, back.field(one.name).type): one for one in call.inputs}


def _new(field: pa.Field, label: str) -> pa.Field:
    kind = plain(field.type)
    if _unknown(kind):
        raise InvalidRequest(
            f"{label}(): column {field.name!r} holds no value in the first part that it was tried on, so that its type "
            f"isn't known. {_GIVE}"
        )
    return column(field.name, kind, f"from {label}", nullable=True)


def _denied(field: pa.Field) -> bool | None:
    """For a column that isn't personal: False where its author says so, None where nobody does."""
    return None if stated_pii(field) is None else False


def _declared(field: pa.Field, *, pii: bool | None) -> pa.Field:
    """The same column, personal or not."""
    sizes = shape(field) if (field.metadata or {}).get(b"shape") else None
    kept = {"nullable": field.nullable, "unit": unit(field), "shape": sizes, "labels": labels(field)}
    return column(field.name, field.type, meaning(field), pii=pii, **kept)


def plain(kind: pa.DataType) -> pa.DataType:
    """A type without what only tells how a library holds its values: long offsets, views, long indices."""
    if t.is_dictionary(kind):
        return pa.dictionary(pa.int32(), plain(kind.value_type))
    if t.is_fixed_size_list(kind):
        return pa.list_(plain(kind.value_type), kind.list_size)
    if t.is_list(kind) or t.is_large_list(kind):
        return pa.list_(plain(kind.value_type))
    if t.is_struct(kind):
        return pa.struct([one.with_type(plain(one.type)) for one in kind])
    if t.is_large_string(kind) or t.is_string_view(kind):
        return pa.string()
    return pa.binary() if t.is_large_binary(kind) or t.is_binary_view(kind) or t.is_fixed_size_binary(kind) else kind


def _unknown(kind: pa.DataType) -> bool:
    if t.is_nested(kind):
        return any(_unknown(kind.field(i).type) for i in range(kind.num_fields))
    return bool(t.is_null(kind) or (t.is_dictionary(kind) and t.is_null(kind.value_type)))
