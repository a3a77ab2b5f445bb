"""Every number that the releaser decides with, in one table.

Each can be set by an environment variable: `RELEASE_` and the name in capitals (`RELEASE_SAMPLE=200`). The two that
people change most have an option too: `release promote --sample 200 --watch 120`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from release.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Limits and lengths; seconds marked "clock" are scaled by `LOCALCLOUD_CLOCK`, all others are real."""

    sample: int = 800
    """Requests that the judge sends to the dark candidate."""
    sample_limit: int = 4
    """Errors in the sample that make the verdict `fail`: at 800 requests this finds 1 % errors in 96 % of cases."""
    sample_unmeasured_limit: int = 20
    """Requests without any answer of the function (throttled, no connection) that make the verdict `inconclusive`."""
    sample_workers: int = 4
    """Requests in flight at once, and so the instances of the candidate that are started."""
    answer_limit_s: float = 3.0
    """An answer that takes longer is an error."""

    watch_s: float = 300.0
    """Length of the watch window after traffic has moved (clock)."""
    watch_poll_s: float = 5.0
    """Pause between two looks at health and alarms (clock)."""
    watch_health_limit: int = 2
    """Wrong health answers in the window that make the verdict `fail`."""
    watch_unmeasured_limit: int = 3
    """Looks in a row without an answer that make the verdict `inconclusive`."""
    settle_s: float = 30.0
    """How long the previous release may still answer after an alias has moved (clock)."""

    restored_answers: int = 5
    """Right health answers in a row that count as "traffic is restored"."""
    restored_limit_s: float = 60.0
    """Time within which they must arrive."""

    lease_wait_s: float = 1800.0
    """How long to wait for another run that holds the lease (clock)."""
    lease_poll_s: float = 5.0
    """Pause between two tries to take the lease (clock)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0 and field.name not in {"watch_s", "lease_wait_s", "settle_s"}:
                raise UsageError(f"{field.name} must be greater than 0, not {getattr(self, field.name)}")
        if self.sample < self.sample_limit:
            raise UsageError(
                f"a sample of {self.sample} requests can never show {self.sample_limit} errors",
                why="every release would pass",
                next_step=f"use --sample {self.sample_limit} or more",
            )

    @classmethod
    def load(cls, environment: Mapping[str, str], **options: float | None) -> Settings:
        """The table with what the environment and the command line (`options`, `None` = not given) say."""
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
        values.update({name: value for name, value in options.items() if value is not None})
        return cls(**values)  # ty: ignore[invalid-argument-type] -- numbers, converted by the field's type above
