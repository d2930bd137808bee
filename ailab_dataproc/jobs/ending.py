"""How the process of a job ends, for people and for `Job.exception`: exit codes, errors without our frames, results."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
import types
from pathlib import Path
from typing import Any

from ailab_dataproc import functions
from ailab_dataproc.errors import AilabError, InvalidRequest

_LONGEST = 500  # characters of an error's sentence
_OURS = (os.path.dirname(__file__) + os.sep, functions.__file__)
# Whose frames stand between ours and the job's.
_BETWEEN = ("<frozen runpy>", "<frozen importlib", os.path.dirname(traceback.__file__) + os.sep + "runpy.py")


def of_exit(error: SystemExit) -> dict[str, Any]:
    """The report of `sys.exit`."""
    if error.code is None or error.code == 0:
        return {"outcome": "succeeded"}
    if isinstance(error.code, int):
        # Only eight bits of it arrive.
        return {"outcome": "failed", "code": error.code & 255 or 1, "error": f"it called sys.exit({error.code})"}
    said = str(error.code)
    return {"outcome": "failed", "code": 1, "error": _short(f"it called sys.exit: {said}"), "said": f"{said}\n"}


def of_error(error: BaseException, code: Path) -> dict[str, Any]:
    """The report of an exception, whose traceback begins in the job's own code."""
    frames = _own_frames(error.__traceback__)
    told = traceback.TracebackException(type(error), error, frames)
    text = "".join(told.format()).replace(f"{code}{os.sep}", "")
    return {
        "outcome": "failed",
        "code": 1,
        "error": _sentence(error, frames, code),
        "traceback": text,
        "final": isinstance(error, _Refused),
    }


def pickled_error(error: BaseException) -> bytes | None:
    """The exception for who asks for it; None where it can't be pickled, or not be read again."""
    import cloudpickle

    error = error.with_traceback(None)
    try:
        content: bytes = cloudpickle.dumps(error, protocol=5)
        cloudpickle.loads(content)
    except Exception as trouble:  # whatever the exception's class does
        sys.stderr.write(f"[ailab: the exception itself can't be pickled ({type(trouble).__name__}: {trouble})]\n")
        return None
    return content


class _Refused(InvalidRequest):
    """A result that can't be one."""


_Refused.__name__ = _Refused.__qualname__ = "InvalidRequest"
_Refused.__module__ = InvalidRequest.__module__


def check_result(value: Any) -> None:
    """Refuse what means nothing outside the job.

    Raises:
        InvalidRequest: it is a Dask collection or future, a generator or a coroutine.
    """
    inside = list(value.values()) if isinstance(value, dict) else list(value) if type(value) in (list, tuple) else []
    for one in [value, *inside]:
        kind = type(one).__name__
        if isinstance(one, types.GeneratorType | types.AsyncGeneratorType):
            raise _Refused(f"result: found a {kind}, wanted values. Return list(…) of it.")
        if isinstance(one, types.CoroutineType):
            raise _Refused("result: found a coroutine, wanted values. Call asyncio.run in the function.")
        if "distributed" in sys.modules and isinstance(one, sys.modules["distributed"].Future):
            raise _Refused("result: found a Dask Future, which ends with the job. Return .result() of it.")
        if "dask.base" in sys.modules and sys.modules["dask.base"].is_dask_collection(one):
            raise _Refused(
                f"result: found a Dask {kind}, which is only a plan. Return .compute() of it, or write it as a dataset."
            )


def write_result(value: Any, path: Path) -> None:
    """Pickle a result into a file that is private.

    Raises:
        InvalidRequest: it can't be pickled.
    """
    import cloudpickle

    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        try:
            cloudpickle.dump(value, file, protocol=5)
        except OSError:
            raise
        except Exception as error:  # whatever the class of a value does
            path.unlink()
            raise _Refused(
                f"result: a {type(value).__name__} that can't be pickled ({type(error).__name__}: {error}). "
                "Return plain values, arrays or frames, or write it to a file and return its name."
            ) from error


def _own_frames(frames: types.TracebackType | None) -> types.TracebackType | None:
    """Without the first frames that are ours; all of them where there are no others."""
    own = frames
    while own is not None:
        file = own.tb_frame.f_code.co_filename
        if not file.startswith((*_OURS, *_BETWEEN)):
            return own
        own = own.tb_next
    return frames


def _sentence(error: BaseException, frames: types.TracebackType | None, code: Path) -> str:
    name = type(error).__name__
    if isinstance(error, AilabError):  # which says what to do
        cause = error.__cause__
        hint = f" {cause}{_missing(cause.name)}" if isinstance(cause, ModuleNotFoundError) and cause.name else ""
        return _short(" ".join(f"{error}{hint}".split()))
    text = str(error).strip()
    lines = text.split("\n") if text else [""]
    said = f"{name}: {lines[0].strip()}" if lines[0] else name
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _short(f"{said}{_missing(error.name)}")
    return _short(said + _place(frames, code))


def _place(frames: types.TracebackType | None, code: Path) -> str:
    """The last line of the job's own code, such as ` (train.py, line 7)`."""
    found = [
        (os.path.relpath(file, code), one.tb_lineno)
        for one in _all(frames)
        if (file := one.tb_frame.f_code.co_filename).startswith(f"{code}{os.sep}")
    ]
    return f" ({found[-1][0]}, line {found[-1][1]})" if found else ""


def _all(frames: types.TracebackType | None) -> list[types.TracebackType]:
    found = []
    while frames is not None:
        found.append(frames)
        frames = frames.tb_next
    return found


def _missing(module: str) -> str:
    """What to do about a module that isn't there."""
    try:
        here = importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        here = False
    if here:
        return (
            ": a task on a worker looks for it by its name alone, as importlib does, and workers have the project's "
            "modules for `import` only, at the top of a module or in its functions. Import it so."
        )
    return (
        ": it is neither in the code that was sent nor installed on the worker. Name the project's folder by code=, "
        "keep the module out of .gitignore, or install it on the workers."
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
