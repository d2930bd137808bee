"""The steps of a run as a graph: in mermaid's language, and as SVG for the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ailab_dataproc.drawing import Node, graph, plain
from ailab_dataproc.experiment.flows.step import Step


def mermaid(steps: Sequence[Step]) -> str:
    """A flowchart that GitHub, GitLab and notebooks draw."""
    numbers = {name: f"n{place}" for place, name in enumerate([*_sources(steps), *(one.label for one in steps)])}
    lines = ["flowchart LR"]
    lines += [f'    {numbers[name]}[("{_quoted(name)}")]' for name in _sources(steps)]
    lines += [f'    {numbers[one.label]}["{one.label}<br/>{state(one)}"]' for one in steps]
    lines += [f"    {numbers[source]} --> {numbers[made]}" for source, made in _lines(steps)]
    return "\n".join(lines) + "\n"


def picture(steps: Sequence[Step]) -> str:
    """The graph as SVG, for a page; those that ran are set off."""
    depth = dict.fromkeys(_sources(steps), 0)
    for one in steps:
        depth[one.label] = 1 + max((depth[source] for source, made in _lines(steps) if made == one.label), default=0)
    nodes = {name: Node(name, name.rpartition("/")[2], name.rpartition("/")[0]) for name in _sources(steps)}
    nodes |= {one.label: Node(one.label, one.label, state(one), f"#{one.label}", here=one.ran) for one in steps}
    columns = [[nodes[name] for name in nodes if depth[name] == column] for column in sorted({*depth.values()})]
    lines = [(source, made, f"{made} uses {source}") for source, made in _lines(steps)]
    return graph(columns, lines, f"The steps: {', '.join(one.label for one in steps)}")


def state(step: Step) -> str:
    """What became of a step, for people."""
    return f"ran, {step.record.seconds:.1f} s" if step.ran else "remembered"


def _sources(steps: Iterable[Step]) -> list[str]:
    """The versions of datasets that no step of the run has made."""
    return list(
        dict.fromkeys(source for one in steps for source, made in _lines([one]) if source not in _labels(steps))
    )


def _labels(steps: Iterable[Step]) -> set[str]:
    return {one.label for one in steps}


def _lines(steps: Iterable[Step]) -> list[tuple[str, str]]:
    found = []
    for one in steps:
        for given in one.record.inputs.values():
            named = [f"{data['name']}:{data['version']}" for data in given.data]
            found += [(source, one.label) for source in given.made_by or named]
    return list(dict.fromkeys(found))


def _quoted(text: str) -> str:
    return plain(text).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
