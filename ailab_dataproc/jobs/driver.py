"""The process of a job: runs its script or its function, and leaves what came of it in files beside the code."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import runpy
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ailab_dataproc import functions
from ailab_dataproc.jobs import ending, importing

CODE, PLAN, WORK = "code", "plan.json", "work.pkl"  # below the folder that the worker made for the attempt
REPORT, RESULT, ERROR = "report.json", "result.pkl", "error.pkl"


def main(folder: Path) -> int:
    """Run a job; returns the exit code."""
    faulthandler.enable()
    signal.signal(signal.SIGTERM, _end)
    _log_to_stderr()
    plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    sys.path[:] = plan["path"] + [path for path in sys.path if path not in plan["path"]]
    importing.watch(folder / CODE)
    report: dict[str, Any] = {"outcome": "succeeded"}
    try:
        if plan["script"]:
            _run_script(plan, folder / CODE)
        else:
            _call(folder)
    except SystemExit as error:
        report = ending.of_exit(error)
    except BaseException as error:
        report = ending.of_error(error, folder / CODE)
        content = ending.pickled_error(error)
        if content is not None:
            _write(folder / ERROR, content)
    with contextlib.suppress(ValueError, OSError):  # the job has closed its output
        sys.stdout.flush()
        sys.stderr.write(report.get("traceback", "") or report.get("said", ""))
        sys.stderr.flush()
    _write(folder / REPORT, json.dumps(report).encode())
    return int(report.get("code", 0))


def _run_script(plan: Mapping[str, Any], code: Path) -> None:
    script = str(code / plan["script"])
    sys.argv = [script, *plan["args"]]
    runpy.run_path(script, run_name="__main__")


def _call(folder: Path) -> None:
    """Call the function, and pickle what it returns."""
    import cloudpickle

    with (folder / WORK).open("rb") as file:
        work = cloudpickle.load(file)
    if work.reference is None:
        function = functions.find(work.function) if isinstance(work.function, str) else work.function
        value = function(*work.args, **work.kwargs)
    else:
        from ailab_dataproc.jobs.data import perform  # takes a quarter of a second to import

        value = perform(work)
    ending.check_result(value)
    ending.write_result(value, folder / RESULT)


def _write(path: Path, content: bytes) -> None:
    """A file that is whole or isn't there, also when the process is killed."""
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _log_to_stderr() -> None:
    """What is logged is seen, as long as the job doesn't say itself where it goes (`logging.basicConfig`)."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.lastResort = handler
    logging.getLogger().setLevel(logging.INFO)


_pid = os.getpid()


def _end(number: int, _frame: Any) -> None:
    """Let `finally` and `with` clean up where the job is asked to end; a forked process just ends."""
    if os.getpid() == _pid:
        raise SystemExit(128 + number)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
