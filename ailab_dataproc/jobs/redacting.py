"""Secrets in a stream of output become ***, also where two pieces of the stream meet."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

_SHORTEST = 4  # characters of a value that is looked for; shorter ones are in every text
_SHORTEST_LINE = 16  # characters of a line of a secret of many lines, such as a key
_STARS = b"***"


class Redactor:
    """Replaces values of secrets in what passes through, as they are and as URLs, JSON and base64 write them."""

    def __init__(self, values: Iterable[str]) -> None:
        """Look for these values; those of fewer than four characters are left."""
        known = {form for value in values for form in _forms(value)}
        self._forms = sorted(known, key=lambda form: (-len(form), form))
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms))) if known else None
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The next piece, without an end that may be the beginning of a secret."""
        if self._pattern is None:
            return data
        text = self._held + data
        begun = self._begun(text)
        out, place = [], 0
        for found in self._pattern.finditer(text):
            if found.start() >= begun:
                break
            out += [text[place : found.start()], _STARS]
            place = found.end()
        held = max(place, begun)
        self._held = text[held:]
        return b"".join([*out, text[place:held]])

    def flush(self) -> bytes:
        """What was held back: nothing follows."""
        held, self._held = self._held, b""
        return self._pattern.sub(_STARS, held) if self._pattern else held

    def text(self, text: str) -> str:
        """A whole text."""
        return self._pattern.sub(_STARS, text.encode()).decode() if self._pattern else text

    def holds(self, content: bytes) -> bool:
        """Whether there is a secret in it."""
        return bool(self._pattern and self._pattern.search(content))

    def _begun(self, text: bytes) -> int:
        """Where the first secret begins of which the text has only the beginning."""
        longest = len(self._forms[0])
        for place in range(max(len(text) - longest + 1, 0), len(text)):
            rest = text[place:]
            if any(len(form) > len(rest) and form.startswith(rest) for form in self._forms):
                return place
        return len(text)


def _forms(value: str) -> set[bytes]:
    if len(value) < _SHORTEST:
        return set()
    texts = {value, quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1], repr(value)[1:-1]}
    texts |= {line for line in value.splitlines() if len(line) >= _SHORTEST_LINE}
    return {text.encode("utf-8", "surrogateescape") for text in texts} | _base64(value.encode("utf-8", "replace"))


def _base64(value: bytes) -> set[bytes]:
    """Its characters in base64 that don't depend on what stands before and behind, such as `user:`."""
    found = set()
    for before in range(3):
        text = base64.b64encode(b"\0" * before + value)
        first, last = (0, 2, 3)[before], (before + len(value)) * 8 // 6
        if last - first >= 2 * _SHORTEST:
            found |= {text[first:last], text[first:last].replace(b"+", b"-").replace(b"/", b"_")}
    return found
