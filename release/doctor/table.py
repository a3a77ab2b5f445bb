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

_AREAS: Final = (
    *(tools, identity, state, buckets, roles, isolation, environments, repository),
    *(secrets, alarms, account, functions, releases),
)
CHECKS: Final[tuple[Check[Any], ...]] = tuple(
    check for area in _AREAS for check in vars(area).values() if isinstance(check, Check)
)


def chosen(names: list[str]) -> tuple[Check[Any], ...]:
    """Return the checks that `names` mean, each a check or a whole area; all where there are none.

    Raises:
        UsageError: A name means nothing.
    """
    areas = dict.fromkeys(check.area for check in CHECKS)
    unknown = sorted(set(names) - {check.name for check in CHECKS} - areas.keys())
    if unknown:
        raise UsageError(
            f"there is no check {', '.join(unknown)}",
            next_step=f"--only takes an area ({', '.join(areas)}) or a name out of docs/reference/readiness.md",
        )
    return tuple(check for check in CHECKS if not names or check.name in names or check.area in names)
