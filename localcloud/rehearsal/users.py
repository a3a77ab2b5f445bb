"""People who look at production's dashboard while a release is promoted, and what they see of it."""

import contextlib
import threading
import time
from http import HTTPStatus
from typing import Final, Self

import httpx

_PEOPLE: Final = 3
_PATIENCE_SECONDS: Final = 10.0


class Users:
    """Requests to a URL for the time of a `with` block, counted by whether they were answered.

    They have no key, so the right answer is 401: only what the service itself gets wrong counts as failed.

    Args:
        url: The dashboard.
        per_second: Requests of all users together.
    """

    def __init__(self, url: str, per_second: float) -> None:
        self._url = url
        self._pause = _PEOPLE / per_second
        self._left = threading.Event()
        self._lock = threading.Lock()
        self._people = [threading.Thread(target=self._look, daemon=True) for _ in range(_PEOPLE)]
        self.requests = 0
        self.failed = 0

    def __enter__(self) -> Self:
        for person in self._people:
            person.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        for person in self._people:
            person.join()

    def _look(self) -> None:
        with httpx.Client(timeout=_PATIENCE_SECONDS, trust_env=False) as client:
            while not self._left.is_set():
                asked = time.monotonic()
                answered = False
                with contextlib.suppress(httpx.HTTPError):
                    answered = client.get(self._url).status_code < HTTPStatus.INTERNAL_SERVER_ERROR
                with self._lock:
                    self.requests += 1
                    self.failed += not answered
                self._left.wait(max(0.0, self._pause - (time.monotonic() - asked)))
