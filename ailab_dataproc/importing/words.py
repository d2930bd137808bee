"""What others say of the data that they have saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Texts and features that come with files."""

    description: str = ""
    citation: str = ""
    license: str = ""
    homepage: str = ""
    features: Mapping[str, Any] = field(default_factory=dict)  # by column, as Hugging Face has them


def text(value: Any) -> str:
    """A text of somebody's YAML or JSON, where several may stand."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(text, value)))
    return value.strip() if isinstance(value, str) else ""
