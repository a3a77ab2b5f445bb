"""AWS's habits: what it does late, or only so often at a time. One row for each; all are off unless switched on. Pure.

`LOCALCLOUD_HABITS` holds `all`, or names of rows and commas. Times are seconds of `LOCALCLOUD_CLOCK`, drawn between the
two sizes of the row by `LOCALCLOUD_SEED` and the subject, so that a run can be repeated.
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Final, NamedTuple, Self

from localcloud.errors import LocalCloudError
from localcloud.process.part import clock_scale

VARIABLE: Final = "LOCALCLOUD_HABITS"
REHEARSED: Final = "all"
"""What the demo and the rehearsals switch on where the environment says nothing."""


class Habit(NamedTuple):
    """One habit: its least and greatest size, what AWS does, and how that is known.

    The test that fails without it is `test_` and its name, in tests/localcloud/test_habits.py.
    """

    name: str
    least: float
    most: float
    unit: str
    aws: str
    source: str


LATE_METRICS: Final = Habit(
    *("late-metrics", 60, 180, "s"),
    "The metrics of an invocation are visible so long after the call; alarms on them ring later still",
    "Lambda developer guide, CloudWatch metrics: sent in intervals of a minute; reported are 1 to 3 minutes",
)
WEIGHTED_COUNTS: Final = Habit(
    *("weighted-counts", 0, 0, "s"),
    "Metrics by ExecutedVersion exist only of calls through an alias that has weights",
    "Lambda developer guide, CloudWatch metrics: for two versions that are targets of a weighted alias",
)
SLOW_RIGHTS: Final = Habit(
    *("slow-rights", 4, 12, "s"),
    "A new role, a new statement of a role's policy and a new permission of a function act so much later",
    "IAM user guide, eventual consistency; the AWS provider repeats CreateFunction for that reason",
)
SLOW_URLS: Final = Habit(
    *("slow-urls", 2, 8, "s"),
    "A new function URL answers 404 for so long, and then 403 until its permissions act",
    "Public issue threads, such as simple-container-com/api#83",
)
UPDATING: Final = Habit(
    *("updating", 1, 5, "s"),
    "For so long a new function is Pending and cannot be called, and an updated one takes no Update* or PublishVersion",
    "Lambda developer guide, function states: ResourceConflictException",
)
COLD_STARTS: Final = Habit(
    *("cold-starts", 2.3, 3.0, "s"),
    "The first call of each environment takes so much longer at 256 MB, and with twice the memory half of it",
    "Estimated for the first `/health` of the dashboard at 0.145 vCPU",
)
CONCURRENCY: Final = Habit(
    *("concurrency", 10, 10, "calls"),
    "All functions of a new account together run so many calls at a time; the next one is answered 429",
    "Lambda developer guide, quotas: new accounts have reduced concurrency; reported are 10",
)
LATE_INDEXES: Final = Habit(
    *("late-indexes", 0.1, 1, "s"),
    "A global secondary index follows a write to its table so much later; S3 and reads of the table are consistent",
    "DynamoDB developer guide, global secondary indexes: within a fraction of a second",
)
HABITS: Final = tuple(row for row in list(vars().values()) if isinstance(row, Habit))


class Habits(NamedTuple):
    """Those that are on, how fast their seconds go by, and what chance begins with."""

    names: frozenset[str] = frozenset()
    scale: float = 1.0
    seed: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the variables; raises LocalCloudError for a name that is in no row."""
        known = frozenset(habit.name for habit in HABITS)
        names = frozenset(filter(None, environment.get(VARIABLE, "").split(",")))
        if unknown := names - known - {"all"}:
            raise LocalCloudError(
                f"{VARIABLE} knows no {', '.join(sorted(unknown))}",
                next_step=f"name some of these: all, {', '.join(sorted(known))}",
            )
        seed = environment.get("LOCALCLOUD_SEED", "")
        return cls(known if "all" in names else names, clock_scale(environment), seed)

    def has(self, habit: Habit) -> bool:
        """Whether it is on."""
        return habit.name in self.names

    def seconds(self, habit: Habit, subject: str) -> float:
        """Real seconds that it takes of this subject, the same whenever asked; 0 when it is off."""
        if not self.has(habit):
            return 0.0
        drawn = hashlib.sha256(f"{self.seed}/{habit.name}/{subject}".encode()).digest()
        share = int.from_bytes(drawn[:4]) / 0xFFFFFFFF
        return (habit.least + share * (habit.most - habit.least)) / self.scale
