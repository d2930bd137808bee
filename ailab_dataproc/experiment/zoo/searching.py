"""search: entries by words, task, dataset, metrics, kind and owner."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ailab_dataproc.errors import InvalidRequest, unknown
from ailab_dataproc.experiment.reaching import asking, knock, mlflow
from ailab_dataproc.experiment.zoo.entries import KINDS, TEXT, Entry, folded, of_version
from ailab_dataproc.experiment.zoo.registry import pages
from ailab_dataproc.references import Reference

_BOUND = re.compile(r"\s*(?P<name>[\w./ -]+?)\s*(?P<sign>>=|<=|==|=|>|<)\s*(?P<value>[-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "==": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Bound:
    """What a metric has to be."""

    name: str
    sign: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Bound:
        """Read ``auc>0.7``.

        Raises:
            InvalidRequest: it is something else.
        """
        found = _BOUND.fullmatch(text) if isinstance(text, str) else None
        try:
            return cls(found["name"], found["sign"], float(found["value"])) if found else cls._refuse(text)
        except ValueError:
            return cls._refuse(text)

    @staticmethod
    def _refuse(text: object) -> Bound:
        raise InvalidRequest(f"metric {text!r:.60}: wanted a name, one of > >= < <= = and a number, such as 'auc>0.7'.")

    def holds(self, entry: Entry) -> bool:
        """Whether an entry has the metric, and so much of it."""
        return self.name in entry.metrics and _SIGNS[self.sign](entry.metrics[self.name], self.value)


def search(  # noqa: PLR0913 - all but the words have a name and a default
    words: str = "",
    *,
    task: str | None = None,
    dataset: str | None = None,
    metric: str | Sequence[str] = (),
    kind: str | None = None,
    owner: str | None = None,
    limit: int = 20,
    all_versions: bool = False,
) -> list[Entry]:
    """Entries that fit all that is asked.

    Args:
        words: all of them stand in name, card, task, tags or the datasets' names; also parts of words, in any case,
            also Japanese.
        task: exactly this one.
        dataset: ``name``, ``name:1.2.0`` or ``name:1.*`` of one of its data.
        metric: ``"auc>0.7"``, or several; the first one orders the results, the best first.
        kind: ``"model"``, ``"notebook"`` or ``"pipeline"``.
        owner: exactly this person or team.
        limit: entries at most.
        all_versions: whether to give all versions of a name that fit, not only the first of them.

    Returns:
        The best first where a metric is bounded by > or <, else the newest first.

    Raises:
        InvalidRequest: a bound, a dataset or a limit can't be read.
        TrackingFailed: the server is down, or refuses.
    """
    bounds = [Bound.parse(one) for one in ([metric] if isinstance(metric, str) else metric)]
    wanted = Reference.parse(dataset) if dataset else None
    if kind is not None and kind not in KINDS:
        raise unknown("kind", kind, KINDS, where="search")
    if limit < 1:
        raise InvalidRequest(f"search: limit={limit}, wanted at least 1.")
    asked = folded(words).split()
    exact = {"task": task, "kind": kind, "owner": owner}

    def fits(entry: Entry, text: str) -> bool:
        return (
            all(one in text for one in asked)
            and all(value is None or folded(getattr(entry, key)) == folded(value) for key, value in exact.items())
            and all(one.holds(entry) for one in bounds)
            and (
                wanted is None or any(one.dataset == wanted.name and wanted.matches(one.version) for one in entry.data)
            )
        )

    client = mlflow().MlflowClient()
    knock("search")
    with asking("search"):
        versions = [(of_version(one), one.tags.get(TEXT, "")) for one in pages(client, _question(asked))]
        found = _ordered([entry for entry, text in versions if entry and fits(entry, text)], bounds)
        if not all_versions:
            found = list({one.name: one for one in reversed(found)}.values())[::-1]
            found = _ordered(found, bounds)
        return [_with_aliases(client, one) for one in found[:limit]]


def _question(words: Sequence[str]) -> str:
    """What narrows the search down on the server; `fits` looks again.

    LIKE knows no escape there: what isn't a letter or a digit becomes _, which stands for any character.
    """
    patterns = ["".join(letter if letter.isalnum() else "_" for letter in one) for one in words]
    return " AND ".join(f"tags.{TEXT} LIKE '%{one}%'" for one in patterns)


def _ordered(found: list[Entry], bounds: Sequence[Bound]) -> list[Entry]:
    newest = sorted(found, key=lambda one: (one.pushed, int(one.version)), reverse=True)
    if not bounds or bounds[0].sign in ("=", "=="):
        return newest
    name, high = bounds[0].name, bounds[0].sign.startswith(">")
    return sorted(newest, key=lambda one: one.metrics[name], reverse=high)


def _with_aliases(client: object, entry: Entry) -> Entry:
    aliases = client.get_registered_model(entry.name).aliases  # type: ignore[attr-defined]
    return replace(entry, aliases=tuple(sorted(key for key, value in aliases.items() if str(value) == entry.version)))
