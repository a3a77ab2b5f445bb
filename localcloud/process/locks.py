"""One process at a time: locks that the kernel frees however their holder ends."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(file: Path) -> Generator[None]:
    """Hold the lock `file` (made when missing, with its folder); others of this machine wait for it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
