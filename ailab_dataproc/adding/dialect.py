"""How a CSV file is written: its encoding, what stands between fields, whether the first line names the columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.errors import InvalidData

_DELIMITERS = (",", ";", "\t", "|")
_LOOKED = 1 << 20  # characters
_LINES = 200  # looked at for the delimiter
_BOMS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_NUMBER = r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?"
_VALUE = re.compile(rf"{_NUMBER}|\d{{4}}-\d\d-\d\d.*|\d\d?[./]\d\d?[./]\d{{2,4}}|true|false")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    encoding: str
    delimiter: str
    header: bool
    names: tuple[str, ...]  # of the header; without one, column_1, column_2, …


def sniff(data: bytes, name: str, *, encoding: str | None = None, header: bool | None = None) -> Dialect:
    """Find out how a CSV file is written.

    Args:
        data: its beginning, up to the end of a line.
        name: of the file: .tsv says what stands between fields.
        encoding: where it is known.
        header: whether the first line names the columns; None where that isn't known: it does unless a field of it
            is a number, a day or a truth value.

    Raises:
        InvalidData: the text isn't in the encoding, or there is no line.
    """
    encoding = encoding or _encoding(data)
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise InvalidData(f"{name}: isn't {encoding} ({error}). Give another --encoding.") from None
    try:
        delimiter = "\t" if re.search(r"\.tsv(\.\w+)?$", name.lower()) else _delimiter(text[:_LOOKED])
        first: list[str] = next((line for line in rows_of(text, delimiter) if line), [])
    except csv.Error as error:
        raise InvalidData(f"{name}: {error}. Is a quote opened and never closed?") from None
    if not first:
        raise InvalidData(f"{name}: holds no line with a field in it. Give a sample with rows.")
    named = header if header is not None else not any(_VALUE.fullmatch(one.strip().lower()) for one in first)
    names = first if named else [f"column_{number + 1}" for number in range(len(first))]
    return Dialect(encoding, delimiter, named, tuple(names))


def rows_of(text: str, delimiter: str) -> Any:
    """The records of a CSV text; ``line_num`` of it counts lines."""
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def uneven_line(text: str, delimiter: str, fields: int) -> tuple[int, int] | None:
    """The first line whose number of fields isn't that of the first: where its record begins, and how many it has."""
    reader = rows_of(text, delimiter)
    before = 0
    for record in reader:
        if record and len(record) != fields:
            return before + 1, len(record)
        before = reader.line_num
    return None


def whole_lines(data: bytes) -> bytes:
    """The beginning of a CSV file up to the last line end that isn't in quotes."""
    end = len(data)
    while (end := data.rfind(b"\n", 0, end)) >= 0:
        if data.count(b'"', 0, end) % 2 == 0:
            return data[: end + 1]
    return data[: data.rfind(b"\n") + 1] or data


def _encoding(data: bytes) -> str:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return encoding
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _delimiter(text: str) -> str:
    """What cuts the first lines into the most fields, the same number in nearly each."""
    best, most = ",", 0.0
    for delimiter in _DELIMITERS:
        counts = _counts(text, delimiter)
        width = max(set(counts), key=counts.count, default=0)
        score = (width - 1) * counts.count(width) / max(len(counts), 1)
        if score > most:
            best, most = delimiter, score
    return best


def _counts(text: str, delimiter: str) -> Sequence[int]:
    found: list[int] = []
    for record in rows_of(text, delimiter):
        found += [len(record)] if record else []
        if len(found) >= _LINES:
            break
    return found
