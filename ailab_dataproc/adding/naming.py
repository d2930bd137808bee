"""Names of columns as a dataset may have them, from whatever a file calls its columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FORBIDDEN = re.compile(r"[/.\x00-\x1f\x7f]+")
_LONGEST = 180  # characters, which leaves room for a number


def column_names(found: Sequence[str]) -> list[str]:
    """A name for each column: the file's own where it may stand; none twice."""
    names: list[str] = []
    for number, name in enumerate(found):
        plain = _FORBIDDEN.sub("_", name.strip())[:_LONGEST].strip("_" if _FORBIDDEN.search(name.strip()) else "")
        plain = plain or ("row" if number == 0 else f"column_{number + 1}")
        copy, names_so_far = 2, set(names)
        unique = plain
        while unique in names_so_far:
            unique, copy = f"{plain}_{copy}", copy + 1
        names.append(unique)
    return names


def renamed(found: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """What changes, by the file's own name; of a name that is there twice, the last one."""
    return {old: new for old, new in zip(found, names, strict=True) if old != new}
