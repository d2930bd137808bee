"""Whether backend="auto" took a right backend: one that didn't fail, and was about as fast as the fastest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from results import Result
from shown import seconds

WITHIN = 1.3  # times the fastest


@dataclass(frozen=True, slots=True)
class Verdict:
    """What "auto" took at one size, and what each backend of its ladder took there."""

    asked: Result
    times: Mapping[str, float | None]  # seconds by backend; None: it failed, or refused

    @property
    def choice(self) -> str | None:
        """The backend; None where all refused."""
        return self.asked.extra.get("choice")

    @property
    def right(self) -> bool:
        """Whether no other was faster by more than `WITHIN`; none is right where none is able."""
        able = [one for one in self.times.values() if one is not None]
        if self.asked.typical is None:
            return not able
        taken = self.times.get(str(self.choice))
        return taken is not None and taken <= WITHIN * min(able)

    def cell(self, backend: str) -> str:
        """What a backend took, for people."""
        took = self.times.get(backend)
        return seconds(took) if took is not None else "fails" if backend in self.times else ""


def verdicts(results: Sequence[Result]) -> list[Verdict]:
    """One for each result whose extra has a ladder, beside the backends of that ladder with as many rows."""
    found = []
    for asked in results:
        if "ladder" in asked.extra:
            ladder = asked.extra["ladder"].split(",")
            same = [one for one in results if (one.suite, one.rows) == (asked.suite, asked.rows)]
            times = {one.way: _seconds(one, asked) for one in same if one.way in ladder}
            found.append(Verdict(asked, times))
    return found


def _seconds(one: Result, asked: Result) -> float | None:
    """The median; of what "auto" took over its rounds, too, since they do the same."""
    if one.way == asked.extra.get("choice") and one.seconds:
        return median([*one.seconds, *asked.seconds])
    return one.typical


def sentences(found: Sequence[Verdict]) -> Iterator[str]:
    """How often it was right."""
    if found:
        right = sum(one.right for one in found)
        yield f'backend="auto" took one within {WITHIN} times the fastest in {right} of {len(found)} cases.'
