"""Ends a part of the local cloud when its supervisor is gone, however that one ended.

The supervisor holds the write end of every part's standard input and never writes to it. The kernel closes that
end even after SIGKILL, so end-of-file is the one signal that no crash can lose.
"""

import os
import threading


def exit_when_parent_is_gone() -> None:
    """Start watching standard input when the supervisor asked for it (``LOCALCLOUD_PARENT_WATCH=1``)."""
    if os.environ.get("LOCALCLOUD_PARENT_WATCH") != "1":
        return
    threading.Thread(target=_wait_for_end, name="parent-watch", daemon=True).start()


def _wait_for_end() -> None:
    # The bare descriptor: a thread blocked in sys.stdin's lock would make the interpreter abort at its own end.
    while os.read(0, 1024):
        pass
    os._exit(0)
