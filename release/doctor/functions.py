"""The running functions: the quota for them, what their aliases serve, how long AWS supports their runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, Final

from components.naming import LIVE
from components.service.functions import KEYS, RUNTIME
from components.settings import Settings
from release.clients.aws import unless_missing
from release.doctor.check import Check, Judgement, Scope, conclude
from release.doctor.place import Place
from release.traffic.aliases import Alias, Traffic

_CONCURRENCY: Final = 100
"""Below, a burst of the topic takes all, and Lambda answers the dashboard's visitors with 429."""
_SUPPORTED_UNTIL: Final[Mapping[str, date]] = MappingProxyType(
    {
        "python3.11": date(2027, 6, 30),
        "python3.12": date(2028, 10, 31),
        "python3.13": date(2029, 6, 30),
        "python3.14": date(2029, 6, 30),
    }
)
"""Deprecation dates out of https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html; no API tells them."""
_NOTICE_DAYS: Final = 90


def _concurrency(place: Place) -> int:
    return int(place.aws("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"])


def judge_concurrency(_: Settings, quota: int) -> Judgement:
    """The account may run enough functions at once; new accounts often start with 10."""
    problems = [f"the account may run {quota} at once, not {_CONCURRENCY}"] if quota < _CONCURRENCY else []
    return conclude(f"{quota} at once", problems=problems)


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


def judge_aliases(_: Settings, aliases: Aliases) -> Judgement:
    """Each serves the version that the ledger has recorded, with all traffic."""
    if aliases.leased:
        return conclude("a run that may move traffic is at work")
    problems, warnings = [], []
    for function, live in aliases.there.items():
        recorded = aliases.recorded.get(function)
        if live is None:
            problems += [f"{function} has no alias {LIVE}, the ledger says version {recorded}"] if recorded else []
            continue
        problems += [
            f"{function} sends {weight:.0%} of traffic to version {version}, and no run is at work"
            for version, weight in sorted(live.weights.items())
        ]
        if recorded is None:
            warnings.append(f"{function} serves version {live.version}, of which the ledger knows nothing")
        elif live.version != recorded:
            problems.append(f"{function} serves version {live.version}, the ledger says {recorded}")
    told = ", ".join(f"{function} {version}" for function, version in sorted(aliases.recorded.items()))
    return conclude(told or "nothing was released, and nothing is served", problems=problems, warnings=warnings)


@dataclass(frozen=True, slots=True)
class Runtimes:
    """Runtimes by whatever uses them, and the day of today."""

    used: Mapping[str, str]
    today: date


def _runtimes(place: Place) -> Runtimes:
    found = {key: _configuration(place, key) for key in KEYS}
    deployed = {function: str(one["Runtime"]) for function, one in found.items() if one is not None}
    return Runtimes({"the program": RUNTIME, **deployed}, place.context.clock.now().date())


def _configuration(place: Place, function: str) -> Mapping[str, Any] | None:
    name, functions = place.names.function(function).function, place.aws("lambda")
    return unless_missing(
        lambda: functions.get_function_configuration(FunctionName=name, Qualifier=LIVE), "ResourceNotFoundException"
    )


def judge_runtimes(_: Settings, runtimes: Runtimes) -> Judgement:
    """AWS supports each for a while: after the end it soon takes no update, a rollback among them."""
    problems, warnings, unseen, told = [], [], [], []
    for runtime in sorted(set(runtimes.used.values())):
        users = ", ".join(user for user, one in runtimes.used.items() if one == runtime)
        until = _SUPPORTED_UNTIL.get(runtime)
        if until is None:
            unseen.append(f"{runtime} of {users} is not in the table of release/doctor/functions.py")
            continue
        days = (until - runtimes.today).days
        told.append(f"{runtime} is supported until {until}, {days} days")
        if days < 0:
            problems.append(f"support of {runtime} of {users} ended on {until}")
        elif days < _NOTICE_DAYS:
            warnings.append(f"support of {runtime} of {users} ends on {until}, in {days} days")
    return conclude("; ".join(told), problems=problems, warnings=warnings, unseen=unseen)


CHECKS: Final = (
    Check(
        name="functions.concurrency",
        asks="Lambda for the quota of concurrent executions (GetAccountSettings)",
        good=f"it is {_CONCURRENCY} or more",
        mend="ask Service Quotas for 1000: aws service-quotas request-service-quota-increase --service-code lambda "
        "--quota-code L-B99A9384 --desired-value 1000",
        look=_concurrency,
        judge=judge_concurrency,
        scope=Scope.ACCOUNT,
    ),
    Check(
        name="functions.aliases",
        asks=f"Lambda for the alias `{LIVE}` of each function, the ledger for what it serves, the lease for its holder",
        good="each serves the recorded version with all traffic, or a run is at work",
        mend="release status --stack {stack}; release reap --stack {stack} takes back what a dead run left, "
        "else release rollback --stack {stack}",
        look=_aliases,
        judge=judge_aliases,
    ),
    Check(
        name="functions.runtime",
        asks="Lambda for the runtime of what is served, and the program for its own",
        good=f"AWS supports each (for less than {_NOTICE_DAYS} days more is a warning)",
        mend="change RUNTIME in components/service/functions.py and the locks of lambdas/, and release",
        look=_runtimes,
        judge=judge_runtimes,
    ),
)
