"""Which type the texts of a column spell: no value may change on the way, so that 007 and 20 digits stay text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

_DAY = r"\d{4}-\d\d-\d\d"
_TIME = r"[ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?"
_ZONE = r"(Z|[+-]\d\d(:?\d\d)?)"
_NUMBER = r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
# A kind of text, by the first pattern that all values match.
_PATTERNS = {
    "truth values": r"true|false|True|False|TRUE|FALSE",
    "integers": r"-?(0|[1-9]\d*)",
    "digits": r"-?\d+",
    "numbers": rf"{_NUMBER}|-?(?i:nan|inf|infinity)",
    "days": _DAY,
    "times": _DAY + _TIME,
    "times with a zone": _DAY + _TIME + _ZONE,
}
_OTHER_DAYS = r"\d{1,4}[./ -](\d{1,2}|[A-Za-z]{3,9})[./ -]\d{1,4}( .*)?"
NULLS = ("NA", "N/A", "n/a", "#N/A", "null", "NULL", "Null", "None", "NONE", "none", "-", "--", "?", "\\N")
_NEARLY = 0.9  # of the values


@dataclass(frozen=True, slots=True)
class Guess:
    """What a column seems to be."""

    type: pa.DataType
    nullable: bool = False  # whether a row without a value was seen
    remark: str = ""  # what the author should look at; never a value


def guess(values: pa.ChunkedArray, *, decimal_point: str = ".") -> Guess:
    """The type of the values that a column's texts spell; nulls are passed over.

    Args:
        values: texts.
        decimal_point: of numbers.
    """
    texts, nullable = pc.drop_null(values).combine_chunks(), values.null_count > 0
    if not len(texts):
        return Guess(pa.string(), nullable, "holds no value in the rows that were looked at: say which type it has")
    plain = pc.utf8_trim_whitespace(texts)
    if decimal_point != ".":
        plain = pc.replace_substring(plain, decimal_point, ".")
    kind = next((kind for kind in _PATTERNS if _matching(plain, kind) == len(plain)), None)
    if kind is None:
        return Guess(pa.string(), nullable, _nearly(plain, values, decimal_point))
    if kind == "digits":
        return Guess(pa.string(), nullable, "digits that begin with 0: kept as text, since a number would lose them")
    for type_ in _types(kind, plain):
        try:
            plain.cast(type_)
        except pa.ArrowInvalid:
            continue
        return Guess(type_, nullable)
    told = "integers of more than 64 bits" if kind == "integers" else f"{kind} that no type holds"
    return Guess(pa.string(), nullable, f"{told}: kept as text")


def null_texts(columns: Sequence[pa.ChunkedArray], *, decimal_point: str = ".") -> tuple[str, ...]:
    """The texts, such as NA, that must stand for no value, since the column's other values spell numbers or times."""
    found: set[str] = set()
    for values in columns:
        marked = pc.is_in(values, pa.array(NULLS))
        if not pc.any(marked).as_py() or pc.all(pc.or_(marked, pc.is_null(values))).as_py():
            continue
        rest = pc.if_else(marked, pa.scalar(None, pa.string()), values)
        if guess(rest, decimal_point=decimal_point).type != pa.string():
            found |= set(pc.unique(values.filter(marked)).to_pylist()) - {None}
    return tuple(sorted(found))


def has_decimal_commas(columns: Sequence[pa.ChunkedArray]) -> bool:
    """Whether numbers are written with a decimal comma: some column spells numbers only so, and none with a point."""
    commas = points = False
    for values in columns:
        texts = pc.utf8_trim_whitespace(pc.drop_null(values).combine_chunks())
        if len(texts) and pc.all(pc.match_substring_regex(texts, r"^-?\d+([.,]\d+)?$")).as_py():
            commas |= pc.any(pc.match_substring(texts, ",")).as_py()
            points |= pc.any(pc.match_substring(texts, ".")).as_py()
    return commas and not points


def _matching(texts: pa.Array, kind: str) -> int:
    return pc.sum(pc.match_substring_regex(texts, f"^({_PATTERNS[kind]})$")).as_py() or 0


def _types(kind: str, texts: pa.Array) -> Sequence[pa.DataType]:
    if kind in ("times", "times with a zone"):
        zone = "UTC" if kind == "times with a zone" else None
        return [pa.timestamp(unit, zone) for unit in _units(texts)]
    return {
        "truth values": [pa.bool_()],
        "integers": [pa.int64(), pa.uint64()],
        "numbers": [pa.float64()],
        "days": [pa.date32()],
    }[kind]


def _units(texts: pa.Array) -> Sequence[str]:
    """The units that hold all digits behind the point, the coarsest first; milliseconds are kept as microseconds."""
    if not pc.any(pc.match_substring(texts, ".")).as_py():
        return ("s",)
    return ("ns",) if pc.any(pc.match_substring_regex(texts, r"\.\d{7,9}")).as_py() else ("us",)


def _nearly(plain: pa.Array, values: pa.ChunkedArray, decimal_point: str) -> str:
    """What to say of texts of which nearly all spell numbers or times."""
    for kind in ("integers", "numbers", "days", "times", "times with a zone"):
        count = _matching(plain, kind)
        if count < len(plain) and count >= max(_NEARLY * len(plain), 2):
            texts = pc.utf8_trim_whitespace(values)
            texts = texts if decimal_point == "." else pc.replace_substring(texts, decimal_point, ".")
            other = pc.invert(pc.fill_null(pc.match_substring_regex(texts, f"^({_PATTERNS[kind]})$"), True))
            row = pc.index(other, True).as_py() + 1
            return (
                f"{count:,} of {len(plain):,} values are {kind}, the first other one is in row {row:,}: mend the "
                "sources and the type, or keep it as text"
            )
    if pc.all(pc.match_substring_regex(plain, f"^({_OTHER_DAYS})$")).as_py():
        return "looks like days in a form other than 2026-11-23: kept as text; read() may parse it"
    return ""
