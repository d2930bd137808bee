"""An item of work in words, for the errors of all engines."""

from __future__ import annotations

from typing import Any


def spoken(item: Any) -> str:
    """An item in words: its label, and the sources that it reads."""
    urls = [source.url for source in getattr(item, "sources", ())]
    shown = ", ".join(urls[:3]) + (f" and {len(urls) - 3} more" if len(urls) > 3 else "")
    return f"task {item.label}" + (f" ({shown})" if shown else "")
