"""Filling in templates: all text is escaped, and what XML can't hold is replaced."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

_JOINERS = "\u200c\u200d"  # they shape letters and emoji, and can't be seen by themselves


def draw(file: Path, **given: Any) -> str:
    """The text of a picture or a page.

    Args:
        file: the template, such as ``histogram.svg.jinja``.
        **given: what it shows.
    """
    return template(file).render(given)


def plain(text: str) -> str:
    """A text for a picture: on one line, with a mark for each control character and each mark of direction."""
    return "".join(one if one.isprintable() or one in _JOINERS else "\ufffd" for one in " ".join(text.split()))


def template(file: Path) -> jinja2.Template:
    """The template of a file."""
    return _environment(file.parent).get_template(file.name)


@cache
def _environment(folder: Path) -> jinja2.Environment:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plain"] = plain
    return made
