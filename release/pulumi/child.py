"""Becomes a command that ends with its parent: `child.py PARENT COMMAND ...`, run as a script of its own.

The releaser starts the engine through it. When the releaser dies, however that happens, the engine is told to wind
up (SIGINT); at the latest its next line ends it, for nobody reads it any more, and then its lock stays. The engine does
not even begin where the releaser is gone already or has lost the right to change anything: it waits for the word on
standard input.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
GO = "go\n"


def main() -> None:
    """Wait for the word, and become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
    # From here on the signal comes; who died before has closed the pipe, and is no parent any more.
    if sys.stdin.readline() != GO or os.getppid() != int(sys.argv[1]):
        sys.exit(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the command would inherit that
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 -- the releaser names the command


if __name__ == "__main__":
    main()
