"""A figure of Matplotlib as SVG inside a page: with the page's text, for dark pages too, under a strict CSP."""

from __future__ import annotations

import html
import io
import re
from typing import Any

# What figures are drawn with; on a page, text has its colour, and the style sheet knows the others.
TEXT, GRID, PAGE = "#1b1e28", "#c3c7d1", "#fdfdfe"
# Okabe and Ito's colours without yellow and black, each with a marker: readable without telling colours apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07d00", "#3a9ad9", "#8c6bb1", "#7f7f7f")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SETTINGS = {
    "svg.fonttype": "none",
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "font.size": 10,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def inline(figure: Any, name: str, title: str, alt: str) -> str:
    """The figure as an element for a page.

    Args:
        figure: of Matplotlib, drawn with `SETTINGS`.
        name: goes before every id, so that ids of several figures differ.
        title: of the picture.
        alt: what a person who doesn't see it should know.
    """
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<defs>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'style="([^"]*)"', lambda found: _attributes(found[1]), text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace(TEXT, "currentColor")
    box = re.search(r'viewBox="[^"]*"', text)
    wide = figure.get_size_inches()[0]
    kind = ' class="narrow"' if wide < 7 else ' class="wide"' if wide > 10 else ""
    start = f'<svg{kind} {box[0] if box else ""} role="img" aria-labelledby="{name}-t {name}-d">'
    told = f'<title id="{name}-t">{html.escape(title)}</title><desc id="{name}-d">{html.escape(alt)}</desc>'
    return start + told + text[text.index(">") + 1 :].strip()


def _attributes(style: str) -> str:
    """A style as attributes: a page with a strict CSP takes no style attribute."""
    parts = []
    for one in style.split(";"):
        key, _, value = (part.strip() for part in one.partition(":"))
        if key == "font":
            size = re.search(r"([0-9.]+)px", value)
            parts.append(f'font-size="{size[1] if size else 10}"')
            parts += ['font-weight="bold"'] if "bold" in value or "700" in value else []
        elif key and key not in ("font-family", "-inkscape-font-specification"):
            parts.append(f'{key}="{value}"')
    return " ".join(parts)
