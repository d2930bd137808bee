"""Whether a definition's checks fit its columns and splits, and the Expression that Arrow evaluates for each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.checks import VALUED, Check
from ailab_dataproc.columns import is_pii, names_rows
from ailab_dataproc.errors import InvalidDefinition, InvalidRequest, UnknownName, unknown
from ailab_dataproc.filters import RowFilter, columns_of
from ailab_dataproc.literals import typed


def fitted(checks: Iterable[Check], schema: pa.Schema, splits: Collection[str], where: str) -> tuple[Check, ...]:
    """The checks, each with the columns that it looks at.

    Args:
        checks: as the author wrote them.
        schema: the declared columns.
        splits: the names of the dataset's splits.
        where: the dataset, for messages.

    Raises:
        InvalidDefinition: a check that can't be right, whatever the rows are.
    """
    found: list[Check] = []
    for one in checks:
        if not isinstance(one, Check):
            raise InvalidDefinition(f"{where}: {one!r} is no check, wanted one such as checks.between('price', 0).")
        place = f"{where}: check {one.name!r}"
        asked = [("column", name, schema.names) for name in one.columns]
        for kind, name, known in [*asked, *([("split", one.split, splits)] if one.split else [])]:
            if name not in known:
                raise InvalidDefinition(str(unknown(kind, str(name), known, where=place)))
        try:
            found.append(_fitted(one, schema, place))
        except (InvalidRequest, UnknownName) as error:
            raise InvalidDefinition(str(error)) from error
        if found[-1].name in {other.name for other in found[:-1]}:
            raise InvalidDefinition(
                f"{where}: two checks are named {found[-1].name!r}. Give one of them another name=."
            )
    return tuple(found)


def row_filter(check: Check, schema: pa.Schema, where: str = "") -> RowFilter | None:
    """What Arrow evaluates for a check: true for a row that is right, null for one that is passed over.

    Args:
        check: which.
        schema: the columns by their values, from `plain`.
        where: for messages.

    Returns:
        None for a check that isn't an Expression on single rows.
    """
    if check.kind in _EXPRESSIONS:
        field = schema.field(check.columns[0])
        return RowFilter(_EXPRESSIONS[check.kind](check, field, where), pa.schema([field]))
    if isinstance(check.test, pc.Expression):
        return RowFilter(check.test, pa.schema([schema.field(name) for name in check.columns]))
    return None


def plain(schema: pa.Schema) -> pa.Schema:
    """The columns with dictionaries by their values, as checks get them."""
    types = [one.type.value_type if t.is_dictionary(one.type) else one.type for one in schema]
    return pa.schema([one.with_type(type_) for one, type_ in zip(schema, types, strict=True)])


def _fitted(check: Check, schema: pa.Schema, where: str) -> Check:
    if check.test is not None:
        named = columns_of(check.test, plain(schema), where).names if isinstance(check.test, pc.Expression) else None
        check = replace(check, columns=tuple(named or check.columns or schema.names))
    fields = [schema.field(name) for name in check.columns]
    if check.kind in ("unique", "references"):
        for one in fields:
            if not names_rows(one.type):
                raise _wrong_type(one, where, "an integer, a string, bytes, a date, a time, a decimal or a boolean")
    if check.kind == "fresh":
        _check_fresh(check, plain(schema).field(check.columns[0]), where)
    test = row_filter(check, plain(schema), where)
    if test is not None:
        test.check(where)
    personal = any(map(is_pii, fields))
    if personal and check.kind in VALUED and not check.named:  # the name would show values
        check = replace(check, name=f"{check.columns[0]} {check.kind.replace('_', ' ')} …")
    return replace(check, personal=personal)


def _check_fresh(check: Check, field: pa.Field, where: str) -> None:
    if not (t.is_timestamp(field.type) or t.is_date32(field.type)):
        raise _wrong_type(field, where, "a timestamp or a date")
    if check.arguments["as_of"] is not None:
        typed(check.arguments["as_of"], field, where)
    elif check.level == "fail":
        raise InvalidDefinition(
            f"{where}: without as_of it depends on the day of the preparation, so it can't be level='fail'. Give a "
            "time, as_of='2026-10-01', or level='warn'."
        )


def _wrong_type(field: pa.Field, where: str, wanted: str) -> InvalidDefinition:
    return InvalidDefinition(f"{where}: column {field.name!r} is {field.type}, wanted {wanted}.")


def _between(check: Check, field: pa.Field, where: str) -> pc.Expression:
    if t.is_nested(field.type) or t.is_null(field.type):
        raise _wrong_type(field, where, "numbers, times, decimals or text")
    operand, field = _comparable(field)
    parts = []
    for key, inclusive, exclusive in (("min", "__ge__", "__gt__"), ("max", "__le__", "__lt__")):
        if check.arguments[key] is not None:
            bound = _bound(check.arguments[key], field, where)
            compare = inclusive if check.arguments[f"include_{key}"] else exclusive
            parts.append(getattr(operand, compare)(bound))
    return parts[0] if len(parts) == 1 else parts[0] & parts[1]


def _one_of(check: Check, field: pa.Field, where: str) -> pc.Expression:
    operand, field = _comparable(field)
    values = [_bound(one, field, where) for one in check.arguments["values"]]
    finer = next((one for one in values if one.type != field.type), None)
    if finer is not None:
        raise InvalidDefinition(f"{where}: {finer} is finer than {field.name!r}, a column of {field.type}. Round it.")
    found = operand.isin(pa.array(values, field.type))
    return pc.if_else(pc.is_valid(operand), found, pa.scalar(None, pa.bool_()))  # is_in answers for nulls, too


def _not_null(_check: Check, field: pa.Field, _where: str) -> pc.Expression:
    return pc.field(field.name).is_valid()


def _matches(check: Check, field: pa.Field, where: str) -> pc.Expression:
    if not (t.is_string(field.type) or t.is_large_string(field.type)):
        raise _wrong_type(field, where, "text")
    pattern = check.arguments["pattern"]
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except (pa.ArrowInvalid, TypeError) as error:
        told = str(error).split("\n", 1)[0].rstrip(".")
        raise InvalidDefinition(f"{where}: {pattern!r} can't be read ({told}), wanted RE2's syntax.") from error
    return pc.match_substring_regex(pc.field(field.name), rf"\A(?:{pattern})\z")


def _length(check: Check, field: pa.Field, where: str) -> pc.Expression:
    count = next((count for matches, count in _LENGTHS if matches(field.type)), None)
    if count is None:
        raise _wrong_type(field, where, "text, bytes or lists")
    found = count(pc.field(field.name))
    low, high = check.arguments["min"], check.arguments["max"]
    return found <= high if low is None else found >= low if high is None else (found >= low) & (found <= high)


def _comparable(field: pa.Field) -> tuple[pc.Expression, pa.Field]:
    """A column as Arrow can compare it: it has no kernels for float16."""
    if t.is_float16(field.type):
        return pc.field(field.name).cast(pa.float32()), field.with_type(pa.float32())
    return pc.field(field.name), field


def _bound(value: Any, field: pa.Field, where: str) -> pa.Scalar:
    """A value as the column would hold it: 0.1 beside a float32 is the nearest of those."""
    found = typed(value, field, where)
    return found.cast(field.type) if t.is_floating(field.type) else found


_EXPRESSIONS: dict[str, Callable[[Check, pa.Field, str], pc.Expression]] = {
    "between": _between,
    "one_of": _one_of,
    "not_null": _not_null,
    "matches": _matches,
    "length": _length,
}
_LENGTHS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pc.Expression], pc.Expression]], ...] = (
    (lambda x: t.is_string(x) or t.is_large_string(x), pc.utf8_length),
    (lambda x: t.is_binary(x) or t.is_large_binary(x), pc.binary_length),
    (lambda x: t.is_list(x) or t.is_large_list(x) or t.is_fixed_size_list(x), pc.list_value_length),
)
