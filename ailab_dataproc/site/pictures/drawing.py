"""Filling in the templates of pictures: all text is escaped, and what XML can't hold is replaced."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

_JOINERS = "\u200c\u200d"  # they shape letters and emoji, and can't be seen by themselves
_HERE = Path(__file__).parent


def draw(template: str, **given: Any) -> str:
    """The text of a picture.

    Args:
        template: a file beside this one, such as ``histogram.svg.jinja``.
        **given: what it shows.
    """
    return _environment().get_template(template).render(given)


def plain(text: str) -> str:
    """A text for a picture: on one line, with a mark for each control character and each mark of direction."""
    return "".join(one if one.isprintable() or one in _JOINERS else "\ufffd" for one in " ".join(text.split()))


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plain"] = plain
    return made
