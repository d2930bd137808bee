"""Run as a script: become another program that ends when its parent does (Linux; elsewhere `cluster down` finds it)."""

import ctypes
import os
import signal
import sys

_SET_PDEATHSIG = 1  # of prctl: the signal that this process gets at its parent's death; it outlasts execv


def main() -> None:
    """Arguments: the parent's pid, the program, its arguments."""
    parent, program, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it has died meanwhile
        sys.exit(1)
    os.execv(program, [program, *arguments])  # noqa: S606 - a list of arguments, no shell


if __name__ == "__main__":
    main()
