"""One clock for every wait of the releaser.

`LOCALCLOUD_CLOCK=x20` makes waiting twenty times faster, so that a watch window of five minutes takes fifteen seconds
in a rehearsal. Only waiting is scaled: time limits of requests and the durations in reports stay real seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from release.errors import UsageError

VARIABLE = "LOCALCLOUD_CLOCK"


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, with waiting divided by `scale`."""

    scale: float = 1.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Clock:
        """The clock that `LOCALCLOUD_CLOCK` asks for; without it, real time."""
        text = environment.get(VARIABLE, "").strip()
        if not text:
            return cls()
        try:
            scale = float(text.lower().removeprefix("x"))
        except ValueError:
            scale = 0.0
        if not 0 < scale < float("inf"):
            raise UsageError(
                f"{VARIABLE}={text} is not a time scale",
                why="waiting is divided by it, so it must be a positive number",
                next_step=f"write it like {VARIABLE}=x20",
            )
        return cls(scale)

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of this clock."""
        time.sleep(max(0.0, seconds / self.scale))

    def elapsed(self, since: float) -> float:
        """Seconds of this clock since `since`, a value of `monotonic()`."""
        return (self.monotonic() - since) * self.scale

    def both(self, since: float) -> dict[str, float]:
        """The time since `since` in real seconds and in seconds of this clock, for reports."""
        real = self.monotonic() - since
        return {"seconds": round(real, 3), "clock_seconds": round(real * self.scale, 3)}

    @staticmethod
    def monotonic() -> float:
        """Real seconds from an arbitrary start; never goes back."""
        return time.monotonic()

    @staticmethod
    def now() -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    @classmethod
    def stamp(cls) -> str:
        """The wall clock as the ledger writes it, to the millisecond."""
        return cls.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
