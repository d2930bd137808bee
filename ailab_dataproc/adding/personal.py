"""Columns that look like personal data, by their names and by their values: hints for the author, who decides."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

_PERSON = "user|customer|client|member|patient|account|subscriber|visitor|employee|person|player|student|login"
_THING = "device|cookie|session|advertising|ad"
# By what a column is called in lower case with _ between words; the first that matches says what it seems to hold.
_NAMES = (
    ("mail addresses", r"(.*_)?e?_?mail(_.*)?"),
    ("telephone numbers", r"(.*_)?(phone|telephone|tel|mobile|msisdn|fax)(_(no|nr|number))?"),
    ("IP addresses", r"(.*_)?ip(v4|v6)?(_(addr|address|hash))?|remote_addr"),
    ("names of people", r"name|(first|last|full|family|given|middle|maiden|sur|user|nick)_?name|.*_username"),
    ("identifiers of people", rf"({_PERSON})(_?(id|ids|no|nr|number|key|hash|uuid|name|code))?|uid|user_?id_.*"),
    (
        "numbers of devices",
        rf"({_THING})_?(id|ids|no|nr|number|key|hash|uuid)|cookie|idfa|gaid|imei|mac(_?(addr|address))?",
    ),
    ("days of birth", r"(.*_)?(birth|birthday|birth_?date|date_of_birth|dob)(_.*)?"),
    ("addresses", r"(.*_)?(street|home_address|postal_?address|address|zip|zip_?code|post_?code|postal_?code)"),
    ("places of people", r"(.*_)?(lat|latitude|lon|lng|longitude|gps)"),
    ("numbers of papers", r"(.*_)?(ssn|social_security.*|passport.*|tax_?id|driving_licen[cs]e.*|my_?number)"),
    ("numbers of accounts", r"(.*_)?(iban|credit_?card.*|card_?number|bank_account.*)"),
)
_VALUES = (
    ("mail addresses", r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$"),
    ("IP addresses", r"^((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)$"),
    ("IP addresses", r"^(?:[0-9A-Fa-f]{1,4}:){2,7}(?::|[0-9A-Fa-f]{1,4}|(?::[0-9A-Fa-f]{1,4})+)$"),
    ("telephone numbers", r"^(\+\d[\d ()./-]{6,18}\d|\(?0\d{1,4}\)?[ /-]\d[\d -]{4,12}\d)$"),
    ("numbers of accounts", r"^[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,7}( ?[A-Z0-9]{1,4})?$"),
)
_LOOKED = 10_000  # values
_SHARE = 0.3  # of the values that look so


def looks_personal(name: str) -> str:
    """What a column of such a name seems to hold, such as "mail addresses"; nothing where it says nothing."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return next((kind for kind, pattern in _NAMES if re.fullmatch(pattern, plain)), "")


def holds_personal(values: pa.ChunkedArray | pa.Array) -> str:
    """What the texts of a column seem to be, such as "mail addresses"; nothing for other types."""
    if not (t.is_string(values.type) or t.is_large_string(values.type)):
        return ""
    found = pc.drop_null(values).slice(0, _LOOKED)
    if not len(found):
        return ""
    for kind, pattern in _VALUES:
        if (pc.sum(pc.match_substring_regex(found, pattern)).as_py() or 0) >= _SHARE * len(found):
            return kind
    return ""


def hint(name: str, values: pa.ChunkedArray | pa.Array | None = None) -> str:
    """Why a column looks personal, such as "mail addresses by its values"; nothing where it doesn't."""
    by_values = holds_personal(values) if values is not None else ""
    if by_values:
        return f"{by_values} by its values"
    by_name = looks_personal(name)
    return f"{by_name} by its name" if by_name else ""
