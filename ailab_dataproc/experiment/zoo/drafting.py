"""What would be pushed: files, card, metrics and data, all looked at before anything is sent."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ailab_dataproc import storage
from ailab_dataproc.errors import InvalidRequest, unknown
from ailab_dataproc.experiment.finding import data_of
from ailab_dataproc.experiment.reaching import mlflow
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.experiment.zoo import cards
from ailab_dataproc.experiment.zoo.cards import CARD, Card
from ailab_dataproc.experiment.zoo.entries import KINDS
from ailab_dataproc.experiment.zoo.files import Gathered, gather
from ailab_dataproc.experiment.zoo.registry import check_name
from ailab_dataproc.settings import load_settings

Files = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
_METRIC = re.compile(r"[\w./ -]{1,200}")
_REFERENCE = re.compile(r"(?P<name>[^\[\]]+?)(?:\[(?P<split>.+)\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry before it is sent."""

    name: str
    kind: str
    card: Card
    tags: tuple[str, ...]
    metrics: Mapping[str, float]
    data: tuple[tuple[str, Used], ...]  # by what they were for
    run_id: str  # empty: one is made
    gathered: Gathered | None  # None: the files stay where they are
    location: str = ""  # of files that stay where they are


def draft(  # noqa: PLR0913 - what `push` takes
    files: Files,
    name: str,
    *,
    kind: str,
    task: str | None,
    metrics: Mapping[str, float] | None,
    data: Any,
    card: str | os.PathLike[str] | None,
    run: Any,
    tags: Sequence[str],
    also: Sequence[str],
    by_reference: bool,
) -> Draft:
    """Look at all that `push` was given; see there."""
    check_name(name)
    if kind not in KINDS:
        raise unknown("kind", str(kind), KINDS, where=f"model {name}")
    gathered, location = (None, _place(files)) if by_reference else (gather(files, also), "")
    found = cards.read(card if card is not None else _card_of(files, gathered, location), task)
    run_id = _run(run)
    return Draft(
        name=name,
        kind=kind,
        card=found,
        tags=tuple(dict.fromkeys([*found.tags, *_tags(name, tags)])),
        metrics=_metrics(name, metrics or {}),
        data=_data(name, kind, data, run_id),
        run_id=run_id,
        gathered=gathered,
        location=location,
    )


def _place(files: Files) -> str:
    """The folder or URL of files that stay where they are."""
    if not isinstance(files, str | os.PathLike):
        raise InvalidRequest("by_reference=True: several files were given, wanted the folder or URL that has them.")
    place = storage.folder(files)
    if place.is_local and not os.path.isdir(place.url):
        raise InvalidRequest(f"{place.url}: there is no such folder. Give the folder to register.")
    return place.url


def _card_of(files: Files, gathered: Gathered | None, location: str) -> str | Path:
    """The card among the files."""
    if gathered:
        if CARD not in gathered.paths:
            raise cards.missing(str(files) if isinstance(files, str | os.PathLike) else "files")
        return gathered.paths[CARD]
    place = storage.folder(location, load_settings().storage_options)
    with storage.explained(location, "read"):
        if not place.exists(CARD):
            raise cards.missing(location)
        return place.read(CARD).decode("utf-8", "replace") + "\n"


def _tags(name: str, tags: Sequence[str]) -> Sequence[str]:
    if isinstance(tags, str) or not all(isinstance(one, str) and one and "," not in one for one in tags):
        raise InvalidRequest(f"model {name}: tags={tags!r:.80}, wanted a list of words such as ['ctr', 'japanese'].")
    return tags


def _metrics(name: str, metrics: Mapping[str, float]) -> dict[str, float]:
    found = {}
    for key, value in metrics.items():
        if not isinstance(key, str) or not _METRIC.fullmatch(key):
            raise InvalidRequest(
                f"model {name}: metric {key!r:.60}, wanted letters, digits, '_', '-', '.', ' ' and '/'."
            )
        try:
            found[key] = math.nan if isinstance(value, bool | str) else float(value)
        except (TypeError, ValueError):
            found[key] = math.nan
        if not math.isfinite(found[key]):
            raise InvalidRequest(f"model {name}: metric {key} is {value!r:.60}, wanted a finite number. Leave it out.")
    return found


def _run(run: Any) -> str:
    """The id of the run that is meant; empty where there is none."""
    if run is None:
        run = mlflow().active_run()
    found = getattr(getattr(run, "info", None), "run_id", run)
    if found is not None and (not isinstance(found, str) or not found):
        raise InvalidRequest(f"run={run!r:.80}, wanted a run of MLflow or its id. Leave it out for the active one.")
    return found or ""


def _data(name: str, kind: str, data: Any, run_id: str) -> tuple[tuple[str, Used], ...]:
    """The data with what they were for; those of the run where none are given."""
    if data is None:
        found = _of_run(run_id) if run_id else ()
        if not found and kind == "model":
            raise InvalidRequest(
                f"model {name}: which data was it trained on? Give data='name:version[split]' or what load returned "
                "(--data), or data=[] (--no-data) where no prepared dataset was used."
            )
        return found
    if isinstance(data, Mapping):
        pairs = [(str(context), one) for context, given in data.items() for one in _several(given)]
    else:
        pairs = [("train", one) for one in _several(data)]
    return tuple((context, used(one)) for context, one in pairs)


def _of_run(run_id: str) -> tuple[tuple[str, Used], ...]:
    contexts = ["train", "test", "validation", "eval"]
    named = [(context, one) for context in contexts for one in data_of(run_id, context=context)]
    seen = {one.digest for _, one in named}
    return (*named, *(("", one) for one in data_of(run_id) if one.digest not in seen))


def _several(data: Any) -> Sequence[Any]:
    return data if isinstance(data, list | tuple) else [data]


def used(data: Any) -> Used:
    """`Used.of`, which takes ``name:version[split]`` too."""
    if not isinstance(data, str):
        return Used.of(data)
    found = _REFERENCE.fullmatch(data.strip())
    if not found:
        raise InvalidRequest(f"data {data!r:.80}: wanted name:version or name:version[split].")
    return Used.of(found["name"], split=found["split"] or "all")
