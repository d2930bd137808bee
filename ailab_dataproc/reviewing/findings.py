"""What a review finds: where, what, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a colleague would say."""

    severity: str  # error: others can't rely on the dataset; warning: it could be better
    where: str  # a file's line, a column, a split, an argument
    what: str  # was found; never a value of the data
    advice: str  # what to do


@dataclass(frozen=True, slots=True)
class Review:
    """All that was found."""

    dataset: str  # name:version
    findings: Sequence[Finding]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return Counter(one.severity for one in self.findings)[ERROR]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        warnings = len(self.findings) - self.errors
        found = [asdict(one) for one in self.findings]
        return {"dataset": self.dataset, "errors": self.errors, "warnings": warnings, "findings": found}

    def __str__(self) -> str:
        if not self.findings:
            return f"{self.dataset}: nothing found"
        warnings = len(self.findings) - self.errors
        counts = [(self.errors, "error"), (warnings, "warning")]
        told = ", ".join(f"{count} {kind}{'s' * (count != 1)}" for count, kind in counts if count)
        return f"{self.dataset}: {told}"


def error(where: str, what: str, advice: str) -> Finding:
    """Something that must change."""
    return Finding(ERROR, where, what, advice)


def warning(where: str, what: str, advice: str) -> Finding:
    """Something that should change."""
    return Finding(WARNING, where, what, advice)
