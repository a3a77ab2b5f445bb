"""Parts that an account has once: the audit trail and the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from components.naming import BUDGET, TRAIL
from components.settings import Settings
from release.clients.aws import unless_missing
from release.doctor.buckets import Bucket, look_at_bucket, public_ways
from release.doctor.check import Notes, Scope, check
from release.doctor.place import CannotLookError, Place

_FIX: Final = "pulumi up --refresh --stack prod-foundation (with two accounts: {foundation})"
_check = partial(check, scope=Scope.ACCOUNT)


def _trails(place: Place) -> list[Mapping[str, Any]]:
    """Each trail that may be the audit trail, with its status, as CloudTrail answers."""
    cloudtrail = place.aws("cloudtrail")
    return [
        {**one, **cloudtrail.get_trail_status(Name=one["TrailARN"])}
        for one in cloudtrail.describe_trails(includeShadowTrails=True)["trailList"]
        if place.settings.adopt_trail or one["Name"] == TRAIL
    ]


@_check(
    "trail.logging",
    asks="CloudTrail for the audit trail and its status",
    expected="it logs, in all regions, with digests, and delivers",
    fix=f"aws cloudtrail start-logging --name {TRAIL}; {_FIX}",
    look=_trails,
)
def _trail_logging(settings: Settings, trails: Sequence[Mapping[str, Any]]) -> Notes:
    """With adoptTrail the trail may be any: the best one counts."""
    if not trails:
        wanted = "no trail at all" if settings.adopt_trail else f"no trail {TRAIL}"
        yield f"there is {wanted}: nobody can say who did what"
        return ""
    best = min(trails, key=lambda one: len(_blind_spots(one)))
    yield from _blind_spots(best)
    return f"{best['Name']} logs all regions, with digests"


def _blind_spots(trail: Mapping[str, Any]) -> list[str]:
    spots = {
        "does not log": not trail["IsLogging"],
        "logs one region only": not trail.get("IsMultiRegionTrail"),
        "has no digests by which a changed log is found": not trail.get("LogFileValidationEnabled"),
        f"cannot deliver: {trail.get('LatestDeliveryError')}": bool(trail.get("LatestDeliveryError")),
    }
    return [f"{trail['Name']} {spot}" for spot, is_so in spots.items() if is_so]


def _trail_buckets(place: Place) -> dict[str, Bucket | None]:
    names = {trail["S3BucketName"] for trail in _trails(place)}
    if not names:
        raise CannotLookError("there is no trail that would name a bucket")
    return {name: look_at_bucket(place, name) for name in sorted(names)}


@_check(
    "trail.bucket",
    asks="S3 for the bucket of the trail",
    expected="closed to the public, versioned",
    fix=_FIX,
    look=_trail_buckets,
)
def _trail_bucket(_: Settings, buckets: Mapping[str, Bucket | None]) -> Notes:
    for name, bucket in buckets.items():
        if bucket is None:
            yield f"{name} does not exist"
            continue
        yield from (f"{name}: {way}" for way in public_ways(bucket))
        if bucket.versioning != "Enabled":
            yield f"{name}: a log can be overwritten"
    return f"{', '.join(buckets)}: private, versioned"


def _budget(place: Place) -> tuple[Mapping[str, str], list[str]] | None:
    """The limit of the budget, and a line with the receivers of each notification, empty where it has none."""
    budgets, which = place.aws("budgets"), {"AccountId": place.settings.account_id, "BudgetName": BUDGET}
    found = unless_missing(lambda: budgets.describe_budget(**which), "NotFoundException")
    if found is None:
        return None
    lines = []
    for notification in budgets.describe_notifications_for_budget(**which)["Notifications"]:
        answer = budgets.describe_subscribers_for_notification(**which, Notification=notification)
        lines.append(", ".join(f"{one['SubscriptionType']} {one['Address']}" for one in answer["Subscribers"]))
    return found["Budget"]["BudgetLimit"], lines


@_check(
    "budget.limit",
    asks="Budgets for the budget of the account, its notifications and who gets them",
    expected="the limit is that of the settings, and each notification reaches somebody",
    fix="set monthlyBudgetUsd and onCallEmails in Pulumi.{foundation}.yaml; " + _FIX,
    look=_budget,
    missing=f"there is no budget {BUDGET}",
)
def _budget_limit(settings: Settings, budget: tuple[Mapping[str, str], Sequence[str]]) -> Notes:
    limit, lines = float(budget[0]["Amount"]), budget[1]
    told = f"{limit:g} {budget[0]['Unit']}"
    if (limit, budget[0]["Unit"]) != (float(settings.monthly_budget_usd), "USD"):
        yield f"it is {told}, the settings say {settings.monthly_budget_usd} USD"
    if not lines or "" in lines:
        yield f"{lines.count('')} of {len(lines)} notifications reach nobody"
    return f"{told}; {'; '.join(dict.fromkeys(lines))}"
