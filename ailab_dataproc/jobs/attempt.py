"""One attempt of a job on this worker: its processes from their start to their end, and what came of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from ailab_dataproc.jobs import driver
from ailab_dataproc.jobs.carried import Carried
from ailab_dataproc.jobs.code import unpack
from ailab_dataproc.jobs.history import STARTED, now, previous
from ailab_dataproc.jobs.logs import Log
from ailab_dataproc.jobs.memory import CEILING, tree_memory
from ailab_dataproc.jobs.outcome import outcome
from ailab_dataproc.jobs.publishing import Publisher, persistently, rhythm
from ailab_dataproc.jobs.record import CODE, WORK, Asked, Ended, Started, attempt
from ailab_dataproc.jobs.redacting import Redactor
from ailab_dataproc.jobs.tree import Tree
from ailab_dataproc.jobs.variables import PROGRESS, devices, secret_values, variables
from ailab_dataproc.jobs.where import Here
from ailab_dataproc.storage import Folder

_TICK = 0.5  # seconds
_DRAIN = 5.0  # seconds for the last output, where a process that can't be killed holds the pipe
_COST = 20  # memory is measured at most a twentieth of the time
_BLOCK = 16 << 20  # bytes
_TRACEBACK = 100_000  # characters that are kept


class Attempt:
    """Runs once."""

    def __init__(self, job: Folder, asked: Asked, carried: Carried, here: Here, number: int) -> None:
        self._job, self._asked, self._carried, self._here, self._number = job, asked, carried, here, number
        self._place = job / attempt(number)
        self._redactor = Redactor(secret_values(carried))
        self._log = Log(self._place / "log")
        self._reason, self._error = "", ""  # why it was ended from here
        self._peak = 0

    def run(self) -> Ended | None:
        """Run it to its end; None where another worker has the job now, or this one is leaving."""
        folder = Path(tempfile.mkdtemp(prefix="job-", dir=self._here.folder))
        try:
            with devices(self._asked.gpus) as gpus:
                return self._run(folder, gpus)
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # a process that can't be killed may hold a file of it

    def _run(self, folder: Path, gpus: dict[str, str]) -> Ended | None:
        for name in ("code", "tmp"):
            (folder / name).mkdir()
        path = self._prepare(folder)
        found = gpus | variables(self._asked, self._carried, self._here, folder, path)
        command = [sys.executable, "-m", "ailab_dataproc.jobs.driver", str(folder)]
        tree = Tree(command, found, folder / "code", self._here.silence)
        reader = threading.Thread(target=self._read, args=[tree.output], name="ailab-job-output", daemon=True)
        publisher = Publisher(self._job, self._number, self._log, folder / PROGRESS, self._redactor)
        try:
            self._claim(tree.pid)
            begun = time.monotonic()
            tree.touch()
            reader.start()
            publisher.start()
            self._watch(tree, publisher, begun, folder)
            reader.join(_DRAIN)
        finally:
            CEILING.forget(tree.pid)
            tree.close()
            if publisher.is_alive():
                publisher.stop()
        if self._reason in ("twin", "unwanted"):
            return None
        return self._ended(tree, publisher, folder, time.monotonic() - begun)

    def _prepare(self, folder: Path) -> list[str]:
        """Unpack the code, and tell the driver what to do; returns the project's folders with modules."""
        code = folder / driver.CODE
        with contextlib.suppress(FileNotFoundError):  # a function of installed code comes without
            unpack(self._job.read(CODE), code)
        script = self._asked.script
        if script is None:
            (folder / driver.WORK).write_bytes(self._job.read(WORK))
        path = [str((code / script).parent)] if script else []
        path += [str(one) for one in (code, code / "src") if one.is_dir()]
        plan = {
            "job": self._asked.id,
            "script": script,
            "args": self._asked.args,
            "path": list(dict.fromkeys(path)),
            "result": str(self._result(folder)),
        }
        (folder / driver.PLAN).write_text(json.dumps(plan), encoding="utf-8")
        return list(dict.fromkeys(path))

    def _result(self, folder: Path) -> Path:
        """Where the driver writes the result: on a disk where it stays, so that a large one is written once."""
        if self._place.is_local:
            return Path(self._place.path(f"{driver.RESULT}.part"))
        return folder / driver.RESULT

    def _claim(self, pid: int) -> None:
        """Say that this attempt is ours, and let the one before see it, where it runs on without its scheduler."""
        started = Started(attempt=self._number, worker=self._here.worker, host=self._here.host, pid=pid, at=now())
        if self._place.is_local:
            os.makedirs(os.path.join(self._job.url, "attempts"), mode=0o700, exist_ok=True)
            os.makedirs(self._place.url, mode=0o700, exist_ok=True)
        self._place.write(STARTED, started.to_bytes())
        before = previous(self._job, self._number) if self._number > 1 else None
        if before and (before.host != self._here.host or os.path.exists(f"/proc/{before.pid}")):
            time.sleep(2 * rhythm(self._job).look)

    def _read(self, output: int) -> None:
        """Pass on the output until the last process that can write to it has ended."""
        while data := os.read(output, 1 << 16):
            self._log.add(self._redactor.feed(data))
        self._log.add(self._redactor.flush())

    def _watch(self, tree: Tree, publisher: Publisher, begun: float, folder: Path) -> None:
        """Until all processes have ended, by themselves or because something asks for it."""
        measure = begun + _TICK / 2
        while not tree.wait(_TICK):
            tree.touch()
            if time.monotonic() >= measure:
                before = time.monotonic()
                publisher.memory = tree_memory(tree.pid)
                self._peak = max(self._peak, publisher.memory)
                measure = time.monotonic() + max(2 * _TICK, _COST * (time.monotonic() - before))
            if not self._reason:
                self._reason = self._why(tree, publisher, time.monotonic() - begun)
                if self._reason and (folder / driver.REPORT).exists():
                    self._reason = self._reason if self._reason in ("twin", "unwanted") else ""
                elif self._reason in ("cancelled", "time"):
                    tree.ask()
                if self._reason in ("twin", "unwanted", "memory"):
                    tree.kill()

    def _why(self, tree: Tree, publisher: Publisher, seconds: float) -> str:
        """Why it has to end now; empty where it may go on."""
        if publisher.wanted == "twin" or not self._here.wanted():
            return publisher.wanted or "unwanted"
        over = CEILING.exceeded(tree.pid, publisher.memory, self._asked.memory, self._here.memory)
        if over:
            self._error = over
            return "memory"
        if publisher.wanted:
            self._error = "it was cancelled"
            return "cancelled"
        limit = self._asked.time_limit
        if limit is not None and seconds > limit:
            self._error = f"it took longer than its time limit of {limit:g} seconds. Raise time_limit=, or do less."
            return "time"
        return ""

    def _ended(self, tree: Tree, publisher: Publisher, folder: Path, seconds: float) -> Ended:
        """What came of it; the log and the result are in the job's folder before it is told."""
        said = folder / driver.REPORT
        report = json.loads(said.read_bytes()) if said.exists() else None
        found = outcome(tree.code, report, self._reason, bool(self._asked.script))
        if tree.left:
            self._log.say(f"{tree.left} of the job's processes outlived it and were ended")
        error = self._redactor.text(self._error or found.get("error", ""))
        if error and not found.get("traceback"):
            self._log.say(f"{found['outcome']}: {error}")
        persistently(publisher.finish)
        return Ended(
            attempt=self._number,
            outcome=found["outcome"],
            at=now(),
            seconds=round(seconds, 3),
            code=tree.code,
            error=error,
            traceback=self._redactor.text(found.get("traceback", ""))[-_TRACEBACK:],
            memory=self._peak,
            result=self._keep(folder, found["outcome"] == "succeeded" and not self._asked.script),
            worker=self._here.worker,
            final=bool(found.get("final")),
        )

    def _keep(self, folder: Path, succeeded: bool) -> int | None:
        """Bring the result, or the exception, to the job's folder; returns the bytes of the result."""
        result, error = self._result(folder), folder / driver.ERROR
        if not succeeded:
            result.unlink(missing_ok=True)
            if error.exists() and not self._redactor.holds(content := error.read_bytes()):
                persistently(lambda: self._place.write(driver.ERROR, content))
            return None
        size = result.stat().st_size
        if self._place.is_local:
            result.rename(self._place.path(driver.RESULT))
        else:
            persistently(lambda: self._upload(result))
        return size

    def _upload(self, result: Path) -> None:
        with result.open("rb") as file, self._place.create(driver.RESULT) as out:
            shutil.copyfileobj(file, out, _BLOCK)
