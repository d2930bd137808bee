"""What came of an attempt, from what its process said, how it ended, and why it was ended."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

_KILLED = "by another than this job's worker; most likely the machine was out of memory. Ask for less at a time."


def outcome(code: int | None, said: Mapping[str, Any] | None, reason: str, script: bool) -> dict[str, Any]:
    """The outcome, as fields of `Ended`.

    Args:
        code: of the process, negative for a signal; None where its keeper was killed.
        said: by the process itself, when it came to its end.
        reason: why the worker ended it: cancelled, time or memory; else empty.
        script: whether it runs a script, whose end with code 0 is a success, said or not.
    """
    if reason:
        return {"outcome": "cancelled" if reason == "cancelled" else "failed", "final": True}
    if said is not None and (said["outcome"] != "succeeded" or code == 0 or not script):
        return dict(said)  # a function that has returned has succeeded, whatever the exit of its process does
    if code == 0 and script:
        return {"outcome": "succeeded"}
    return {"outcome": "failed", "error": _sentence(code)}


def _sentence(code: int | None) -> str:
    if code is None:
        return f"the process that keeps the job's was killed {_KILLED}"
    if code == -signal.SIGKILL:
        return f"killed by signal 9 (SIGKILL) {_KILLED}"
    if code < 0:
        return f"killed by signal {-code} ({signal.Signals(-code).name}). See the end of the log."
    if code == 0:
        return "its process ended with code 0 before its function returned (os._exit?)"
    return f"its process ended with code {code} and without an exception (os._exit?). See the end of the log."
