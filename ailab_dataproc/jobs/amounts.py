"""Amounts as people write them, "8GB" and "2h"; and times as files have them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ailab_dataproc.errors import InvalidRequest, SettingsError
from ailab_dataproc.settings import parse_bytes

_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def bytes_of(amount: int | str | None, where: str) -> int | None:
    """A number of bytes; None stays None.

    Raises:
        InvalidRequest: it is none, or not above 0.
    """
    if amount is None:
        return None
    try:
        found = parse_bytes(amount, where)
    except SettingsError:
        found = 0
    if found <= 0:
        raise InvalidRequest(f"{where}={amount!r}: wanted bytes such as '8GB', '500MiB' or 8_000_000_000.")
    return found


def seconds_of(amount: float | str | None, where: str) -> float | None:
    """A number of seconds; None stays None.

    Raises:
        InvalidRequest: it is none, or not above 0.
    """
    if amount is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(amount).strip().lower())
    seconds = float(found[1]) * _SECONDS.get(found[2], 0) if found else 0.0
    if not seconds:
        raise InvalidRequest(f"{where}={amount!r}: wanted seconds, or such as '90s', '30m', '2h', '1d'.")
    return seconds


def count_of(amount: int, where: str, least: int = 0) -> int:
    """A whole number.

    Raises:
        InvalidRequest: it is none, or below the least.
    """
    if isinstance(amount, bool) or not isinstance(amount, int) or amount < least:
        raise InvalidRequest(f"{where}={amount!r}: wanted a whole number from {least} on.")
    return amount


def now() -> str:
    """ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def seconds_since(time: str, at: datetime) -> float:
    """From a time of a file until another."""
    return (at - datetime.fromisoformat(time)).total_seconds()
