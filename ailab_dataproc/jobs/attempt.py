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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import AilabError, StorageFailed
from ailab_dataproc.jobs import driver
from ailab_dataproc.jobs.amounts import now
from ailab_dataproc.jobs.carried import Carried
from ailab_dataproc.jobs.claiming import claim
from ailab_dataproc.jobs.code import module_folders, unpack
from ailab_dataproc.jobs.folders import write_private
from ailab_dataproc.jobs.logs import Log
from ailab_dataproc.jobs.memory import CEILING, tree_memory
from ailab_dataproc.jobs.outcome import outcome
from ailab_dataproc.jobs.publishing import Publisher, persistently
from ailab_dataproc.jobs.record import CODE, WORK, Asked, Ended, attempt
from ailab_dataproc.jobs.redacting import Redactor
from ailab_dataproc.jobs.tree import Tree
from ailab_dataproc.jobs.variables import PROGRESS, devices, place, secret_values, variables
from ailab_dataproc.jobs.where import Here
from ailab_dataproc.storage import Folder, explained

_TICK = 0.5  # seconds
_DRAIN = 40.0  # seconds without more of the last output, where a process that can't be killed holds the pipe
_COST = 20  # memory is measured at most a twentieth of the time
_BLOCK = 16 << 20  # bytes
_TRACEBACK = 100_000  # characters that are kept


class Attempt:
    """Runs once."""

    def __init__(self, job: Folder, asked: Asked, carried: Carried, here: Here) -> None:
        self._job, self._asked, self._carried, self._here = job, asked, carried, here
        self._redactor = Redactor(secret_values(carried))
        self._reason, self._error = "", ""  # why it was ended from here
        self._peak = 0  # bytes

    def run(self) -> Ended | None:
        """Run it to its end; None where another worker has the job now, or this one is leaving.

        Raises:
            StorageFailed: the job's folder can't be used.
        """
        with _folder(self._here.folder) as self._folder, devices(self._asked.gpus) as gpus:
            try:
                tree = self._tree(gpus)
            except StorageFailed:
                raise
            except AilabError as error:  # such as options that can't travel
                number = claim(self._job, self._here, 0)
                return Ended(
                    attempt=number, outcome="failed", at=now(), seconds=0, error=self._clean(str(error)), final=True
                )
            try:
                return self._run(tree)
            finally:
                CEILING.forget(tree.pid)
                tree.close(self._asked.id)

    def _run(self, tree: Tree) -> Ended | None:
        self._number = claim(self._job, self._here, tree.pid)
        self._place = self._job / attempt(self._number)
        self._log = Log(self._place / "log")
        reader = threading.Thread(target=self._read, args=[tree.output], name="ailab-job-output", daemon=True)
        publisher = Publisher(self._job, self._number, self._log, self._folder / PROGRESS, self._redactor)
        begun = time.monotonic()
        tree.touch()
        reader.start()
        publisher.start()
        try:
            self._watch(tree, publisher, begun)
            seen = -1
            while reader.is_alive() and seen != self._log.total:
                seen = self._log.total
                reader.join(_DRAIN)
        finally:
            publisher.stop()
        if self._reason in ("twin", "unwanted"):
            return None
        return self._ended(tree, publisher, time.monotonic() - begun)

    def _tree(self, gpus: Mapping[str, str]) -> Tree:
        """Unpack the code, tell the driver what to do, and start the keeper, which waits."""
        code, script = self._folder / driver.CODE, self._asked.script
        with contextlib.suppress(FileNotFoundError):  # a function of installed code comes without
            unpack(self._job.read(CODE), code)
        if script is None:
            (self._folder / driver.WORK).write_bytes(self._job.read(WORK))
        path = module_folders(code, script)
        plan = {"script": script, "args": self._asked.args, "path": path}
        (self._folder / driver.PLAN).write_text(json.dumps(plan), encoding="utf-8")
        more = {**gpus, **place(self._job)}
        found = variables(self._asked, self._carried, self._here, self._folder, path, more=more)
        command = [sys.executable, "-m", "ailab_dataproc.jobs.driver", str(self._folder)]
        return Tree(command, found, code, self._here.silence)

    def _read(self, output: int) -> None:
        """Pass on the output until the last process that can write to it has ended."""
        while data := os.read(output, 1 << 16):
            self._log.add(self._redactor.feed(data))
        self._log.add(self._redactor.flush())

    def _watch(self, tree: Tree, publisher: Publisher, begun: float) -> None:
        """Until all processes have ended, by themselves or because something asks for it."""
        measure = begun + _TICK / 2
        while not tree.wait(_TICK):
            tree.touch()
            before = time.monotonic()
            if before >= measure:
                publisher.memory = tree_memory(tree.pid)
                self._peak = max(self._peak, publisher.memory)
                took = time.monotonic() - before
                measure = before + max(2 * _TICK, _COST * took)
            why = self._why(tree, publisher, before - begun)
            if why in ("twin", "unwanted"):
                self._reason = why
                tree.kill()
            elif why and not self._reason:
                # A function that has returned has succeeded, also where its threads keep the process.
                returned = self._asked.script is None and (self._folder / driver.REPORT).exists()
                self._reason = "" if returned else why
                (tree.kill if why == "memory" else tree.ask)()

    def _why(self, tree: Tree, publisher: Publisher, seconds: float) -> str:
        """Why it has to end now; empty where it may go on."""
        if publisher.wanted == "twin" or not self._here.wanted():
            return publisher.wanted or "unwanted"
        if self._reason:
            return ""
        self._error = CEILING.exceeded(tree.pid, publisher.memory, self._asked.memory, self._here.memory)
        if self._error:
            return "memory"
        if publisher.wanted:
            self._error = "it was cancelled"
            return "cancelled"
        limit = self._asked.time_limit
        if limit is not None and seconds > limit:
            self._error = f"it took longer than its time limit of {limit:g} seconds. Raise time_limit=, or do less."
            return "time"
        return ""

    def _ended(self, tree: Tree, publisher: Publisher, seconds: float) -> Ended:
        """What came of it; the log and the result are in the job's folder before it is told."""
        said = self._folder / driver.REPORT
        report = json.loads(said.read_bytes()) if said.exists() else None
        found = outcome(tree.code, report, self._reason, bool(self._asked.script))
        if tree.left:
            self._log.say(f"{tree.left} of the job's processes outlived it and were ended")
        error = self._clean((self._error if self._reason else "") or found.get("error", ""))
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
            traceback=self._clean(found.get("traceback", ""))[-_TRACEBACK:],
            memory=self._peak or tree.peak,  # a short one is over before it was measured
            result=self._keep(found["outcome"] == "succeeded" and not self._asked.script),
            worker=self._here.worker,
            final=bool(found.get("final")),
        )

    def _keep(self, succeeded: bool) -> int | None:
        """Bring the result, or the exception, to the job's folder; returns the bytes of the result."""
        result, error = self._folder / driver.RESULT, self._folder / driver.ERROR
        if succeeded:
            size = result.stat().st_size
            persistently(lambda: self._upload(result))
            return size
        if error.exists() and not self._redactor.holds(content := error.read_bytes()):
            persistently(lambda: write_private(self._place, driver.ERROR, content))
        return None

    def _upload(self, result: Path) -> None:
        if self._place.is_local:  # a private file stays private; on the same disk nothing is copied
            with explained(self._place.url, "write"):
                part = self._place.path(f"{driver.RESULT}.part")
                shutil.move(result, part)
                os.replace(part, self._place.path(driver.RESULT))
            return
        with result.open("rb") as file, self._place.create(driver.RESULT) as out:
            shutil.copyfileobj(file, out, _BLOCK)

    def _clean(self, text: str) -> str:
        return self._redactor.text(text)


@contextlib.contextmanager
def _folder(parent: str) -> Iterator[Path]:
    """A folder of this machine that goes away with the attempt. Dask removes those of workers that were killed."""
    folder = Path(tempfile.mkdtemp(prefix="job-", dir=parent))
    try:
        for name in (driver.CODE, "tmp"):
            (folder / name).mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, onerror=_opened)


def _opened(remove: Any, path: str, _error: Any) -> None:
    """Try again where the job has taken the permission from a folder of its own."""
    with contextlib.suppress(OSError):  # a process that can't be killed may still write there
        os.chmod(os.path.dirname(path), 0o700)
        os.chmod(path, 0o700)
        remove(path)
