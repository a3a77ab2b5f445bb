"""Becomes a command that ends with its parent: `child.py PARENT PATIENCE COMMAND ...`, run as a script of its own.

The releaser starts the engine through it. When the releaser dies, however that happens, the engine is told to wind
up (SIGINT); at the latest its next line ends it, for nobody reads it any more, and then its lock stays. A releaser that
hangs (its machine sleeps, somebody has stopped it) says no word for `PATIENCE` seconds of the wall clock: the engine is
killed then, before it can write a state over that of whoever has taken over. It does not even begin where the releaser
is gone already or has lost the right to change anything: it waits for the first word on standard input.
"""

import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
GO = "go\n"
BEAT = "."


def main() -> None:
    """Wait for the word, and become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
    # From here on the signal comes; who died before has closed the pipe, and is no parent any more.
    if sys.stdin.readline() != GO or os.getppid() != int(sys.argv[1]):
        sys.exit(1)
    if os.fork() == 0:
        _watch(float(sys.argv[2]))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the command would inherit that
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 -- the releaser names the command


def _watch(patience: float) -> None:
    """Kill the command, and everything in its process group, when the releaser has said nothing for too long."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # or whoever reads the command's output would wait for us
    os.dup2(nowhere, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    heard = time.time()
    while True:
        said, _, _ = select.select([0], [], [], 1.0)
        if time.time() - heard > patience:  # also when a word comes just now: the machine has slept
            os.killpg(os.getpgrp(), signal.SIGKILL)
        if said:
            if not os.read(0, 4096):  # the command has ended, or the releaser is dead: then the signal comes
                os._exit(0)
            heard = time.time()


if __name__ == "__main__":
    main()
