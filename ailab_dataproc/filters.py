"""filters=[("price", ">", 3)]: which rows a load keeps. The law: the same rows as `pyarrow.Table.filter`."""

from __future__ import annotations

import csv
import functools
import operator
import pickle
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ailab_dataproc.errors import InvalidRequest, UnknownName, unknown
from ailab_dataproc.literals import from_text, typed

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPERATORS = (*COMPARE, "=", "in", "not in", "is", "is not")
_FORM = "Write [('price', '>', 3), ('word', 'in', ['a', 'b'])] for and, [[…], […]] for or"
_TEXT = re.compile(r"\s*(?P<column>.+?)\s*(?P<op>==|!=|<=|>=|=|<|>|\s(not\s+in|in|is\s+not|is)\s)\s*(?P<value>.*?)\s*")
_MISSING = re.compile(r"No match for FieldRef\.Name\((.+)\) in ")
_SHOWN = 3  # values of a list in a text


@dataclass(frozen=True, slots=True)
class Predicate:
    """One condition on one column."""

    column: str
    operator: str  # one of `OPERATORS` without "="
    value: Any  # an Arrow scalar; an Arrow array for "in" and "not in"; None for "is" and "is not"

    @property
    def expression(self) -> pc.Expression:
        """The condition for Arrow, as pyarrow itself builds it from such a tuple."""
        field = pc.field(self.column)
        if self.value is None:
            return field.is_null() if self.operator == "is" else field.is_valid()
        if self.operator in COMPARE:
            return COMPARE[self.operator](field, self.value)
        found = field.isin(self.value)
        return found if self.operator == "in" else ~found

    def __str__(self) -> str:
        if not isinstance(self.value, pa.Array):
            return f"{self.column} {self.operator} {'null' if self.value is None else self.value}"
        shown = ", ".join(str(one) for one in self.value[:_SHOWN])
        more = f", … ({len(self.value):,} in all)" if len(self.value) > _SHOWN else ""
        return f"{self.column} {self.operator} [{shown}{more}]"


@dataclass(frozen=True, slots=True, eq=False)
class RowFilter:
    """Keeps the rows of a table that fulfil an expression. Safe to pickle."""

    expression: pc.Expression
    columns: pa.Schema  # that it looks at, as declared
    groups: tuple[tuple[Predicate, ...], ...] = ()  # the same as or of ands; none for an Expression of the user

    def with_columns(self, schema: pa.Schema) -> pa.Schema:
        """A schema, and behind it the columns that the filter needs besides."""
        return pa.schema([*schema, *(one for one in self.columns if one.name not in schema.names)])

    def __eq__(self, other: object) -> bool:  # the == of an Expression makes another one
        return isinstance(other, RowFilter) and self.expression.equals(other.expression)

    def __hash__(self) -> int:
        return hash(str(self.expression))

    def keep(self, table: pa.Table) -> pa.Table:
        """The rows for which the expression is true, in their order; neither false nor null."""
        return table.filter(self.mask(table))

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        """For each row of a table whether the expression is true, false or null."""
        try:
            return self._mask(table)
        except pa.ArrowInvalid as error:  # a time that doesn't fit into the unit of the value
            raise InvalidRequest(f"filters: {self.expression} can't be evaluated ({error}). Mend its value.") from error

    def check(self, where: str) -> None:
        """Raise `InvalidRequest` or `UnknownName` where these columns can't answer with true or false."""
        try:
            found = self._mask(self.columns.empty_table()).type
        except (pa.ArrowException, TypeError, ValueError) as error:
            told = str(error).split("\n", 1)[0]
            missing = _MISSING.match(told)
            if missing:
                raise unknown("column", missing[1], self.columns.names, where=where) from error
            raise InvalidRequest(f"{where}: {self.expression} can't be evaluated ({told}).") from error
        if not t.is_boolean(found):
            raise InvalidRequest(f"{where}: {self.expression} gives {found}, wanted true or false.")

    def _mask(self, table: pa.Table) -> pa.ChunkedArray:
        from pyarrow import acero  # which imports pandas where that is installed

        source = acero.Declaration("table_source", acero.TableSourceNodeOptions(table.select(self.columns.names)))
        answer = acero.Declaration("project", acero.ProjectNodeOptions([self.expression], ["keep"]))
        return acero.Declaration.from_sequence([source, answer]).to_table(use_threads=False)["keep"]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a load's `filters` ask for."""

    rows: RowFilter
    text: str  # for people


def parse(filters: Any, schema: pa.Schema, where: str) -> Filters:
    """Read filters in the form of pyarrow, pandas and Dask, or a `pyarrow.compute.Expression`.

    Args:
        filters: ``[("a", ">", 1), ("b", "in", [2, 3])]`` for and, a list of such lists for or. ``("a", "is", None)``
            and ``("a", "is not", None)`` ask for nulls.
        schema: the declared columns; a value is typed by its column.
        where: the dataset, for messages.

    Raises:
        UnknownName: a column or an operator that doesn't exist.
        InvalidRequest: another form, or a value that doesn't fit its column.
    """
    where = f"{where}: filters"
    if isinstance(filters, pc.Expression):
        rows = RowFilter(filters, columns_of(filters, schema, where))
        rows.check(where)
        return Filters(rows, str(filters))
    groups = tuple(tuple(_predicate(one, schema, where) for one in group) for group in _groups(filters, where))
    members = [functools.reduce(operator.and_, (one.expression for one in group)) for group in groups]
    names = dict.fromkeys(one.column for group in groups for one in group)
    rows = RowFilter(functools.reduce(operator.or_, members), pa.schema([schema.field(name) for name in names]), groups)
    rows.check(where)
    texts = [" and ".join(map(str, group)) for group in groups]
    return Filters(rows, " or ".join(f"({text})" if len(texts) > 1 else text for text in texts))


def parse_texts(texts: Sequence[str], schema: pa.Schema, where: str) -> list[tuple[str, str, Any]]:
    """Filters from a command line: ``"price > 3.5"``, ``"word in a,b"``, ``"word is not null"``, joined by and.

    Raises:
        UnknownName: a column that doesn't exist.
        InvalidRequest: a text in another form, or a value that doesn't fit its column.
    """
    return [_from_text(text, schema, f"{where}: filters") for text in texts]


def _from_text(text: str, schema: pa.Schema, where: str) -> tuple[str, str, Any]:
    match = _TEXT.fullmatch(text)
    if not match:
        raise InvalidRequest(
            f"{where}: {text!r} can't be read. Write it as 'price > 3.5', 'word in a,b' or 'word is null'."
        )
    field = _field(match["column"], schema, where)
    op, value = " ".join(match["op"].split()), match["value"]
    if op in ("is", "is not"):
        if value != "null":
            raise InvalidRequest(f"{where}: {text!r} compares with {value!r}, wanted 'null' after {op!r}.")
        return field.name, op, None
    if op in ("in", "not in"):
        parts = next(csv.reader([value], skipinitialspace=True), [])
        return field.name, op, [from_text(part.strip(), field, where) for part in parts]
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return field.name, op, from_text(value[1:-1] if quoted else value, field, where)


def _groups(filters: Any, where: str) -> list[Sequence[Sequence[Any]]]:
    """Or of ands, whichever of the two forms was given."""
    members = list(filters) if isinstance(filters, list | tuple) else []
    if members and all(map(_is_condition, members)):
        return [members]
    if members and all(isinstance(one, list | tuple) and one and all(map(_is_condition, one)) for one in members):
        return members
    shown = repr(filters)
    raise InvalidRequest(f"{where}={shown if len(shown) <= 100 else shown[:99] + '…'} can't be read. {_FORM}.")


def _is_condition(one: Any) -> bool:
    return isinstance(one, list | tuple) and len(one) == 3 and isinstance(one[0], str)


def _predicate(condition: Sequence[Any], schema: pa.Schema, where: str) -> Predicate:
    name, asked, value = condition
    field = _field(name, schema, where)
    if asked not in OPERATORS:
        raise unknown("operator", str(asked), OPERATORS, where=where)
    op = "==" if asked == "=" else asked
    if op in ("is", "is not"):
        if value is not None:
            raise InvalidRequest(f"{where}: {name!r} {op} {value!r}, wanted None after {op!r}.")
        return Predicate(name, op, None)
    if op in COMPARE:
        return Predicate(name, op, typed(value, field, where))
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise InvalidRequest(f"{where}: {name!r} {op} {value!r}, wanted a list: [{value!r}].")
    return Predicate(name, op, _values(value, field, where))


def _values(values: Any, field: pa.Field, where: str) -> pa.Array:
    """A list's values in the type of the column, as Arrow's is_in takes them."""
    type_ = field.type.value_type if t.is_dictionary(field.type) else field.type
    scalars = [None if one is None else typed(one, field, where) for one in values]
    for one in scalars:
        if one is not None and one.type != type_ and not t.is_floating(type_):
            raise InvalidRequest(f"{where}: {one} is finer than {field.name!r}, a column of {type_}. Round it.")
    if t.is_floating(type_):
        return pa.array(scalars, pa.float64()).cast(type_)
    return pa.array(scalars, type_)


def _field(name: str, schema: pa.Schema, where: str) -> pa.Field:
    if name not in schema.names:
        raise unknown("column", name, schema.names, where=where)
    return schema.field(name)


def columns_of(expression: pc.Expression, schema: pa.Schema, where: str) -> pa.Schema:
    """The columns that an Expression names: those without which it can't be evaluated."""
    try:
        pickle.dumps(expression)
    except pa.ArrowNotImplementedError as error:  # it would also not reach a worker of Dask
        raise InvalidRequest(
            f"{where}: {expression} names a column by its number. Name it: pc.field('price')."
        ) from error
    RowFilter(expression, schema).check(where)
    found = [one for i, one in enumerate(schema) if _needs(expression, schema.remove(i))]
    if not found:
        raise InvalidRequest(f"{where}: {expression} names no column. Leave it out.")
    return pa.schema(found)


def _needs(expression: pc.Expression, rest: pa.Schema) -> bool:
    """Whether a column is missed by an Expression that could be evaluated with all."""
    try:
        RowFilter(expression, rest).check("")
    except (InvalidRequest, UnknownName):
        return True
    return False
