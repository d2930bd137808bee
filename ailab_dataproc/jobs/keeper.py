"""Keeps a job's processes: run as a file with the standard library only, it starts one command and leaves none behind.

    python -I -S keeper.py STATUS GRACE SILENCE COMMAND…

It stands between a Dask worker and the process of a job (the driver), in a session of its own:

- Standard input is a pipe from the worker. Its first byte starts the command; its end says that the worker is gone,
  and so do SILENCE seconds without a byte (a frozen machine). Then all is killed at once.
- SIGTERM asks for an orderly end: the driver gets SIGTERM and GRACE seconds, then what is left is killed.
- When the driver has ended, whatever it started and left behind (nohup, setsid, a double fork) is ended too.
- STATUS is the number of a pipe that gets a line of JSON when the driver starts, and one when nothing is left.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time

_SUBREAPER, _DEATHSIG = 36, 1  # of prctl
_SELF = 0.3  # seconds in which helpers of the driver end by themselves, such as multiprocessing's
_AFTER = 2.0  # seconds that processes have after SIGTERM which the driver left behind
_STUCK = 20.0  # seconds after which those are left alone that SIGKILL doesn't end
_GONE = signal.SIGUSR1  # what the kernel sends when the worker has died
_HEARD: tuple[int, ...] = (signal.SIGCHLD, signal.SIGTERM, _GONE)
_DEAF = (signal.SIGINT, signal.SIGHUP)
_LINUX = sys.platform == "linux"


def main(arguments: list[str]) -> int:
    """Start the command, wait for its end, end what it left, and tell of it."""
    status, grace, silence, command = int(arguments[0]), float(arguments[1]), float(arguments[2]), arguments[3:]
    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring)
    for number in _HEARD:
        signal.signal(number, lambda *_: None)
    for number in _DEAF:
        signal.signal(number, signal.SIG_IGN)
    _prctl(_SUBREAPER, 1)  # orphans come here
    _prctl(_DEATHSIG, _GONE)
    if not os.read(0, 1):
        return 0
    driver = _start(command, (status, bell, ring))
    _tell(status, pid=driver)
    kept = _Kept(driver)
    _wait(kept, bell, grace, silence)
    left = kept.end(_AFTER)
    _tell(status, code=kept.code, left=left, stuck=kept.stuck, peak=kept.peak)
    return 0


class _Kept:
    """The driver and all that comes of it."""

    def __init__(self, driver: int) -> None:
        self.driver = driver
        self.code: int | None = None  # of the driver; negative: a signal
        self.gone = False  # nothing is left
        self.stuck = 0  # processes that couldn't be ended
        self.peak = 0  # bytes, the most that one of them had, of those that have ended

    def reap(self) -> None:
        """Take the codes of those that have ended."""
        try:
            while True:
                pid, status, used = os.wait4(-1, os.WNOHANG)
                if not pid:
                    return
                self.peak = max(self.peak, used.ru_maxrss * (1024 if _LINUX else 1))
                if pid == self.driver:
                    self.code = os.waitstatus_to_exitcode(status)
        except ChildProcessError:  # on Linux every orphan is a child of ours
            self.gone = _LINUX or not self.find()

    def find(self) -> list[int]:
        """All of them."""
        return descendants(os.getpid(), None if _LINUX else self.driver)

    def send(self, number: int) -> int:
        """Signal all of them; returns how many there are."""
        found = self.find()
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        return len(found)

    def end(self, grace: float) -> int:
        """SIGTERM to what is left, SIGKILL after a grace until nothing is left; returns how many there were."""
        self.reap()
        begun = time.monotonic()
        while grace and not self.gone and time.monotonic() < begun + _SELF:
            time.sleep(0.01)
            self.reap()
        left = 0 if self.gone or not grace else self.send(signal.SIGTERM)
        while not self.gone:
            time.sleep(0.01)
            self.reap()
            if time.monotonic() > begun + grace + _STUCK:
                self.stuck = len(self.find())
                break
            if not self.gone and time.monotonic() >= begun + grace:
                self.send(signal.SIGKILL)
        return left


def _wait(kept: _Kept, bell: int, grace: float, silence: float) -> None:
    """Until the driver has ended, or has been asked to and its time is over, or the worker is gone."""
    asked = False
    deadline = time.monotonic() + silence
    while True:
        ready, _, _ = select.select([bell, 0], [], [], max(deadline - time.monotonic(), 0))
        rung = os.read(bell, 100) if bell in ready else b""
        heard = os.read(0, 100) if 0 in ready else b"."
        kept.reap()
        if kept.code is not None:
            return
        if 0 in ready and not asked:
            deadline = time.monotonic() + silence
        if _GONE in rung or not heard or time.monotonic() >= deadline:
            kept.end(0)
            return
        if signal.SIGTERM in rung and not asked:
            asked, deadline = True, time.monotonic() + grace
            os.kill(kept.driver, signal.SIGTERM)


def _start(command: list[str], ours: tuple[int, ...]) -> int:
    """Fork and run the command, in a session of its own, so that a signal to its group doesn't reach us."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (*_HEARD, *_DEAF):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number in ours:
            os.close(number)
        _prctl(_DEATHSIG, signal.SIGKILL)
        if _LINUX:
            with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
                file.write("900")  # where the machine is out of memory the kernel takes the job, and not the worker
        if os.getppid() == parent:
            os.execv(command[0], command)  # noqa: S606
    except OSError as error:
        os.write(2, f"{command[0]}: can't be run ({error.strerror}).\n".encode())
    os._exit(127)


def descendants(root: int, session: int | None = None) -> list[int]:
    """The processes below one, near ones first.

    Args:
        root: the process.
        session: orphans of this session count as its children, where the system gives orphans to process 1.
    """
    below: dict[int, list[int]] = {}
    for pid, parent in _linux_pairs() if _LINUX else _ps_pairs(root, session):
        below.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        todo = [child for pid in todo for child in below.pop(pid, ())]
        found += todo
    return found


def _linux_pairs() -> list[tuple[int, int]]:
    """Each process of this machine with its parent."""
    pairs = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                # Behind the command, which stands in brackets and may hold anything: the state, then the parent.
                pairs.append((int(name), int(file.read().rpartition(b")")[2].split()[1])))
    return pairs


def _ps_pairs(root: int, session: int | None) -> list[tuple[int, int]]:
    import subprocess

    out = subprocess.run(["/bin/ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=True).stdout
    pairs = []
    for line in out.splitlines():
        pid, parent = map(int, line.split())
        with contextlib.suppress(OSError):
            orphan = parent == 1 and session is not None and os.getsid(pid) == session
            pairs.append((pid, root if orphan else parent))
    return pairs


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _tell(status: int, **said: object) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(status, json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
