"""Runs inside a sandbox, before the function's code: started as a script by the bare interpreter (``-I -S``).

It narrows the import path to the function's package, the standard library and the runtime's own folder, ties the
process to the service that started it, and hands over to AWS's runtime interface client.
"""

import os
import signal
import sys
import threading


def _end_with(parent: int) -> None:
    """Kill this process and its children as soon as the service is gone, however it ended."""
    while os.read(parent, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


def _run() -> None:
    # The service holds the other end of stdin. Functions get an empty stdin instead, and never that descriptor.
    parent = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with, args=(parent,), name="parent-watch", daemon=True).start()
    sys.path[:] = [os.environ["LAMBDA_TASK_ROOT"], *sys.path, os.environ["LAMBDA_RUNTIME_DIR"]]
    sys.argv = ["bootstrap", os.environ["_HANDLER"]]

    from awslambdaric.__main__ import main  # noqa: PLC0415  importable only now

    main(sys.argv)


_run()
