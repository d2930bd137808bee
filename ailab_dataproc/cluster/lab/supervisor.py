"""The supervisor of a cluster on one machine: starts its processes, keeps their logs, starts again what has ended."""

from __future__ import annotations

import datetime
import logging
import logging.handlers
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from ailab_dataproc.cluster.lab import launch, processes
from ailab_dataproc.cluster.lab.logs import BYTES, KEPT, Log
from ailab_dataproc.cluster.lab.state import Life, Member, Plan, State

SHORTEST, LONGEST = 1.0, 60.0  # seconds before something is started again; doubled each time that it ends early
STEADY = 60.0  # seconds after which it is taken to run well
GRACE = {"workers": 15.0, "scheduler": 5.0, "jobs": 8.0}  # seconds to end after SIGTERM
_PAUSE = 0.2  # seconds between two looks
_logger = logging.getLogger("supervisor")


class Kept:
    """One process, its log, and when it is started next."""

    def __init__(self, member: Member, plan: Plan, folder: Path) -> None:
        self.member = member
        self._folder = folder
        self._environment = {**os.environ, **plan.environment, **member.environment, processes.COOKIE: plan.cookie}
        self._log = Log(folder / "logs" / f"{member.name}.log")
        self.process: subprocess.Popen[bytes] | None = None
        self.life = Life(name=member.name)
        self._delay, self._began, self._due = SHORTEST, 0.0, 0.0

    def look(self) -> bool:
        """Start what is due and note what has ended; whether something has changed."""
        if self.process is None:
            if time.monotonic() < self._due:
                return False
            try:
                self._start()
            except OSError as error:  # such as no memory for another process
                self._wait(f"not started, {error.strerror},")
            return True
        code = self.process.poll()
        if code is None:
            return False
        if time.monotonic() - self._began > STEADY:
            self._delay = SHORTEST
        self._wait(signal.Signals(-code).name if code < 0 else f"exit code {code}")
        return True

    def stop(self, seconds: float) -> None:
        """Wait for the end of what got SIGTERM before, or kill its tree."""
        if self.process is None:
            return
        below = processes.tree(self.process.pid)
        try:
            self.process.wait(timeout=max(seconds, 0))
        except subprocess.TimeoutExpired:
            _logger.warning("%s didn't end at SIGTERM and gets SIGKILL", self.member.name)
            processes.kill(below)
            self.process.wait()

    def _wait(self, why: str) -> None:
        """Note an end, and when to start again."""
        told = f"{why} at {_now()}"
        _logger.warning("%s ended: %s; again in %g s", self.member.name, told, self._delay)
        self.life = Life(name=self.member.name, restarts=self.life.restarts + 1, last_exit=told)
        self.process, self._due = None, time.monotonic() + self._delay
        self._delay = min(self._delay * 2, LONGEST)

    def _start(self) -> None:
        # In its own group: a signal to the terminal's group or to the supervisor's isn't for it.
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *self.member.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            env=self._environment,
            process_group=0,
        )
        assert self.process.stdout is not None  # noqa: S101 - for the type checker: PIPE makes one
        self._log.follow(self.process.stdout)
        self._began = time.monotonic()
        self.life = _life(self.member.name, self.process.pid, self.life.restarts, self.life.last_exit)
        _logger.info("%s started (pid %s)", self.member.name, self.process.pid)


def supervise(folder: Path) -> None:
    """Keep the processes of a plan alive until SIGTERM.

    Args:
        folder: of the cluster.
    """
    from filelock import FileLock

    plan = Plan.read(folder)
    if plan is None:
        raise SystemExit(f"{folder}: has no plan")
    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with FileLock(folder / "lock", timeout=0):
        me = _life("supervisor", os.getpid())
        kept = [Kept(member, plan, folder) for member in plan.members]
        written = False
        while not asked:
            changed = True in {one.look() for one in kept}  # each of them is looked at
            if changed or not written:
                written = _write(State(supervisor=me, members=tuple(one.life for one in kept)), folder)
            time.sleep(_PAUSE)
        _logger.info("ending at %s", signal.Signals(asked[0]).name)
        _end(kept, plan)
        State.remove(folder)
    _logger.info("ended")


def _write(state: State, folder: Path) -> bool:
    """Write the state; a full disk ends no cluster."""
    try:
        state.write(folder)
    except OSError as error:
        _logger.warning("the state can't be written: %s", error)
        return False
    return True


def main(folder: Path) -> None:
    """Supervise, with a log of bounded size."""
    log = logging.handlers.RotatingFileHandler(folder / "logs" / "supervisor.log", maxBytes=BYTES, backupCount=KEPT)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=[log])
    try:
        supervise(folder)
    except Exception:
        _logger.exception("the supervisor failed")
        raise


def _end(kept: list[Kept], plan: Plan) -> None:
    """Workers first, who say good-bye to the scheduler."""
    for group, seconds in (("workers", GRACE["workers"]), ("scheduler", GRACE["scheduler"])):
        some = [one for one in kept if one.member.schedules == (group == "scheduler")]
        for one in some:
            if one.process is not None:
                processes.terminate(one.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        for one in some:
            one.stop(deadline - time.monotonic())
    if left := processes.sweep(plan.cookie, GRACE["jobs"]):
        _logger.warning("%s processes were left over and got SIGKILL", left)


def _life(name: str, pid: int, restarts: int = 0, last_exit: str = "") -> Life:
    began = processes.began(pid) or ""  # of one that has ended at once nothing is known; the next look tells
    return Life(name=name, pid=pid, began=began, since=_now(), restarts=restarts, last_exit=last_exit)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
