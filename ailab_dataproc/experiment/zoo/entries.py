"""What the registry says of a version: an entry, to and from the tags that MLflow keeps."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ailab_dataproc.experiment.used import Used
from ailab_dataproc.experiment.zoo.cards import joined

KINDS = ("model", "notebook", "pipeline")
TEXT = "text"  # the tag that words are looked for in
_TEXT = 50_000  # characters of it; a version's tag takes 100,000
_LONGEST = 2_000  # characters of any other tag
_METRIC, _DATA = "metric.", "data."


@dataclass(frozen=True, slots=True, kw_only=True)
class Datum:
    """A dataset that an entry was made from, or judged on."""

    context: str  # what it was for, such as train or test
    dataset: str
    version: str
    split: str
    digest: str  # the same as of the run's input

    @classmethod
    def of(cls, context: str, used: Used) -> Datum:
        """Of data that were used."""
        return cls(context=context, dataset=used.name, version=used.version, split=used.split, digest=used.digest)

    @property
    def reference(self) -> str:
        """``name:version``."""
        return f"{self.dataset}:{self.version}"

    def __str__(self) -> str:
        return f"{self.reference} {self.split}" + (f" ({self.context})" if self.context else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A version of a model, a notebook or a pipeline in the registry."""

    name: str
    version: str
    kind: str
    task: str
    title: str
    summary: str
    tags: tuple[str, ...]
    license: str
    language: tuple[str, ...]
    owner: str
    metrics: Mapping[str, float]
    data: tuple[Datum, ...]
    files: int
    bytes: int
    run_id: str
    model_id: str  # of MLflow's logged model, which has the files
    manifest: str  # the checksum of its manifest
    location: str  # of the files where they were not uploaded
    aliases: tuple[str, ...] = ()
    pushed: str = ""  # ISO 8601, UTC

    @property
    def uri(self) -> str:
        """``models:/name/version``, as MLflow writes it."""
        return f"models:/{self.name}/{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**dataclasses.asdict(self), "metrics": dict(self.metrics), "uri": self.uri}


def to_tags(entry: Entry, text: str) -> dict[str, str]:
    """The tags of a version.

    Args:
        entry: what they tell.
        text: the card.
    """
    plain = ("kind", "task", "title", "summary", "license", "owner", "run_id", "model_id", "manifest", "location")
    found = {key: str(getattr(entry, key)) for key in plain}
    found |= {"tags": ", ".join(entry.tags), "language": ", ".join(entry.language)}
    found |= {"files": str(entry.files), "bytes": str(entry.bytes)}
    found |= {f"{_METRIC}{key}": repr(value) for key, value in entry.metrics.items()}
    for place, one in enumerate(entry.data):
        found[f"{_DATA}{place}"] = f"{one.reference} {one.split} {one.digest} {one.context}".strip()
    words = [entry.name, entry.title, entry.task, entry.kind, entry.summary, *entry.tags, entry.owner]
    words += [one.reference for one in entry.data]
    found[TEXT] = folded("\n".join([*words, text]))[:_TEXT]
    return {key: value if key == TEXT else value[:_LONGEST] for key, value in found.items() if value}


def of_version(found: Any, aliases: Sequence[str] = ()) -> Entry | None:
    """The entry of a version of MLflow's registry; None where something else than `push` made it."""
    tags = found.tags
    if not {"kind", "task", "model_id", "manifest"} <= tags.keys():
        return None
    data = sorted((key for key in tags if re.fullmatch(r"data\.\d+", key)), key=lambda key: int(key[len(_DATA) :]))
    return Entry(
        name=found.name,
        version=str(found.version),
        **{key: tags.get(key, "") for key in ("kind", "task", "title", "summary", "license", "owner")},
        **{key: tags.get(key, "") for key in ("run_id", "model_id", "manifest", "location")},
        tags=_listed(tags.get("tags", "")),
        language=_listed(tags.get("language", "")),
        metrics={key[len(_METRIC) :]: float(tags[key]) for key in sorted(tags) if key.startswith(_METRIC)},
        data=tuple(_datum(tags[key]) for key in data),
        files=int(tags.get("files", 0)),
        bytes=int(tags.get("bytes", 0)),
        aliases=tuple(aliases),
        pushed=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
    )


def folded(text: str) -> str:
    """Text as it is compared: NFKC, without case, and without line ends between letters of East Asia."""
    return joined(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()))


def _datum(text: str) -> Datum:
    reference, split, digest, context = [*text.split(" ", 3), ""][:4]
    dataset, _, version = reference.partition(":")
    return Datum(context=context, dataset=dataset, version=version, split=split, digest=digest)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(one for one in text.split(", ") if one)
