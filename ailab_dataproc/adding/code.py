"""Python text from values: calls, lists and literals, laid out as `ruff format` would, whatever the texts hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.errors import InvalidDefinition

WIDTH = 120  # characters of a line
_INDENT = 4
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class Group:
    """What stands between brackets."""

    opening: str  # such as "column(" or "["
    items: Sequence[Item]
    closing: str
    spread: bool = False  # whether each item has a line of its own even where one would do


@dataclass(frozen=True, slots=True)
class Named:
    """A keyword argument, or a key of a dict with its value."""

    name: str  # with what joins them: "unit=" or '"train": '
    value: Item


@dataclass(frozen=True, slots=True)
class Remarked:
    """An item with a comment above it."""

    comment: str  # one line, without #
    value: Item


Item = str | Group | Named | Remarked


def call(name: str, *items: Item, spread: bool = False) -> Group:
    """``name(items)``."""
    return Group(f"{name}(", items, ")", spread)


def listed(items: Sequence[Item], *, spread: bool = False) -> Group:
    """``[items]``."""
    return Group("[", items, "]", spread)


def mapped(items: Mapping[str, Item]) -> Group:
    """``{"key": value}``."""
    return Group("{", [Named(f"{quoted(key)}: ", value) for key, value in items.items()], "}")


def quoted(text: str) -> str:
    """A string literal: double quotes, unless that means more escapes; what can't be seen is escaped."""
    mark = "'" if text.count('"') > text.count("'") else '"'
    return mark + "".join("\\" + one if one == mark else _escaped(one) for one in text) + mark


def docstring(text: str) -> str:
    """A module's docstring; long lines are broken between words."""
    lines = [part for line in text.strip().splitlines() for part in _broken(line.rstrip(), WIDTH - 6)]
    inner = "\n".join("".join(_escaped(one) for one in line) for line in lines).replace('"""', '\\"""')
    if len(lines) > 1:
        return f'"""{inner}\n"""'
    return f'"""{inner[:-1]}\\""""' if inner.endswith('"') else f'"""{inner}"""'


def render(item: Item, indent: int = 0, before: int = 0) -> str:
    """The text of an item; its first line isn't indented.

    Args:
        item: what to write.
        indent: characters before its closing bracket.
        before: characters on its first line before it, and behind its last bracket.
    """
    line = _on_one_line(item)
    if line is not None and indent + before + len(line) <= WIDTH:
        return line
    if isinstance(item, Named):
        return item.name + render(item.value, indent, before + len(item.name))
    if isinstance(item, Group) and item.items:
        inner = indent + _INDENT
        lines = [" " * inner + _entry(one, inner) for one in item.items]
        if len(lines) == 1 and isinstance(item.items[0], Group):
            lines[0] = lines[0].removesuffix(",")
        return "\n".join([item.opening, *lines, " " * indent + item.closing])
    return _split(item, indent) if isinstance(item, str) else line or ""


def type_code(type_: pa.DataType) -> Item:  # noqa: PLR0911 - one line a kind of type
    """The expression that makes an Arrow type.

    Raises:
        InvalidDefinition: a type that has none, such as an extension type.
    """
    if t.is_timestamp(type_):
        return call("pa.timestamp", quoted(type_.unit), *([quoted(type_.tz)] if type_.tz else []))
    if t.is_time(type_):
        return call(f"pa.time{type_.bit_width}", quoted(type_.unit))
    if t.is_duration(type_):
        return call("pa.duration", quoted(type_.unit))
    if t.is_decimal(type_):
        return call(f"pa.decimal{type_.bit_width}", str(type_.precision), str(type_.scale))
    if t.is_fixed_size_list(type_):
        return call("pa.list_", _value_code(type_), str(type_.list_size))
    if t.is_list(type_) or t.is_large_list(type_):
        return call("pa.list_" if t.is_list(type_) else "pa.large_list", _value_code(type_))
    if t.is_struct(type_):
        return call("pa.struct", listed([_field_code(one) for one in type_]))
    if t.is_dictionary(type_):
        return call("pa.dictionary", type_code(type_.index_type), type_code(type_.value_type))
    if t.is_map(type_):
        return call("pa.map_", type_code(type_.key_type), type_code(type_.item_type))
    if t.is_fixed_size_binary(type_):
        return call("pa.binary", str(type_.byte_width))
    name = {"bool": "bool_", "halffloat": "float16", "float": "float32", "double": "float64"}.get(str(type_), "")
    name = name or str(type_).partition("[")[0]  # date32[day]
    maker = getattr(pa, name, None)
    if not callable(maker) or maker() != type_:
        raise InvalidDefinition(f"the type {type_} can't be written down; wanted one of Arrow's own. Cast it first.")
    return f"pa.{name}()"


def _value_code(type_: pa.DataType) -> Item:
    field = type_.value_field
    return type_code(field.type) if field.nullable else _field_code(field)


def _field_code(field: pa.Field) -> Item:
    if field.nullable:
        return Group("(", [quoted(field.name), type_code(field.type)], ")")
    return call("pa.field", quoted(field.name), type_code(field.type), Named("nullable=", "False"))


def _entry(item: Item, indent: int) -> str:
    """An item on lines of its own, with its comma."""
    if isinstance(item, Remarked):
        remark = f"# {' '.join(item.comment.split())}"
        broken = _broken(remark, WIDTH - indent)
        above = [broken[0], *(f"# {line}" for line in broken[1:])]
        return ("\n" + " " * indent).join([*above, _entry(item.value, indent)])
    return render(item, indent, 1) + ","


def _on_one_line(item: Item) -> str | None:
    """The text without a line end; None where there must be one."""
    if isinstance(item, str):
        return item
    if isinstance(item, Named):
        value = _on_one_line(item.value)
        return None if value is None else item.name + value
    if isinstance(item, Remarked) or item.spread:
        return None
    parts = [_on_one_line(one) for one in item.items]
    if any(part is None for part in parts):
        return None
    return item.opening + ", ".join(part for part in parts if part is not None) + item.closing


def _split(literal: str, indent: int) -> str:
    """A string that is too long for a line, as several; anything else as it is."""
    if literal[:1] not in {'"', "'"}:
        return literal
    mark, inner = literal[0], literal[1:-1]
    pieces = _broken(inner, WIDTH - indent - 4, keep=True)
    return ("\n" + " " * indent).join(f"{mark}{piece}{mark}" for piece in pieces)


def _broken(line: str, width: int, *, keep: bool = False) -> list[str]:
    """A line as several, broken behind blanks; a word that is longer than a line stays whole.

    Args:
        line: without a line end.
        width: characters of a line at most.
        keep: whether a line ends with the blank at which it is broken.
    """
    found = []
    while len(line) > width:
        cut = line.rfind(" ", 1, width) + 1 or line.find(" ", width) + 1
        if not cut or not line[cut:].strip():
            break
        found.append(line[:cut] if keep else line[:cut].rstrip())
        line = line[cut:] if keep else line[cut:].lstrip()
    return [*found, line]


def _escaped(one: str) -> str:
    if one in _ESCAPES:
        return _ESCAPES[one]
    if one.isprintable():
        return one
    code = ord(one)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}"
