"""What the checks of a definition found in a prepared version: results as they are kept, read, and told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ailab_dataproc.checks import Check
from ailab_dataproc.manifest import CHECKS, Prepared, read_beside

PASSED, WARNED, FAILED, NOT_RUN = "passed", "warned", "failed", "not run"
_JUDGES = ("name", "level", "tolerate")  # what a check may change without looking at the rows again


def read_checks(prepared: Prepared) -> list[dict[str, Any]]:
    """The results of the checks that were run on a version, in the definition's order; none where it had no checks.

    Each has the check's ``name``, ``kind``, ``columns``, ``arguments``, ``level``, ``tolerate`` and ``split``; its
    ``result``, ``"passed"`` or ``"warned"``; ``rows`` that were looked at, ``failed`` ones and their ``share``, and the
    same by split in ``splits``; ``first``, the places of the first ones, without values of personal data; ``found``,
    what else there is to tell; ``referenced``, the version that values were looked up in.

    Raises:
        DamagedData: the file is missing or not the one that was written.
    """
    if CHECKS not in prepared.manifest.files:
        return []
    return list(json.loads(read_beside(prepared, CHECKS, "the results of the checks"))["checks"])


def judged(check: Check, found: Mapping[str, Any]) -> dict[str, Any]:
    """A result with what a check of this level and tolerance makes of it."""
    right = check.allows(found["failed"], found["rows"]) if check.counts_rows else not found["failed"]
    result = PASSED if right else WARNED if check.level == "warn" else FAILED
    return {**found, **{key: getattr(check, key) for key in _JUDGES}, "result": result}


def compared(
    checks: Iterable[Check], codes: Mapping[str, str], kept: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A definition's checks, with the results that a version holds of them.

    Args:
        checks: of the definition, as it is now.
        codes: by check the hash of its function.
        kept: from `read_checks`.

    Returns:
        For each its result as it is judged now; ``"not run"`` where rows would have to be looked at for it.
    """
    found = []
    for one in checks:
        told = {**one.describe(), "code": codes.get(one.name, "")}
        same = [each for each in kept if looked_at(each) == looked_at(told)]
        found.append(judged(one, same[0]) if same else {**told, "result": NOT_RUN})
    return found


def looked_at(told: Mapping[str, Any]) -> dict[str, Any]:
    """What of a check, as JSON holds it, decides which rows fail."""
    wanted = ("kind", "columns", "arguments", "split", "code")
    return dict(json.loads(json.dumps({key: told.get(key) for key in wanted})))


def spoken(found: Mapping[str, Any]) -> str:
    """A result in words."""
    if found["result"] == NOT_RUN:
        return "was not run on this version"
    if "found" in found:
        return str(found["found"])
    if not found["failed"]:
        return f"none of {found['rows']:,} rows"
    count = f"{found['failed']:,} of {found['rows']:,} rows ({_per_cent(found['share'])})"
    return f"{count}: {'; '.join(map(_place, found['first']))}" if found["first"] else count


def lines(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each check that says something else than that all is well."""
    said = {WARNED: "warning: check", FAILED: "check", NOT_RUN: "not checked:"}
    ends = {FAILED: " It would stop a new version.", NOT_RUN: " Bump the version to run it."}
    return [
        f"{said[one['result']]} {one['name']!r}{'' if one['result'] == NOT_RUN else ' fails:'} {spoken(one)}"
        f"{'.' + ends[one['result']] if one['result'] in ends else ''}"
        for one in results
        if one["result"] != PASSED
    ]


def _place(place: Mapping[str, Any]) -> str:
    values = ", ".join(f"{name}={value}" for name, value in place["values"].items())
    told = f"row {place['row']:,} of {place['source']}" + (f" has {values}" if values else "")
    other = place.get("repeats")
    return f"{told}, like row {other['row']:,} of {other['source']}" if other else told


def _per_cent(share: float) -> str:
    return f"{share:.2%}" if share >= 0.0001 else "less than 0.01%"
