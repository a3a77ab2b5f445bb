"""Every number that the releaser decides with, in one table.

Each can be set by an environment variable: `RELEASE_` and the name in capitals (`RELEASE_QUESTIONS=200`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from release.errors import UsageError

METRIC_PERIOD_S: Final = 60
"""Lambda sends its metrics to CloudWatch every minute, and alarms on them have periods of a minute."""
_MAY_BE_ZERO: Final = frozenset({"metric_delay_s", "lease_wait_s", "settle_s", "bake_s"})
_PATIENCE: Final = frozenset({"lease_wait_s", "lease_poll_s", "approval_wait_h"})
"""Settings that judge no release."""
_SHARES: Final = frozenset({"broken_rate"})
_ELSEWHERE: Final = (
    "LOCALCLOUD_CLOCK",
    "RELEASE_INTEGRITY_URL",
    "RELEASE_OSV_URL",
    "RELEASE_SIGSTORE",
    "RELEASE_STACK_CONFIG",
)
"""Variables with another clock, other settings, or others to ask than production has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseSettings:
    """Limits and lengths; seconds marked "clock" are scaled by `LOCALCLOUD_CLOCK`, all others are real."""

    broken_rate: float = 0.01
    """Share of failed questions that the duel in the dark finds; it tolerates a tenth of it."""
    questions: int = 3000
    """Questions to a dark candidate at most."""
    workers: int = 48
    """Questions in flight at once, over all functions; never more than half of what the account may run at once."""
    answer_limit_s: float = 3.0
    """An answer that takes longer is late (real)."""

    metric_delay_s: float = 180.0
    """How late, at most, CloudWatch shows the metrics of a call (clock)."""
    watch_poll_s: float = 5.0
    """Pause between two looks at health and alarms (clock)."""
    weighted_requests: int = 120
    """Health requests in the first minute at 10 %: 10 % meet the new release (none of 120: 3 in a million)."""
    watch_unmeasured_limit: int = 3
    """Looks in a row without an answer that make the verdict `inconclusive`."""
    settle_s: float = 30.0
    """How long AWS takes at most until a moved alias, a new right or a new URL acts: nobody judges it (clock)."""

    bake_s: float = 3600.0
    """How long after the confirmation an alarm still takes traffic back (clock); 0: not at all."""

    restored_answers: int = 5
    """Right health answers in a row that count as "traffic is restored"."""
    restored_limit_s: float = 60.0
    """Time within which they must arrive."""

    step_work_s: float = 900.0
    """Real seconds that a step which moved traffic may take beside its windows, before the safety schedules act."""

    step_limit_s: float = 3000.0
    """Real seconds that a promotion may take in all: the time limit of its step in deploy-prod.yml."""

    approval_wait_h: float = 24.0
    """How long a run may wait for its approval before `release watch` tells it (hours, real)."""

    lease_wait_s: float = 600.0
    """How long to wait for another run that holds the lease (clock): the step's time holds this and a promotion."""
    lease_poll_s: float = 5.0
    """Pause between two tries to take the lease (clock)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or value < 0 or (value == 0 and field.name not in _MAY_BE_ZERO):
                raise UsageError(f"{field.name} must be greater than 0, not {value}")
            if field.name in _SHARES and value >= 1:
                raise UsageError(f"{field.name} is a share: it must be less than 1, not {value}")

    @property
    def sound_rate(self) -> float:
        """Share of failures that a sound release may have."""
        return self.broken_rate / 10

    @property
    def watch_s(self) -> float:
        """Length of a watch (clock): a minute to ask in, and then the metrics of that minute must be there.

        `watch` does not count it down: it ends when every look has seen enough.
        """
        return 2 * METRIC_PERIOD_S + self.metric_delay_s

    @property
    def longest_windows_s(self) -> float:
        """Length of all watches of a promotion at most, at 10 % and at 100 %, each taken twice (clock).

        With `step_work_s` it is what the time limit of the step in deploy-prod.yml must leave; a test compares them.
        """
        return 4 * self.watch_s

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> ReleaseSettings:
        """The table with what the environment says."""
        values: dict[str, float] = {}
        for field in fields(cls):
            number = int if field.type == "int" else float
            variable = f"RELEASE_{field.name.upper()}"
            text = environment.get(variable, "")
            if text:
                try:
                    values[field.name] = number(text)
                except ValueError:
                    raise UsageError(f"{variable}={text} is not a number") from None
        return cls(**values)  # ty: ignore[invalid-argument-type] -- numbers, converted by the field's type above


def changed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables, with their values, by which a release is judged otherwise than by the tables."""
    table = {
        f"RELEASE_{field.name.upper()}": str(field.default)
        for field in fields(ReleaseSettings)
        if field.name not in _PATIENCE
    }
    table |= dict.fromkeys(_ELSEWHERE, "")
    return {name: text for name, usual in table.items() if (text := environment.get(name, "")) not in {"", usual}}
