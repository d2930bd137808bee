"""References: `name`, `name:1.2.0`, `name:1.2.*`. A pattern stands for the newest prepared version that it matches."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from ailab_dataproc.dataset import check_name
from ailab_dataproc.errors import InvalidRequest, UnknownName, unknown

_PART = r"(?:0|[1-9][0-9]*)"
_EXACT = re.compile(rf"{_PART}\.{_PART}\.{_PART}")
# As TFDS has it, with a * for each part; a last * stands for all parts that follow.
_PATTERN = re.compile(rf"(?:(?:{_PART}|\*)\.){{0,2}}\*|(?:(?:{_PART}|\*)\.){{2}}{_PART}")
_PARTS = 3
_LONGEST = 32  # characters of what may be a version
_SHOWN = 8  # versions that an error names


@dataclass(frozen=True, slots=True)
class Reference:
    """A dataset, and which of its versions are meant."""

    name: str
    version: str = ""  # 1.2.0, or a pattern such as 1.2.*; empty: any

    @classmethod
    def parse(cls, text: str, version: str | None = None, there: Sequence[str] = ()) -> Self:
        """Read ``name``, ``name:1.2.0`` or ``name:1.*``.

        Args:
            text: what a user wrote.
            version: another way to give the part behind the colon.
            there: versions that an error names.

        Raises:
            InvalidDefinition: it can't be a dataset's name.
            InvalidRequest: the version is neither one nor a pattern, or two are given.
        """
        name, behind = split(text)
        if version is not None and behind is not None and version != behind:
            raise InvalidRequest(f"{name}: version={version!r}, but the name says {behind!r}. Leave out one of them.")
        wanted = version if version is not None else behind
        if wanted is None:
            return cls(name)
        if not isinstance(wanted, str) or not (_EXACT.fullmatch(wanted) or _PATTERN.fullmatch(wanted)):
            what = "isn't major.minor.patch such as 1.2.0, nor a pattern such as 1.2.* or 1.*."
            told = [f"{name}: version {wanted!r:.42} {what}", _advice(wanted), *([listed(there)] if there else [])]
            raise InvalidRequest(" ".join(told))
        return cls(name, wanted)

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for some versions of which the newest is meant."""
        return "*" in self.version

    @property
    def is_exact(self) -> bool:
        """Whether it names one version."""
        return bool(self.version) and not self.is_pattern

    def matches(self, version: str) -> bool:
        """Whether a version is among those that are meant."""
        parts = self.version.split(".") if self.version else ["*"]
        parts += ["*"] * (_PARTS - len(parts))
        return all(part in ("*", one) for part, one in zip(parts, version.split("."), strict=True))

    def choose(self, versions: Sequence[str], avoid: Collection[str] = ()) -> str:
        """The newest version that is meant, and one to avoid only where there is no other.

        Args:
            versions: those that exist, one at least, in any order.
            avoid: those that are deprecated.

        Raises:
            UnknownName: none of them is meant.
        """
        found = sorted((one for one in versions if self.matches(one)), key=number)
        if not found and self.is_exact:
            raise unknown("version", self.version, versions, where=self.name)
        if not found:
            raise UnknownName(f"{self.name}: no version matches {self.version!r}. {listed(versions)}")
        return next((one for one in reversed(found) if one not in avoid), found[-1])

    def __str__(self) -> str:
        return f"{self.name}:{self.version}" if self.version else self.name


def split(text: str) -> tuple[str, str | None]:
    """The name, checked, and what stands behind the colon; None where there is no colon."""
    name, colon, behind = text.partition(":") if isinstance(text, str) else (text, "", "")
    check_name(name)
    return name, behind if colon else None


def number(version: str) -> tuple[int, ...]:
    """What versions are ordered by: 1.10.0 is newer than 1.9.0."""
    return tuple(int(part) for part in version.split("."))


def listed(versions: Sequence[str]) -> str:
    """Those that are there, the newest first."""
    names = sorted(versions, key=number, reverse=True)
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return f"There is: {', '.join(names[:_SHOWN])}{more}." if names else ""


def _advice(wanted: object) -> str:
    """What fingers meant that typed v1.2.0, 1.2 or 1.x."""
    text = wanted[:_LONGEST] if isinstance(wanted, str) else ""
    plain = re.sub(r"[xX]", "*", text.strip().removeprefix("v").removeprefix("=="))
    if _EXACT.fullmatch(plain) or _PATTERN.fullmatch(plain):
        return f"Write {plain}."
    if len(text) < _LONGEST and re.fullmatch(rf"{_PART}(\.{_PART})?", plain):
        exact = ".".join([plain, *["0"] * (_PARTS - 1 - plain.count("."))])
        return f"Write {exact} for that one, {plain}.* for the newest of them."
    return "For the newest version leave it out."
