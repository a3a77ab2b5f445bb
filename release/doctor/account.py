"""What an account has once: the audit trail and the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from components.naming import BUDGET, TRAIL
from components.settings import Settings
from release.clients.aws import unless_missing
from release.doctor.buckets import Bucket, look_at_bucket, public_ways
from release.doctor.check import Check, Judgement, Scope, conclude
from release.doctor.place import CannotLookError, Place

_MEND: Final = "pulumi up --refresh --stack prod-foundation (with two accounts: {foundation})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trail:
    """A trail of CloudTrail."""

    name: str
    bucket: str
    logging: bool
    multi_region: bool
    validation: bool
    error: str
    """Why the last log could not be delivered."""


def _trails(place: Place) -> list[Trail]:
    cloudtrail = place.aws("cloudtrail")
    found = []
    for one in cloudtrail.describe_trails(includeShadowTrails=True)["trailList"]:
        if not place.settings.adopt_trail and one["Name"] != TRAIL:
            continue
        status = cloudtrail.get_trail_status(Name=one["TrailARN"])
        found.append(
            Trail(
                name=one["Name"],
                bucket=one["S3BucketName"],
                logging=bool(status["IsLogging"]),
                multi_region=bool(one.get("IsMultiRegionTrail")),
                validation=bool(one.get("LogFileValidationEnabled")),
                error=status.get("LatestDeliveryError", ""),
            )
        )
    return found


def judge_trail(settings: Settings, trails: Sequence[Trail]) -> Judgement:
    """One trail logs everything; with adoptTrail whichever it is."""
    if not trails:
        wanted = "no trail at all" if settings.adopt_trail else f"no trail {TRAIL}"
        return conclude("", problems=[f"there is {wanted}: nobody can say who did what"])
    best = min(trails, key=lambda one: len(_blind_spots(one)))
    return conclude(f"{best.name} logs all regions, with digests", problems=_blind_spots(best))


def _blind_spots(trail: Trail) -> list[str]:
    spots = {
        "does not log": not trail.logging,
        "logs one region only": not trail.multi_region,
        "has no digests by which a changed log is found": not trail.validation,
        f"cannot deliver: {trail.error}": bool(trail.error),
    }
    return [f"{trail.name} {spot}" for spot, is_so in spots.items() if is_so]


def _trail_buckets(place: Place) -> dict[str, Bucket | None]:
    names = {trail.bucket for trail in _trails(place)}
    if not names:
        raise CannotLookError("there is no trail that would name a bucket")
    return {name: look_at_bucket(place, name) for name in sorted(names)}


def judge_trail_buckets(_: Settings, buckets: Mapping[str, Bucket | None]) -> Judgement:
    """Nobody reads or loses the logs."""
    problems = []
    for name, bucket in buckets.items():
        if bucket is None:
            problems.append(f"{name} does not exist")
            continue
        told = public_ways(bucket) + ([] if bucket.versioning == "Enabled" else ["a log can be overwritten"])
        problems += [f"{name}: {one}" for one in told]
    return conclude(f"{', '.join(buckets)}: private, versioned", problems=problems)


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget of the account."""

    limit: float
    unit: str
    notifications: int


def _budget(place: Place) -> Budget | None:
    budgets, account = place.aws("budgets"), place.settings.account_id
    found = unless_missing(lambda: budgets.describe_budget(AccountId=account, BudgetName=BUDGET), "NotFoundException")
    if found is None:
        return None
    told = budgets.describe_notifications_for_budget(AccountId=account, BudgetName=BUDGET)
    limit = found["Budget"]["BudgetLimit"]
    return Budget(float(limit["Amount"]), limit["Unit"], len(told["Notifications"]))


def judge_budget(settings: Settings, budget: Budget | None) -> Judgement:
    """The limit of the settings, and a notification before it is used up."""
    if budget is None:
        return conclude("", problems=[f"there is no budget {BUDGET}"])
    problems = []
    if (budget.limit, budget.unit) != (float(settings.monthly_budget_usd), "USD"):
        problems.append(f"it is {budget.limit:g} {budget.unit}, the settings say {settings.monthly_budget_usd} USD")
    if not budget.notifications:
        problems.append("it notifies nobody")
    return conclude(f"{budget.limit:g} {budget.unit}, {budget.notifications} notifications", problems=problems)


def _subscribers(place: Place) -> list[str]:
    """How each notification reaches whom, one line each; a notification without anybody is an empty line."""
    budgets, account = place.aws("budgets"), place.settings.account_id
    told = unless_missing(
        lambda: budgets.describe_notifications_for_budget(AccountId=account, BudgetName=BUDGET), "NotFoundException"
    )
    lines = []
    for notification in told["Notifications"] if told else ():
        answer = budgets.describe_subscribers_for_notification(
            AccountId=account, BudgetName=BUDGET, Notification=notification
        )
        lines.append(", ".join(f"{one['SubscriptionType']} {one['Address']}" for one in answer["Subscribers"]))
    return lines


def judge_subscribers(_: Settings, lines: Sequence[str]) -> Judgement:
    """Each notification reaches somebody."""
    unheard = sum(1 for line in lines if not line)
    problems = [f"{unheard} of {len(lines)} notifications reach nobody"] if unheard or not lines else []
    return conclude("; ".join(dict.fromkeys(lines)), problems=problems)


CHECKS: Final = (
    Check(
        name="trail.logging",
        asks="CloudTrail for the audit trail and its status",
        good="it logs, in all regions, with digests, and delivers",
        mend=f"aws cloudtrail start-logging --name {TRAIL}; {_MEND}",
        look=_trails,
        judge=judge_trail,
        scope=Scope.ACCOUNT,
    ),
    Check(
        name="trail.bucket",
        asks="S3 for the bucket of the trail",
        good="closed to the public, versioned",
        mend=_MEND,
        look=_trail_buckets,
        judge=judge_trail_buckets,
        scope=Scope.ACCOUNT,
    ),
    Check(
        name="budget.limit",
        asks="Budgets for the budget of the account and its notifications",
        good="the limit is that of the settings, and it notifies",
        mend=_MEND,
        look=_budget,
        judge=judge_budget,
        scope=Scope.ACCOUNT,
    ),
    Check(
        name="budget.subscribers",
        asks="Budgets for who gets each notification",
        good="each reaches somebody",
        mend="set onCallEmails in Pulumi.{foundation}.yaml; " + _MEND,
        look=_subscribers,
        judge=judge_subscribers,
        scope=Scope.ACCOUNT,
    ),
)
