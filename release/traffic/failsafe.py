"""The failsafe of traffic: schedules that put `live` back on the stable versions when nobody else does.

They are set before traffic moves and removed when the release has ended. In between the cloud alone is enough: a runner
that is killed, or loses its network, leaves traffic on a candidate until the deadline and no longer. The role that they
run as is the foundation's and can do little but move aliases (components/policies/safety.py).

A function that the release adds has no stable version, and so no schedule: its `live` stays until `release reap`. What
was there before goes back without it, because the stable release does not call it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from components.naming import LIVE, names
from release.errors import ReleaseError
from release.traffic.schedules import OneTimeSchedules, whole_seconds


class Failsafe:
    """One-time schedules of one environment, one per function.

    `account` is asked only when something is set. `may_change` is called before each change, and raises where it is
    forbidden.
    """

    def __init__(
        self,
        environment: str,
        scheduler: Any,
        account: Callable[[], str],
        may_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._names = names(environment)
        self._schedules = OneTimeSchedules(environment, scheduler, account, may_change)

    def set(self, stable: Mapping[str, str], deadline: datetime) -> None:
        """Make sure that at `deadline` each function's `live` goes to its stable version, without weights.

        Raises:
            ReleaseError: A schedule could not be set, or the deadline has passed. Traffic must not be moved then.
        """
        at = whole_seconds(deadline)
        if at <= datetime.now(UTC):
            raise ReleaseError(
                "traffic was not moved: the schedule that takes it back would lie in the past",
                why=f"the deadline was {at:%Y-%m-%d %H:%M:%S} UTC",
                next_step="start the release again; if this happens every time, look at the clock of the runner",
            )
        for function, version in sorted(stable.items()):
            own = self._names.function(function)
            move = {
                "FunctionName": own.function,
                "Name": LIVE,
                "FunctionVersion": version,
                "RoutingConfig": {"AdditionalVersionWeights": {}},  # left out, the weights would stay as they are
            }
            self._schedules.put(
                own.safety_schedule,
                at,
                ("lambda:updateAlias", move),
                why=f"Puts {LIVE} back on version {version} when the run that moved it is gone",
                unset=f"the safety schedule of {function} could not be set, so its traffic must not be moved",
            )

    def remove(self, functions: Iterable[str]) -> None:
        """Remove the schedules of `functions`; a missing one is fine.

        Raises:
            ReleaseError: One could not be removed, after all others were tried. It would still fire.
        """
        failures = []
        for function in sorted(functions):
            schedule = self._names.function(function).safety_schedule
            try:
                self._schedules.delete(schedule)
            except (ClientError, BotoCoreError) as error:
                failures.append((schedule, error))
        if failures:
            schedules = " ".join(name for name, _ in failures)
            raise ReleaseError(
                f"the safety schedules {schedules} could not be removed: they would move `{LIVE}` at their time",
                why=str(failures[0][1]),
                next_step="try again, or delete them: aws scheduler delete-schedule --name NAME",
            ) from failures[0][1]

    def pending(self, functions: Iterable[str]) -> dict[str, datetime]:
        """Return when traffic of each function goes back (UTC), without functions that have no schedule to fire.

        Raises:
            ReleaseError: AWS did not say, or a schedule of that name is none of ours.
        """
        times = {
            function: self._schedules.time_of(self._names.function(function).safety_schedule)
            for function in sorted(functions)
        }
        return {function: at for function, at in times.items() if at is not None}
