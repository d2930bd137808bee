"""Logs of processes that run for months: what they print, in files of bounded size; and the last error in one."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path
from typing import IO

BYTES = 10_000_000  # of a file, before the next one is begun
KEPT = 3  # older files: NAME.log.1 is the newest of them
_TAIL = 20_000  # bytes that are searched for an error
# "ValueError: …", "ssl.SSLError: …", and Dask's own lines "2026-11-23 19:18:11,459 - distributed.nanny - ERROR - …"
_ERROR = re.compile(
    r"^(?:.* - (?:ERROR|CRITICAL) - )?(?P<told>(?:[\w.]*(?:Error|Exception|Failure|Timeout)\b|Error).*)$"
)


class Log:
    """One file that is written by threads, each reading from one process."""

    def __init__(self, file: Path, limit: int = BYTES) -> None:
        self._file, self._limit = file, limit
        self._lock = threading.Lock()
        self._out = self._open()

    def follow(self, pipe: IO[bytes]) -> threading.Thread:
        """Write what comes out of a pipe, until all who hold its other end are gone."""

        def pump() -> None:
            with pipe:
                while content := os.read(pipe.fileno(), 1 << 16):
                    with contextlib.suppress(OSError):  # a full disk loses lines; a full pipe would stop the process
                        self.write(content)

        thread = threading.Thread(target=pump, daemon=True)
        thread.start()
        return thread

    def write(self, content: bytes) -> None:
        """Append; a full file is put aside first."""
        with self._lock:
            if self._out.tell() and self._out.tell() + len(content) > self._limit:
                self._out.close()
                for number in range(KEPT - 1, 0, -1):
                    older = Path(f"{self._file}.{number}")
                    if older.exists():
                        older.replace(f"{self._file}.{number + 1}")
                self._file.replace(f"{self._file}.1")
                self._out = self._open()
            self._out.write(content)

    def _open(self) -> IO[bytes]:
        handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(handle, "ab", buffering=0)


def last_error(file: Path) -> str:
    """The last line of a log that tells of an error; its last line where none does; empty where there is none."""
    if not file.exists():
        return ""
    with file.open("rb") as log:
        log.seek(max(file.stat().st_size - _TAIL, 0))
        lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [found["told"] for line in lines if (found := _ERROR.match(line))]
    causes = [told for told in errors if "failed to start" not in told]  # Dask wraps what went wrong in such lines
    return (causes or errors or lines or [""])[-1][:300]
