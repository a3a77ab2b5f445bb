"""One process at a time: locks that the kernel frees however their holder ends."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from localcloud.errors import LocalCloudError


@contextmanager
def alone(file: Path, refusal: LocalCloudError | None = None) -> Generator[None]:
    """Hold the lock `file` (made when missing, with its folder); others of this machine wait for it.

    With a `refusal` nobody waits: it is raised while another one holds the lock.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
        except BlockingIOError as error:
            raise (refusal or error) from None
        yield
