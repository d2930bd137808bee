"""A graph as SVG: boxes in columns from left to right, and a curve from each to those that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ailab_dataproc.drawing.templates import draw, plain
from ailab_dataproc.wording import cut

_LETTER = 6.7  # pixels, of a monospaced font of 11
_LETTERS = 30  # of a line at most
_TALL, _GAP, _BETWEEN = 38, 12, 44  # pixels: of a box, to the one below, to the next column
_TEMPLATE = Path(__file__).with_name("graph.svg.jinja")


@dataclass(frozen=True, slots=True)
class Node:
    """A box of the graph."""

    name: str  # all of it, which no other has
    head: str  # its first line
    path: str = ""  # its second line
    href: str | None = None
    here: bool = False  # whether it is set off


@dataclass(frozen=True, slots=True)
class _Box:
    node: Node
    x: int
    y: int
    wide: int
    head: str
    path: str


def graph(columns: Sequence[Sequence[Node]], lines: Iterable[tuple[str, str, str]], told: str) -> str:
    """The drawing, for a page: its links and colours are the page's.

    Args:
        columns: the boxes, from left to right and from above.
        lines: the names of two boxes, and what is said of them; those that would lead to the left are left out.
        told: what a screen reader says.
    """
    boxes = _placed(columns)
    drawn = [
        (_curve(boxes[source], boxes[made], boxes.values()), words)
        for source, made, words in lines
        if source in boxes and made in boxes and boxes[source].x < boxes[made].x
    ]
    wide = max(one.x + one.wide for one in boxes.values()) + 1
    tall = max([one.y + _TALL for one in boxes.values()] + [lane for (_, lane), _ in drawn]) + 1
    given = [{"d": d, "told": words} for (d, _), words in drawn]
    return draw(_TEMPLATE, width=wide, height=tall, boxes=boxes.values(), lines=given, told=told, tall=_TALL)


def _placed(columns: Sequence[Sequence[Node]]) -> dict[str, _Box]:
    tallest = max(map(len, columns))
    boxes: dict[str, _Box] = {}
    x = 1
    for nodes in columns:
        shown = [(one, cut(plain(one.head), _LETTERS), cut(plain(one.path), _LETTERS)) for one in nodes]
        wide = round(max(len(text) for _, *texts in shown for text in texts) * _LETTER) + 18
        y = 1 + (tallest - len(nodes)) * (_TALL + _GAP) // 2
        for node, head, path in shown:
            boxes[node.name] = _Box(node, x, y, wide, head, path)
            y += _TALL + _GAP
        x += wide + _BETWEEN
    return boxes


def _curve(source: _Box, made: _Box, boxes: Iterable[_Box]) -> tuple[str, int]:
    """The path of a line, and how far down it goes; one that passes other columns goes where no box is."""
    x, y = source.x + source.wide, source.y + _TALL // 2
    end, level = made.x - 5, made.y + _TALL // 2
    between = [one.y for one in boxes if source.x < one.x < made.x]
    if not between:
        middle = (x + end) // 2
        return f"M{x} {y}C{middle} {y} {middle} {level} {end} {level}", max(y, level)
    row = (_TALL + _GAP) // 2
    free = [way for way in (level, y, *(y + row * step for step in range(1, 20))) if not _hits(way, between)]
    lane = min(free, key=lambda way: abs(way - y) + abs(way - level), default=y)
    first, last = x + _BETWEEN, end - _BETWEEN + 5
    bent = f"C{x + _BETWEEN // 2} {y} {x + _BETWEEN // 2} {lane} {first} {lane}L{last} {lane}"
    return f"M{x} {y}{bent}C{last + _BETWEEN // 2} {lane} {last + _BETWEEN // 2} {level} {end} {level}", lane


def _hits(way: int, tops: Iterable[int]) -> bool:
    return any(top - 3 < way < top + _TALL + 3 for top in tops)
