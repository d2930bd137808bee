"""The versions that one was made from, and those made from it, as a drawing of links in columns from left to right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ailab_dataproc.site.pictures.drawing import draw, plain
from ailab_dataproc.wording import cut

_STEPS = 3  # how far the drawing goes in each direction
_MANY = 8  # versions beside this one in a column
_LETTER = 6.7  # pixels, of a monospaced font of 11
_LETTERS = 30  # of a name at most
_TALL, _GAP, _BETWEEN = 38, 12, 44  # pixels: of a box, to the one below, to the next column


@dataclass(frozen=True, slots=True)
class Box:
    """A version in the drawing."""

    name: str  # name:version; of what has no room, how many there are
    href: str | None  # None where the catalog has no page of it, and for this version itself
    x: int
    y: int
    wide: int
    head: str  # the name's last part and the version
    path: str  # the other parts
    here: bool


def lineage(this: str, made_from: Mapping[str, Iterable[str]], links: Mapping[str, str]) -> str | None:
    """The drawing as SVG, for a page (its links and colours are the page's); None where nothing is beside `this`.

    Args:
        this: ``name:version`` of the page.
        made_from: for each version of the catalog, those that it was made from.
        links: for each version that has a page, its address.
    """
    before = _steps(this, made_from)
    after = _steps(this, _turned(made_from))
    columns = [*reversed(before), [this], *after]
    if len(columns) == 1:
        return None
    boxes = _placed(columns, this, links)
    lines = [
        {"d": _curve(boxes[source], boxes[made]), "told": f"{made} was made from {source}"}
        for made in boxes
        for source in dict.fromkeys(made_from.get(made, ()))
        if source in boxes and boxes[source].x < boxes[made].x
    ]
    wide = max(one.x + one.wide for one in boxes.values()) + 1
    tall = max(one.y + _TALL for one in boxes.values()) + 1
    told = f"{this}: made from {_listed(before)}; made into {_listed(after)}"
    return draw("lineage.svg.jinja", width=wide, height=tall, boxes=boxes.values(), lines=lines, told=told, tall=_TALL)


def _turned(made_from: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for made, sources in made_from.items():
        for source in sources:
            found.setdefault(source, []).append(made)
    return found


def _steps(this: str, beside: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """What is one step away, two, …; each version where it is first met."""
    found: list[list[str]] = []
    seen, latest = {this}, [this]
    while len(found) < _STEPS:
        latest = sorted({one for name in latest for one in beside.get(name, ())} - seen)
        if not latest:
            break
        seen.update(latest)
        found.append(latest)
    return found


def _placed(columns: Sequence[Sequence[str]], this: str, links: Mapping[str, str]) -> dict[str, Box]:
    """A box for each version; a column that is too long ends with how many more there are."""
    tallest = max(min(len(names), _MANY + 1) for names in columns)
    boxes: dict[str, Box] = {}
    x = 1
    for names in columns:
        more = len(names) - _MANY if len(names) > _MANY + 1 else 0
        shown = {name: _words(name) for name in (names[:_MANY] if more else names)}
        if more:
            shown[f"{more:,} more beside {names[0]}"] = (f"and {more:,} more", "")
        wide = round(max(len(text) for words in shown.values() for text in words) * _LETTER) + 18
        y = 1 + (tallest - len(shown)) * (_TALL + _GAP) // 2
        for name, (head, path) in shown.items():
            href = None if name == this else links.get(name)
            boxes[name] = Box(name, href, x, y, wide, head, path, here=name == this)
            y += _TALL + _GAP
        x += wide + _BETWEEN
    return boxes


def _words(name: str) -> tuple[str, str]:
    path, _, head = plain(name).rpartition("/")
    return cut(head, _LETTERS), cut(path, _LETTERS)


def _curve(source: Box, made: Box) -> str:
    x, y = source.x + source.wide, source.y + _TALL // 2
    end, level = made.x - 5, made.y + _TALL // 2
    middle = (x + end) // 2
    return f"M{x} {y}C{middle} {y} {middle} {level} {end} {level}"


def _listed(steps: Sequence[Sequence[str]]) -> str:
    if not steps:
        return "no other version"
    more = len(steps[0]) - _MANY
    return ", ".join(steps[0][:_MANY]) + (f" and {more:,} more" if more > 0 else "")
