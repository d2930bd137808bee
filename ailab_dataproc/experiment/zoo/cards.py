"""Model cards: a README.md whose YAML head names task, tags, license and language, as on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import InvalidRequest

CARD = "README.md"
EXAMPLE = "---\\ntask: ctr\\nsummary: What it predicts, from what.\\n---"
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^#[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
_LONGEST = 300  # characters of a summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a card says."""

    whole: str  # the file's text
    task: str
    title: str = ""
    summary: str = ""
    tags: tuple[str, ...] = ()
    license: str = ""
    language: tuple[str, ...] = ()
    owner: str = ""

    @property
    def body(self) -> str:
        """The text below the YAML."""
        front = _FRONT.match(self.whole)
        return self.whole[front.end() :] if front else self.whole


def read(card: str | os.PathLike[str], task: str | None = None) -> Card:
    """Read a card.

    Args:
        card: its path, or its text, which has more than one line.
        task: what the model does, where the card doesn't say it.

    Raises:
        InvalidRequest: there is no such file, its YAML can't be read, or it names no task, or another one.
    """
    where, whole = _text(card)
    front = _FRONT.match(whole)
    about = _yaml(where, front[1]) if front else {}
    found = Card(whole=whole, task="")
    title = _TITLE.search(found.body)
    said = _word(where, about, "task") or _word(where, about, "pipeline_tag")
    if task and said and task != said:
        raise InvalidRequest(f"{where}: the card says task: {said}, but task={task!r} was given. Make them one.")
    if not (said or task):
        raise InvalidRequest(f"{where}: the card names no task. Write at its head: {EXAMPLE}, or give task=.")
    return Card(
        whole=whole,
        task=said or task or "",
        title=title[1] if title else "",
        summary=_word(where, about, "summary") or _paragraph(found.body),
        tags=_words(where, about, "tags"),
        license=_word(where, about, "license"),
        language=_words(where, about, "language"),
        owner=_word(where, about, "owner"),
    )


def missing(where: str) -> InvalidRequest:
    """The error where there is no card."""
    return InvalidRequest(
        f"{where}: there is no {CARD}, the card. Write one that begins with {EXAMPLE}, or give card=."
    )


def joined(text: str) -> str:
    """Text without the line ends between letters of East Asia, which stand for no space."""
    return re.sub(r"(?<=[^\x00-\u02ff])[ \t]*\r?\n[ \t]*(?=[^\x00-\u02ff])", "", text)


def _text(card: str | os.PathLike[str]) -> tuple[str, str]:
    """The card's place for messages, and its text."""
    if isinstance(card, str) and "\n" in card:
        return "card", card
    path = Path(card).expanduser()
    if not path.is_file():
        raise missing(str(path))
    try:
        return str(path), path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path}: the card is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error


def _yaml(where: str, text: str) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise InvalidRequest(f"{where}: the YAML at its head can't be read ({told:.200}). Mend it.") from error
    if found is not None and not isinstance(found, dict):
        raise InvalidRequest(f"{where}: the YAML at its head is no list of key: value. Write it as {EXAMPLE}.")
    return {str(key): value for key, value in (found or {}).items()}


def _word(where: str, about: dict[str, Any], key: str) -> str:
    value = about.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRequest(f"{where}: {key}: {value!r:.60} is no text. Put it into quotes.")
    return " ".join(value.split())


def _words(where: str, about: dict[str, Any], key: str) -> tuple[str, ...]:
    value = about.get(key)
    listed: Sequence[Any] = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(_word(where, {key: one}, key) for one in listed)


def _paragraph(body: str) -> str:
    """The first lines of the text that are no heading."""
    lines = [line.strip() for line in body.strip().splitlines()]
    kept: list[str] = []
    for line in lines:
        if line and not line.startswith("#"):
            kept.append(line)
        elif kept:
            break
    told = " ".join(joined("\n".join(kept)).split())
    return told if len(told) <= _LONGEST else told[: _LONGEST - 1] + "…"
