"""The readiness checklist: every check, in the order in which things build on each other."""

from __future__ import annotations

from typing import Any, Final

from release.doctor import (
    account,
    alarms,
    buckets,
    environments,
    functions,
    identity,
    isolation,
    releases,
    repository,
    roles,
    secrets,
    state,
    tools,
)
from release.doctor.check import Check
from release.errors import UsageError

CHECKS: Final[tuple[Check[Any], ...]] = (
    *tools.CHECKS,
    *identity.CHECKS,
    *state.CHECKS,
    *buckets.CHECKS,
    *roles.CHECKS,
    *isolation.CHECKS,
    *environments.CHECKS,
    *repository.CHECKS,
    *secrets.CHECKS,
    *alarms.CHECKS,
    *account.CHECKS,
    *functions.CHECKS,
    *releases.CHECKS,
)


def chosen(names: list[str]) -> tuple[Check[Any], ...]:
    """The checks that `names` mean, each a check or a whole area; all where there are none.

    Raises:
        UsageError: A name means nothing.
    """
    known = {check.name for check in CHECKS} | {check.area for check in CHECKS}
    unknown = sorted(set(names) - known)
    if unknown:
        raise UsageError(
            f"there is no check {', '.join(unknown)}",
            next_step=f"--only takes an area ({', '.join(dict.fromkeys(check.area for check in CHECKS))}) "
            "or a name out of docs/reference/readiness.md",
        )
    return tuple(check for check in CHECKS if not names or check.name in names or check.area in names)
