"""One at a time: a kernel lock on a disk, a lease object in a bucket. Both end with the process that holds them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ailab_dataproc.errors import AilabError, StorageFailed
from ailab_dataproc.storage.bucket import Bucket
from ailab_dataproc.storage.disk import Disk
from ailab_dataproc.storage.places import Folder
from ailab_dataproc.storage.sentences import explained

LOCK = ".lock-"  # how a lock's file begins
RENEW = 10.0  # seconds between two beats of a lease
STALE = 60.0  # seconds without a beat, by the watcher's clock, after which a lease's holder counts as dead
_LOOK = 0.5  # seconds between two looks at a lock that another holds
_SETTLE = 1.0  # seconds after a takeover in which another one's takeover would show
_log = logging.getLogger("ailab_dataproc")


class Held(StorageFailed):
    """Another process has the lock."""


@dataclass(slots=True)
class Lock:
    """A lock that this process has."""

    lost: threading.Event = field(default_factory=threading.Event)

    def check(self, what: str) -> None:
        """Raise `StorageFailed` where another process took the lock over, since this one was stopped for long."""
        if self.lost.is_set():
            raise StorageFailed(
                f"{what}: this process stood still for over {STALE:.0f} s, and another one took over. Run it again."
            )


@contextlib.contextmanager
def locked(folder: Folder, name: str, what: str, *, wait: bool = True) -> Iterator[Lock]:
    """Hold a lock while the block runs.

    Args:
        folder: where the lock's file stands; folders that had to be made for it are gone afterwards if empty.
        name: of the lock.
        what: for the message of those who wait: ``"{what} is being prepared by …"``.
        wait: whether to wait for the holder; otherwise raise `Held` once it is known to live.
    """
    waiting = _Waiting(what, wait)
    held = _lease(folder, LOCK + name, waiting) if isinstance(folder, Bucket) else _flock(folder, LOCK + name, waiting)
    with held as lock:
        yield lock


@dataclass(slots=True)
class _Waiting:
    """Says once who holds the lock, or refuses to wait."""

    what: str
    allowed: bool
    told: bool = False

    def look(self, holder: bytes, *, alive: bool = True) -> None:
        if alive and not self.allowed:
            raise Held(f"{self.what} is being prepared by {_spoken(holder)}.")
        if self.allowed and not self.told:
            _log.warning("%s is being prepared by %s; waiting …", self.what, _spoken(holder))
            self.told = True
        time.sleep(_LOOK)


@contextlib.contextmanager
def _flock(folder: Folder, name: str, waiting: _Waiting) -> Iterator[Lock]:
    import filelock

    path = Path(folder.path(name))
    made = [one for one in (path.parent, *path.parents) if not one.exists()]
    with explained(str(path), "write"):
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(path, timeout=0)
            try:
                lock.acquire()
                break
            except filelock.Timeout:
                waiting.look(path.read_bytes() if path.exists() else b"")
            except FileNotFoundError:  # its folder was empty, and pruned by the last holder
                continue
        path.write_bytes(_myself().encode())
    try:
        yield Lock()
    finally:
        with contextlib.suppress(FileNotFoundError):  # before releasing: who waits then sees that the file is gone
            path.unlink()
        lock.release()
        for one in made:
            Disk(str(one)).prune()


@contextlib.contextmanager
def _lease(folder: Bucket, name: str, waiting: _Waiting) -> Iterator[Lock]:
    token = uuid.uuid4().hex
    _take(folder, name, waiting, token)
    lock, done = Lock(), threading.Event()
    beats = threading.Thread(target=_beat, args=(folder, name, token, lock, done), daemon=True)
    beats.start()
    try:
        yield lock
    finally:
        done.set()
        beats.join()
        try:
            if _token(_content(folder, name)) == token:
                folder.remove_files([name])
        except AilabError as error:  # what was done stands, and the lease ends by itself
            _log.warning("%s: the lease was not removed (%s)", folder.path(name), error)


def _take(folder: Bucket, name: str, waiting: _Waiting, token: str) -> None:
    """Make the lease, at once or after its holder's end."""
    seen, since, beats = b"", time.monotonic(), 0
    while not folder.write_new(name, _myself(token).encode()):
        found = _content(folder, name)
        if _token(found) == token:  # made by a try whose answer was lost
            return
        if found != seen:
            seen, since, beats = found, time.monotonic(), beats + 1
        if found and (_is_dead(found) or time.monotonic() - since > STALE):
            if _content(folder, name) != found:
                continue
            folder.remove_files([name])
            if folder.write_new(name, _myself(token).encode()):
                time.sleep(_SETTLE)  # another watcher may have removed ours in place of the dead one's
                if _token(_content(folder, name)) == token:
                    return
        elif found:
            waiting.look(found, alive=beats > 1)


def _beat(folder: Bucket, name: str, token: str, lock: Lock, done: threading.Event) -> None:
    """Renew the lease until the work is done; tell the worker when another one has it."""
    number, renewed = 0, time.monotonic()
    while not done.wait(RENEW) and not lock.lost.is_set():
        number += 1
        late = time.monotonic() - renewed > STALE
        try:
            if late or _token(_content(folder, name)) != token:
                lock.lost.set()
            else:
                folder.write(name, _myself(token, number).encode())
                renewed = time.monotonic()
        except AilabError as error:  # the next beat may come through
            _log.warning("%s: the lease was not renewed (%s)", folder.path(name), error)


def _content(folder: Folder, name: str) -> bytes:
    return folder.read_many([name]).get(name, b"")


def _myself(token: str = "", beat: int = 0) -> str:
    told = {"pid": os.getpid(), "host": socket.gethostname(), "machine": _machine(), "token": token, "beat": beat}
    return json.dumps(told)


def _parsed(holder: bytes) -> dict[str, object]:
    try:
        found = json.loads(holder)
    except ValueError:  # just made, or made by something else
        return {}
    return found if isinstance(found, dict) else {}


def _spoken(holder: bytes) -> str:
    told = _parsed(holder)
    return f"pid {told['pid']} on host {told['host']}" if "pid" in told and "host" in told else "another process"


def _token(holder: bytes) -> object:
    return _parsed(holder).get("token")


def _is_dead(holder: bytes) -> bool:
    """Whether the holder was a process of this machine that is no more; False where that can't be known."""
    told = _parsed(holder)
    pid = told.get("pid")
    if told.get("machine") != _machine() or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        return False
    return False


@lru_cache(maxsize=1)
def _machine() -> str:
    """What processes share that see each other: the boot, and the container's process table."""
    boot = "/proc/sys/kernel/random/boot_id"
    try:
        return f"{Path(boot).read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux
        return f"{socket.gethostname()}/{uuid.getnode()}"
