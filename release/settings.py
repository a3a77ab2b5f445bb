"""Every number that the releaser decides with, in one table.

Each can be set by an environment variable: `RELEASE_` and the name in capitals (`RELEASE_SAMPLE=200`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from release.errors import UsageError

_MAY_BE_ZERO: Final = frozenset({"sample_limit", "watch_s", "last_look_s", "lease_wait_s", "settle_s"})
_PATIENCE: Final = frozenset({"lease_wait_s", "lease_poll_s"})
"""Settings that judge no release."""
_SHARES: Final = frozenset({"base_error_rate", "false_alarms", "sample_unmeasured"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseSettings:
    """Limits and lengths; seconds marked "clock" are scaled by `LOCALCLOUD_CLOCK`, all others are real."""

    sample: int = 800
    """Requests that the analysis sends to the dark candidate."""
    sample_limit: int = 0
    """Errors in the sample that make the verdict `fail`; 0: the limit that fits its size, 4 of 800."""
    base_error_rate: float = 0.001
    """Share of requests that a healthy release may fail: the network, AWS, a cold start that takes too long."""
    false_alarms: float = 0.01
    """Share of healthy releases that the sample may reject."""
    sample_unmeasured: float = 0.025
    """Share of requests without any answer of the function (throttled, no connection) that is `inconclusive`."""
    sample_workers: int = 4
    """Requests in flight at once, and so the instances of the candidate that are started."""
    answer_limit_s: float = 3.0
    """An answer that takes longer is an error."""

    watch_s: float = 300.0
    """Length of the watch window at 10 % (clock)."""
    watch_long_factor: float = 2.0
    """Without a step at 10 %, everybody is on the new release at once: it is watched this many times longer."""
    last_look_s: float = 60.0
    """Length of the last look at 100 %, after a window at 10 % (clock): one period of the alarms."""
    watch_poll_s: float = 5.0
    """Pause between two looks at health and alarms (clock)."""
    weighted_requests: int = 120
    """Health requests in the window at 10 %, at least: 10 % meet the new release (none of 120: 3 in a million)."""
    weighted_errors_limit: int = 2
    """Errors that CloudWatch counts for the new version of a function at 10 % that make the verdict `fail`."""
    weighted_unmeasured_limit: int = 3
    """Looks in a row at these counts without an answer of CloudWatch that make the verdict `inconclusive`."""
    watch_health_limit: int = 2
    """Wrong health answers in a window that make the verdict `fail`."""
    watch_unmeasured_limit: int = 3
    """Looks in a row without an answer that make the verdict `inconclusive`."""
    settle_s: float = 30.0
    """How long the previous release may still answer after an alias has moved (clock)."""

    restored_answers: int = 5
    """Right health answers in a row that count as "traffic is restored"."""
    restored_limit_s: float = 60.0
    """Time within which they must arrive."""

    step_work_s: float = 900.0
    """Real seconds that a step which moved traffic may take beside its windows, before the safety schedules act."""

    step_limit_s: float = 3000.0
    """Real seconds that a promotion may take in all: the time limit of its step in deploy-prod.yml."""

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
        if self.sample < self.sample_limit:
            raise UsageError(
                f"a sample of {self.sample} requests can never show {self.sample_limit} errors",
                why="every release would pass",
                next_step=f"RELEASE_SAMPLE={self.sample_limit} or more",
            )

    @property
    def unmeasured_limit(self) -> int:
        """Requests without any answer that make a sample `inconclusive`: 20 of 800."""
        return max(1, round(self.sample * self.sample_unmeasured))

    @property
    def longest_windows_s(self) -> float:
        """Length of all watch windows of a promotion at most, each extended once (clock).

        With `step_work_s` it is what the time limit of the step in deploy-prod.yml must leave; a test compares them.
        """
        return 2 * (self.watch_s * max(1.0, self.watch_long_factor) + self.last_look_s)

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
    table |= dict.fromkeys(("LOCALCLOUD_CLOCK", "RELEASE_STACK_CONFIG"), "")
    return {name: text for name, usual in table.items() if (text := environment.get(name, "")) not in {"", usual}}
