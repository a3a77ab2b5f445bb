"""Budgets: the alarm on cost."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final

from localcloud.aws_provider.cloud import as_list, as_map, found, sync_tags
from localcloud.aws_provider.resource_type import ResourceType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localcloud.aws_provider.cloud import Call

_MISSING = "NotFoundException"
_TIME = "%Y-%m-%d_%H:%M"


def _subscribers(notification: Mapping[str, Any]) -> list[dict[str, str]]:
    mails = notification.get("subscriberEmailAddresses") or ()
    topics = notification.get("subscriberSnsTopicArns") or ()
    return [{"SubscriptionType": "EMAIL", "Address": mail} for mail in mails] + [
        {"SubscriptionType": "SNS", "Address": topic} for topic in topics
    ]


def _budget(inputs: Mapping[str, Any]) -> dict[str, Any]:
    budget: dict[str, Any] = {
        "BudgetName": inputs["name"],
        "BudgetType": inputs["budgetType"],
        "TimeUnit": inputs["timeUnit"],
        "BudgetLimit": {"Amount": inputs["limitAmount"], "Unit": inputs["limitUnit"]},
        "CostFilters": {item["name"]: item["values"] for item in inputs.get("costFilters") or ()},
    }
    period = {
        aws: datetime.datetime.strptime(inputs[name], _TIME).replace(tzinfo=datetime.UTC)
        for name, aws in (("timePeriodStart", "Start"), ("timePeriodEnd", "End"))
        if inputs.get(name)
    }
    if period:
        budget["TimePeriod"] = period
    return budget


def _notifications(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "Notification": {
                "NotificationType": item["notificationType"],
                "ComparisonOperator": item["comparisonOperator"],
                "Threshold": item["threshold"],
                "ThresholdType": item["thresholdType"],
            },
            "Subscribers": _subscribers(item),
        }
        for item in values.get("notifications") or ()
    ]


def _create(call: Call, inputs: Mapping[str, Any]) -> str:
    account = inputs.get("accountId") or call.account
    call.client("budgets").create_budget(
        AccountId=account,
        Budget=_budget(inputs),
        NotificationsWithSubscribers=_notifications(inputs),
        ResourceTags=as_list(call.tags(inputs)),
    )
    return f"{account}:{inputs['name']}"


def _address(resource_id: str) -> dict[str, str]:
    account, _, name = resource_id.partition(":")
    return {"AccountId": account, "BudgetName": name}


def _arn(address: Mapping[str, str]) -> str:
    return f"arn:aws:budgets::{address['AccountId']}:budget/{address['BudgetName']}"


def _moment(value: Any) -> str | None:
    return value.astimezone(datetime.UTC).strftime(_TIME) if isinstance(value, datetime.datetime) else None


def _same_number(found_text: str, known: Any) -> str:
    """The amount in the program's spelling: AWS answers `10.0` for `10`."""
    try:
        return known if known is not None and float(known) == float(found_text) else found_text
    except (TypeError, ValueError):
        return found_text


def _read(call: Call, resource_id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
    budgets, address = call.client("budgets"), _address(resource_id)
    answer = found(lambda: budgets.describe_budget(**address), _MISSING)
    if answer is None:
        return None
    budget = answer["Budget"]
    limit, period = budget.get("BudgetLimit", {}), budget.get("TimePeriod", {})
    listed = found(lambda: budgets.describe_notifications_for_budget(**address), _MISSING) or {}
    arn = _arn(address)
    return {
        "arn": arn,
        "accountId": address["AccountId"],
        "name": budget["BudgetName"],
        "budgetType": budget["BudgetType"],
        "timeUnit": budget["TimeUnit"],
        "limitAmount": _same_number(limit.get("Amount", ""), state.get("limitAmount")),
        "limitUnit": limit.get("Unit"),
        "timePeriodStart": state.get("timePeriodStart") or _moment(period.get("Start")),
        "timePeriodEnd": state.get("timePeriodEnd") or _moment(period.get("End")),
        "costFilters": [
            {"name": name, "values": list(values)} for name, values in (budget.get("CostFilters") or {}).items()
        ],
        "notifications": [_notification(budgets, address, item) for item in listed.get("Notifications", ())],
        "costTypes": {f"{name[0].lower()}{name[1:]}": value for name, value in budget.get("CostTypes", {}).items()},
        "tagsAll": as_map(budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"]),
    }


def _notification(budgets: Any, address: Mapping[str, str], item: Mapping[str, Any]) -> dict[str, Any]:
    subscribers = budgets.describe_subscribers_for_notification(**address, Notification=item)["Subscribers"]
    outputs = {
        "notificationType": item["NotificationType"],
        "comparisonOperator": item["ComparisonOperator"],
        "threshold": item["Threshold"],
        "thresholdType": item.get("ThresholdType", "PERCENTAGE"),
    }
    for name, kind in (("subscriberEmailAddresses", "EMAIL"), ("subscriberSnsTopicArns", "SNS")):
        addresses = [one["Address"] for one in subscribers if one["SubscriptionType"] == kind]
        if addresses:
            outputs[name] = addresses
    return outputs


def _update(
    call: Call,
    resource_id: str,
    state: Mapping[str, Any],
    inputs: Mapping[str, Any],
    changed: frozenset[str],
) -> None:
    budgets, address = call.client("budgets"), _address(resource_id)
    if changed - {"notifications", "tags", "tagsAll"}:
        budgets.update_budget(AccountId=address["AccountId"], NewBudget=_budget(inputs))
    if "notifications" in changed:
        for item in _notifications(state):
            found(lambda item=item: budgets.delete_notification(**address, Notification=item["Notification"]), _MISSING)
        for item in _notifications(inputs):
            budgets.create_notification(**address, **item)
    if changed & {"tags", "tagsAll"}:
        arn = _arn(address)
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: budgets.tag_resource(ResourceARN=arn, ResourceTags=as_list(tags)),
            lambda keys: budgets.untag_resource(ResourceARN=arn, ResourceTagKeys=keys),
        )


def _delete(call: Call, resource_id: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    found(lambda: call.client("budgets").delete_budget(**_address(resource_id)), _MISSING)


def _verify(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    token = "aws:budgets/budget:Budget"  # noqa: S105 - a type token
    missing = [name for name in ("limitAmount", "limitUnit") if values.get(name) is None]
    return [(name, f"{token} needs `{name}` (planned limits are not put into effect here)") for name in missing]


TYPES: Final = (
    ResourceType(
        type_name="aws:budgets/budget:Budget",
        identity=("accountId", "name"),
        inputs=(
            "accountId",
            "budgetType",
            "costFilters",
            "limitAmount",
            "limitUnit",
            "name",
            "notifications",
            "tags",
            "timePeriodEnd",
            "timePeriodStart",
            "timeUnit",
        ),
        defaults={"timePeriodEnd": "2087-06-15_00:00"},
        sets=("costFilters", "notifications", "notifications.subscriberEmailAddresses"),
        chosen=("costTypes",),
        autoname="name",
        verify=_verify,
        create=_create,
        read=_read,
        update=_update,
        delete=_delete,
    ),
)
