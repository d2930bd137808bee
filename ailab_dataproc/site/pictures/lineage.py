"""The versions that one was made from, and those made from it, as a drawing of links in columns from left to right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ailab_dataproc.drawing import Node, graph, plain

_STEPS = 3  # how far the drawing goes in each direction
_MANY = 8  # versions beside this one in a column


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
    boxes = [_nodes(names, this, links) for names in columns]
    lines = [
        (source, made, f"{made} was made from {source}")
        for made in (name for names in columns for name in names)
        for source in dict.fromkeys(made_from.get(made, ()))
    ]
    return graph(boxes, lines, f"{this}: made from {_listed(before)}; made into {_listed(after)}")


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


def _nodes(names: Sequence[str], this: str, links: Mapping[str, str]) -> list[Node]:
    """A box for each version of a column; one that is too long ends with how many more there are."""
    more = len(names) - _MANY if len(names) > _MANY + 1 else 0
    found = []
    for name in names[:_MANY] if more else names:
        path, _, head = plain(name).rpartition("/")
        found.append(Node(name, head, path, None if name == this else links.get(name), here=name == this))
    return [*found, Node(f"{more:,} more beside {names[0]}", f"and {more:,} more")] if more else found


def _listed(steps: Sequence[Sequence[str]]) -> str:
    if not steps:
        return "no other version"
    more = len(steps[0]) - _MANY
    return ", ".join(steps[0][:_MANY]) + (f" and {more:,} more" if more > 0 else "")
