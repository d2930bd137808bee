"""Arguments of a step: the datasets and models that texts name, and the earlier steps that values come from."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import InvalidDefinition, InvalidRequest, NotPrepared, UnknownName
from ailab_dataproc.experiment.flows.step import Step
from ailab_dataproc.experiment.reaching import asking, knock, mlflow
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.planning import Plan
from ailab_dataproc.references import Reference
from ailab_dataproc.report import Report
from ailab_dataproc.settings import Settings

_ALIAS = re.compile(r"models:/([^/@]+)@([^/@]+)")
_LONGEST = 260  # characters of what may name a version
_LOOKED_AT = 1000  # items of a list
_SHARED = 256  # Python has one object for each number up to this


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """Looks up what texts name."""

    settings: Settings

    def token(self, text: str) -> str | None:
        """The token of the version of a dataset or a model that a text names; None of any other text.

        Raises:
            TrackingFailed: it names a model by an alias, and the registry doesn't tell which that is now.
        """
        if text.startswith("models:/") and (found := _ALIAS.fullmatch(text)):
            return f"str 'models:/{found[1]}/{_version(found[1], found[2])}'"
        used = self.data(text)
        return f"data {used.reference} {used.digest}" if used else None

    def data(self, text: str) -> Used | None:
        """The prepared version that a text names, ``name:1.0.0``, ``name:1.*`` or ``folder/name``; else None."""
        if len(text) > _LONGEST or not (":" in text or "/" in text):
            return None
        try:
            Reference.parse(text)
            return Used.of(text, settings=self.settings)
        except (InvalidDefinition, InvalidRequest, NotPrepared, UnknownName):
            return None  # some other text

    def all_data(self, value: Any) -> list[Used]:
        """The versions that a value names or holds."""
        found = [self.data(one) if isinstance(one, str) else Used.of(one) for one in _leaves(value) if _names(one)]
        return [one for one in found if one]


def _version(name: str, alias: str) -> str:
    """The version of a registered model that has an alias now."""
    what = f"model {name}@{alias}"
    knock(what)
    with asking(what):
        return str(mlflow().MlflowClient().get_model_version_by_alias(name, alias).version)


@dataclasses.dataclass(slots=True)
class Makers:
    """Which steps values come from: by the folder of a path, the version of a dataset, and by which object it is."""

    root: Path
    _made: dict[int, tuple[Any, str]] = dataclasses.field(default_factory=dict)  # the objects are held, so ids last

    _prepared: dict[str, str] = dataclasses.field(default_factory=dict)  # the step by name:version

    def add(self, step: Step, data: Iterable[Used]) -> None:
        """Remember what a step returned, what that holds, and the data that it names."""
        self._prepared |= {one.reference: step.label for one in data}
        for one in _leaves(step.result):
            self._made.setdefault(id(one), (one, step.label))

    def of(self, value: Any, data: Iterable[Used], steps: Iterable[Step]) -> list[str]:
        """The labels of the steps that a value comes from, or that prepared the data that it names."""
        keys = {(one.record.step, one.record.key): one.label for one in steps}
        found = [self._maker(one, keys) for one in _leaves(value)]
        found += [self._prepared.get(one.reference, "") for one in data]
        return list(dict.fromkeys(label for label in found if label))

    def _maker(self, one: Any, keys: Mapping[tuple[str, str], str]) -> str:
        if isinstance(one, Path) and one.absolute().is_relative_to(self.root):
            parts = one.absolute().relative_to(self.root).parts
            return keys.get((parts[0], parts[1]), "") if len(parts) > 1 else ""
        shared = one is None or (isinstance(one, int) and abs(one) <= _SHARED)
        return "" if shared else self._made.get(id(one), (None, ""))[1]


def _names(one: Any) -> bool:
    return isinstance(one, str | Plan | Report | Used)


def _leaves(value: Any) -> Iterator[Any]:
    """A value and what it holds, for people: of long lists the beginning."""
    yield value
    if isinstance(value, Mapping):
        for one in itertools.islice(value.values(), _LOOKED_AT):
            yield from _leaves(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in itertools.islice(value, _LOOKED_AT):
            yield from _leaves(one)
    elif dataclasses.is_dataclass(value) and not _names(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _leaves(getattr(value, field.name))
