"""Pictures and pages from templates: all text is escaped, and follows the colours of the page."""

from __future__ import annotations

from ailab_dataproc.drawing.graph import Node, graph
from ailab_dataproc.drawing.templates import draw, plain, template

__all__ = ["Node", "draw", "graph", "plain", "template"]
