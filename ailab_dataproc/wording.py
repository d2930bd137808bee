"""Numbers and values of data as short text for people: in the terminal and on pages."""

from __future__ import annotations

from typing import Any

_LONGEST = 40  # characters of a value that stands for a number, such as a time


def share(part: int, whole: int) -> str:
    """A part of a whole in percent."""
    found = part / whole
    return f"{found:.1%}" if found >= 0.001 else "< 0.1%"


def number(one: Any) -> str:
    """What statistics tell of an amount: a number with six digits at most, or a time."""
    if isinstance(one, bool):
        return value(one)
    if isinstance(one, int):
        return f"{one:,}"
    return f"{one:,.6g}" if isinstance(one, float) else cut(value(one), _LONGEST)


def value(one: Any) -> str:
    """A value on one line; a text without anything to see is quoted."""
    if isinstance(one, str):
        return " ".join(one.split()) if one.strip() else repr(one)
    return str(one).lower() if isinstance(one, bool) else f"{one:,}" if isinstance(one, int) else f"{one:,.6g}"


def cut(text: str, room: int) -> str:
    """A text that takes so many columns at most."""
    from rich.text import Text

    short = Text(text)
    short.truncate(room, overflow="ellipsis")
    return short.plain
