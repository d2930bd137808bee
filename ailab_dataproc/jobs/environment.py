"""Environment variables of a job: those that are stored, and secrets, whose values travel with the task alone."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from ailab_dataproc.errors import InvalidRequest

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET = re.compile(
    r"TOKEN(?!IZ)|PASSW(OR)?D|PASSPHRASE|SECRET|CREDENTIAL|(^|_|API|ACCESS)KEY(_|$)|(^|_)PWD?$", re.IGNORECASE
)
_OURS = ("AILAB_JOB", "AILAB_JOB_FOLDER", "AILAB_JOB_OPTIONS", "AILAB_JOB_PROGRESS")


def check_environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """Variables that are stored in the job's folder.

    Raises:
        InvalidRequest: one looks like a secret, has no right name, or is this package's own.
    """
    if isinstance(env, str) or not isinstance(env or {}, Mapping):
        raise InvalidRequest(f"env={env!r}: wanted names and values, such as {{'OMP_NUM_THREADS': '4'}}.")
    for name, value in (env or {}).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _OURS:
            raise InvalidRequest(f"env: {name!r} can't be the name of a variable of a job. Choose another.")
        if SECRET.search(name):
            raise InvalidRequest(
                f"env: {name} looks like a secret, and env= is stored in the job's folder. Set it in your environment, "
                f"and use secrets=[{name!r}] (--secret {name}), which is never stored."
            )
        if "\0" in str(value):
            raise InvalidRequest(f"env: the value of {name} holds a zero byte. Leave it out.")
    return {name: str(value) for name, value in (env or {}).items()}


def take_secrets(names: Sequence[str]) -> dict[str, str]:
    """The values of variables of this process.

    Raises:
        InvalidRequest: one isn't set.
    """
    if isinstance(names, str):
        raise InvalidRequest(f"secrets={names!r}: wanted names of variables, such as ({names!r},).")
    for name in names:
        if "=" in str(name):
            raise InvalidRequest(
                "secrets: found a name with =, wanted names of variables alone; the values are those of this process."
            )
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise InvalidRequest(
            f"secrets: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set here. "
            f"Set it before: export {missing[0]}=…"
        )
    return {name: os.environ[name] for name in names}
