"""How often NewsAPI's developer plan answers one key: 50 times in 12 hours (https://newsapi.org/pricing)."""

import os
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from localcloud.process.part import clock_scale

REQUESTS: Final = 50
WINDOW_SECONDS: Final = 12 * 3600
VARIABLE: Final = "LOCALCLOUD_NEWS_REQUESTS"
"""Environment variable with another number of requests in 12 hours, or `unlimited`."""
_UNLIMITED: Final = "unlimited"


@dataclass(kw_only=True)
class DeveloperPlan:
    """What each key has asked; counts it even where nothing is limited."""

    requests: int | None = REQUESTS
    seconds: float = WINDOW_SECONDS
    """Length of the window in real seconds."""
    asked: int = 0
    """Requests so far, of all keys."""
    _answered: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the plan of a local cloud, whose clock runs through the 12 hours as it runs through schedules."""
        wanted = environment.get(VARIABLE) or str(REQUESTS)
        seconds = WINDOW_SECONDS / clock_scale(environment)
        return cls(requests=None if wanted == _UNLIMITED else int(wanted), seconds=seconds)

    def takes(self, key: str, now: float | None = None) -> bool:
        """Whether a request with this key at `now` (monotonic seconds) is within the plan; it counts if it is."""
        now = time.monotonic() if now is None else now
        self.asked += 1
        answered = self._answered[key]
        while answered and answered[0] <= now - self.seconds:
            answered.popleft()
        if self.requests is not None and len(answered) >= self.requests:
            return False
        answered.append(now)
        return True
