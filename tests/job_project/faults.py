"""A small project whose functions run as jobs in tests of faults. Each says in a folder what it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def nothing():
    return None


def wait(folder):
    """Say that it has begun, and go on as soon as the test says so."""
    here = Path(folder)
    (here / f"began-{os.getpid()}").touch()
    print("began", os.getpid())
    until(here / "go")
    print("went on")
    return 42


def until(path):
    while not path.exists():
        time.sleep(0.02)


def once(folder, number):
    """Fail where it has run before."""
    os.close(os.open(Path(folder) / f"ran-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    return number


def with_tasks(folder):
    """Compute with the tasks of all workers, which wait until the test says so."""
    from distributed import Client

    def slow(number, path):  # travels by value
        import os
        import time

        while not os.path.exists(path):
            time.sleep(0.05)
        return number

    with Client() as client:
        futures = client.map(slow, range(8), path=f"{folder}/go", pure=False)
        (Path(folder) / f"began-{os.getpid()}").touch()
        return sum(client.gather(futures))


def eat(megabytes):
    """Take memory in a process of its own, and keep it for a while."""
    code = f"import time; b = bytes([1]) * {megabytes}_000_000; time.sleep(20); print('ate', len(b))"
    return subprocess.run([sys.executable, "-c", code], check=True).returncode


_SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
_DEAF = [sys.executable, "-S", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
_DAEMON = """
import os, subprocess
if os.fork() == 0:
    os.setsid()
    quiet = subprocess.DEVNULL
    print(subprocess.Popen({sleep}, stdin=quiet, stdout=quiet, stderr=quiet).pid, flush=True)
"""


def leave(folder, then="end"):
    """Start processes that would outlive it: without hangup, in a session of its own, deaf to SIGTERM, a daemon."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    daemon = subprocess.run(
        [sys.executable, "-S", "-c", _DAEMON.format(sleep=_SLEEP)], stdout=subprocess.PIPE, check=True
    )
    pids = [
        subprocess.Popen(["nohup", *_SLEEP], **quiet).pid,
        subprocess.Popen(_SLEEP, start_new_session=True, **quiet).pid,
        subprocess.Popen(_DEAF, **quiet).pid,
        int(daemon.stdout),
    ]
    tell(folder, "pids", *pids)
    if then == "wait":
        until(Path(folder) / "go")
    return pids


def tidy_up(folder):
    """Wait, with a handler of SIGTERM that puts things in order."""

    def handler(number, frame):
        tell(folder, "tidied", number)
        sys.exit(0)

    signal.signal(signal.SIGTERM, handler)
    wait(folder)


def tell(folder, name, *words):
    """Write a file that is there as a whole or not at all."""
    part = Path(folder) / f"{name}.part"
    part.write_text(" ".join(str(word) for word in words))
    part.rename(Path(folder) / name)


def betray():
    """Print a secret in each way that there is, and raise it."""
    secret = os.environ["LAB_TOKEN"]
    print("the token is", secret)
    sys.stderr.write(f"{secret[:10]}")  # in two pieces
    sys.stderr.flush()
    time.sleep(0.3)
    sys.stderr.write(f"{secret[10:]}\n")
    subprocess.run([sys.executable, "-c", "import os; print(os.environ['LAB_TOKEN'])"], check=True)
    raise ValueError(f"refused the token {secret}")


def length_of_secret():
    return len(os.environ["LAB_TOKEN"])


def eat_and_end(megabytes):
    return len(bytes([1]) * 1_000_000 * megabytes) // 1_000_000
