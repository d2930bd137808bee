"""The process tree of an attempt, as the worker holds it: a keeper and what it started."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ailab_dataproc.jobs import keeper

GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_PIPE = 1 << 20  # bytes of output that wait to be read
_SET_SIZE = 1031  # F_SETPIPE_SZ of Linux


_LINUX = sys.platform == "linux"


class Tree:
    """Processes that end with this thread, with this process, and when they are told to."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, silence: float) -> None:
        """Start a keeper, which starts the command when told to.

        Args:
            command: of the job's process.
            environment: of it.
            folder: that it runs in.
            silence: seconds without `touch` after which the keeper ends everything.
        """
        self._status, status = os.pipe()
        self._said = b""
        self.code: int | None = None  # of the job's process; negative: a signal
        self.left = 0  # processes that it left behind, which were ended
        self.peak = 0  # bytes, the most that one process had, with the files that it had mapped
        line = [sys.executable, "-I", "-S", keeper.__file__, str(status), str(GRACE), str(silence), *command]
        try:
            self._process = subprocess.Popen(
                line,
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[status],
                start_new_session=True,
            )
        finally:
            os.close(status)
        assert self._process.stdin  # noqa: S101 - a pipe, as asked
        assert self._process.stdout  # noqa: S101 - so, too
        self._life, self.output = self._process.stdin, self._process.stdout.fileno()
        with contextlib.suppress(OSError):  # the kernel has a limit for a user
            fcntl.fcntl(self.output, _SET_SIZE, _PIPE)

    @property
    def pid(self) -> int:
        """Of the keeper, which all the others are below."""
        return self._process.pid

    def touch(self) -> None:
        """Start the command, or tell the keeper that this worker lives."""
        with contextlib.suppress(OSError, ValueError):  # it has ended, or was told to
            os.write(self._life.fileno(), b".")

    def ask(self) -> None:
        """Ask for an orderly end: SIGTERM to the job's process, and SIGKILL to what there is after a grace."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End everything now."""
        self._life.close()
        with contextlib.suppress(ProcessLookupError):  # a task of the worker that forked may hold the pipe
            self._process.send_signal(signal.SIGUSR1)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of all processes; returns whether it has come."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._status], [], [], left)[0]:
                return False
            said = os.read(self._status, 4096)
            self._said += said
            if not said:  # the keeper is gone
                self._process.wait()
                self._read()
                return True
        return False

    def close(self, job: str) -> None:
        """End what is left of it.

        Args:
            job: the id, by which orphans are found whose keeper was killed.
        """
        self.kill()
        if self._process.wait() and _LINUX:
            _end_orphans(job)
        os.close(self._status)
        self._process.stdout.close()  # type: ignore[union-attr]

    def _read(self) -> None:
        for line in self._said.splitlines():
            said: dict[str, Any] = json.loads(line)
            if "code" in said:
                self.code, self.left, self.peak = said["code"], said["left"], said["peak"]


def _end_orphans(job: str) -> None:
    """SIGKILL to all processes that have the job's id in their environment; the driver ended with its keeper."""
    mark = f"AILAB_JOB={job}".encode()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:  # another user's, or gone
                if mark in file.read().split(b"\0"):
                    os.kill(int(name), signal.SIGKILL)
