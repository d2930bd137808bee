"""A process beside a measured one, which watches the memory of it and of its children: a thread would slow it down.

    python benchmarks/watcher.py PID    # prints bytes at the start; after a line on stdin, the most there were

Bytes are those that are resident, and of them those that no file stands behind.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time

import psutil

_POLL = 0.005  # seconds between two looks at the memory
_SEARCH = 0.1  # seconds between two searches for child processes
_SHARE = 20  # times what a search takes is waited at least: it goes through all processes of the machine


def main(pid: int) -> None:
    """Watch until a line comes, or the other end is gone."""
    process = psutil.Process(pid)
    tree, due = _find(process), 0.0
    most = _look(tree)
    print(json.dumps(most), flush=True)
    while not select.select([sys.stdin], [], [], _POLL)[0]:
        started = time.perf_counter()
        if started >= due:
            tree = _find(process)
            ended = time.perf_counter()
            due = ended + max(_SEARCH, _SHARE * (ended - started))
        most = [max(old, new) for old, new in zip(most, _look(tree), strict=True)]
    print(json.dumps([max(old, new) for old, new in zip(most, _look(_find(process)), strict=True)]))


def _find(process: psutil.Process) -> list[psutil.Process]:
    return [process, *(one for one in process.children(recursive=True) if one.pid != os.getpid())]


def _look(tree: list[psutil.Process]) -> list[int]:
    resident = own = 0
    for one in tree:
        try:
            found = one.memory_info()
        except psutil.NoSuchProcess:  # it has ended meanwhile
            continue
        resident += found.rss
        own += found.rss - getattr(found, "shared", 0)
    return [resident, own]


if __name__ == "__main__":
    main(int(sys.argv[1]))
