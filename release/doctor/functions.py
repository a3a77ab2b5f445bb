"""The running functions: the quota for them, what their aliases serve, how long AWS supports their runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Final

from components.naming import LIVE
from components.service.functions import KEYS, RUNTIME
from components.settings import Settings
from release.clients.aws import unless_missing
from release.doctor.check import Notes, Scope, Unseen, Warned, check
from release.doctor.place import Place
from release.traffic.aliases import Alias, Traffic, astray

_CONCURRENCY: Final = 100
"""Below, a burst of the topic takes all, and Lambda answers the dashboard's visitors with 429."""
_SUPPORTED_UNTIL: Final[Mapping[str, date]] = {
    "python3.11": date(2027, 6, 30),
    "python3.12": date(2028, 10, 31),
    "python3.13": date(2029, 6, 30),
    "python3.14": date(2029, 6, 30),
}
"""Deprecation dates out of https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html; no API tells them."""
_NOTICE_DAYS: Final = 90


@check(
    "functions.concurrency",
    asks="Lambda for the quota of concurrent executions (GetAccountSettings)",
    expected=f"it is {_CONCURRENCY} or more",
    fix="ask Service Quotas for 1000: aws service-quotas request-service-quota-increase --service-code lambda "
    "--quota-code L-B99A9384 --desired-value 1000",
    look=lambda place: int(place.aws("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]),
    scope=Scope.ACCOUNT,
)
def _functions_concurrency(_: Settings, quota: int) -> Notes:
    """New accounts often start with 10."""
    if quota < _CONCURRENCY:
        yield f"the account may run {quota} at once, not {_CONCURRENCY}"
    return f"{quota} at once"


@dataclass(frozen=True, kw_only=True, slots=True)
class Aliases:
    """The aliases `live`, and what should be there.

    Args:
        there: By function; `None` where there is no alias.
        recorded: Versions of the release that the ledger says is served; empty before the first one.
        leased: Whether a run that may move traffic holds the lease.
    """

    there: Mapping[str, Alias | None]
    recorded: Mapping[str, str]
    leased: bool


def _aliases(place: Place) -> Aliases:
    leased = place.context.lease.holder() is not None
    traffic = Traffic(place.settings.environment, place.aws("lambda"))
    there = {key: traffic.alias(key) for key in KEYS}
    served = place.context.ledger.view().served
    # A run that has begun while this looked is one that moves traffic, too.
    leased = leased or place.context.lease.holder() is not None
    return Aliases(there=there, recorded=served.stable if served else {}, leased=leased)


@check(
    "functions.aliases",
    asks=f"Lambda for the alias `{LIVE}` of each function, the ledger for what it serves, the lease for its holder",
    expected="each serves the recorded version with all traffic, or a run is at work",
    fix="release reap --stack {stack} takes off weights that no run has set, and what a dead run left; "
    "release status --stack {stack} says how an alias is moved back",
    look=_aliases,
)
def _functions_aliases(_: Settings, aliases: Aliases) -> Notes:
    if aliases.leased:
        return "a run that may move traffic is at work"
    for one in astray(aliases.there, aliases.recorded):
        known = one.recorded or (one.live and one.live.weights)
        yield str(one) if known else Warned(str(one))
    told = ", ".join(f"{function} {version}" for function, version in sorted(aliases.recorded.items()))
    return told or "nothing was released, and nothing is served"


def _runtimes(place: Place) -> tuple[dict[str, str], date]:
    """Runtimes by whatever uses them, and the day of today."""

    def look(name: str) -> Mapping[str, Any] | None:
        ask = partial(place.aws("lambda").get_function_configuration, FunctionName=name, Qualifier=LIVE)
        return unless_missing(ask, "ResourceNotFoundException")

    found = {key: look(place.names.function(key).function) for key in KEYS}
    deployed = {function: str(one["Runtime"]) for function, one in found.items() if one is not None}
    return {"the program": RUNTIME, **deployed}, place.context.clock.now().date()


@check(
    "functions.runtime",
    asks="Lambda for the runtime of what is served, and the program for its own",
    expected=f"AWS supports each (for less than {_NOTICE_DAYS} days more is a warning)",
    fix="change RUNTIME in components/service/functions.py and the locks of lambdas/, and release",
    look=_runtimes,
)
def _functions_runtime(_: Settings, runtimes: tuple[Mapping[str, str], date]) -> Notes:
    """After the end of its support a runtime soon takes no update, a rollback among them."""
    (used, today), told = runtimes, []
    for runtime in sorted(set(used.values())):
        users = ", ".join(user for user, one in used.items() if one == runtime)
        until = _SUPPORTED_UNTIL.get(runtime)
        if until is None:
            yield Unseen(f"{runtime} of {users} is not in the table of release/doctor/functions.py")
            continue
        days = (until - today).days
        told.append(f"{runtime} is supported until {until}, {days} days")
        if days < 0:
            yield f"support of {runtime} of {users} ended on {until}"
        elif days < _NOTICE_DAYS:
            yield Warned(f"support of {runtime} of {users} ends on {until}, in {days} days")
    return "; ".join(told)
