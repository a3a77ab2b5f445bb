"""Budgets: the alarm on cost."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from localcloud.aws_provider.cloud import Call, found
from localcloud.aws_provider.resource_type import ResourceType, Tagging

_SUBSCRIBERS: Final = {"EMAIL": "subscriberEmailAddresses", "SNS": "subscriberSnsTopicArns"}


def _budget(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "BudgetName": inputs["name"],
        "BudgetType": inputs["budgetType"],
        "TimeUnit": inputs["timeUnit"],
        "BudgetLimit": {"Amount": inputs["limitAmount"], "Unit": inputs["limitUnit"]},
    }


def _notifications(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "Notification": {
                "NotificationType": item["notificationType"],
                "ComparisonOperator": item["comparisonOperator"],
                "Threshold": item["threshold"],
                "ThresholdType": item["thresholdType"],
            },
            "Subscribers": [
                {"SubscriptionType": kind, "Address": address}
                for kind, name in _SUBSCRIBERS.items()
                for address in item.get(name) or ()
            ],
        }
        for item in values.get("notifications") or ()
    ]


def _create(call: Call) -> str:
    account = call.cloud.account
    call.aws.create_budget(
        AccountId=account,
        Budget=_budget(call.inputs),
        NotificationsWithSubscribers=_notifications(call.inputs),
        ResourceTags=call.tag_list,
    )
    return f"{account}:{call.inputs['name']}"


def _address(call: Call) -> dict[str, str]:
    account, _, name = call.id.partition(":")
    return {"AccountId": account, "BudgetName": name}


def _same_number(found_text: str, known: Any) -> str:
    """Return the amount in the program's spelling: AWS answers `10.0` for `10`."""
    try:
        return known if known is not None and float(known) == float(found_text) else found_text
    except (TypeError, ValueError):
        return found_text


def _read(call: Call) -> dict[str, Any]:
    address = _address(call)
    budget = call.aws.describe_budget(**address)["Budget"]
    limit = budget.get("BudgetLimit", {})
    listed = found(lambda: call.aws.describe_notifications_for_budget(**address)) or {}
    return {
        "arn": f"arn:aws:budgets::{address['AccountId']}:budget/{address['BudgetName']}",
        "name": budget["BudgetName"],
        "budgetType": budget["BudgetType"],
        "timeUnit": budget["TimeUnit"],
        "limitAmount": _same_number(limit.get("Amount", ""), call.state.get("limitAmount")),
        "limitUnit": limit.get("Unit"),
        "notifications": [_notification(call, item) for item in listed.get("Notifications", ())],
    }


def _notification(call: Call, item: Mapping[str, Any]) -> dict[str, Any]:
    asked = call.aws.describe_subscribers_for_notification(**_address(call), Notification=item)
    outputs = {
        "notificationType": item["NotificationType"],
        "comparisonOperator": item["ComparisonOperator"],
        "threshold": item["Threshold"],
        "thresholdType": item.get("ThresholdType", "PERCENTAGE"),
    }
    for one in asked["Subscribers"]:
        outputs.setdefault(_SUBSCRIBERS[one["SubscriptionType"]], []).append(one["Address"])
    return outputs


def _update(call: Call) -> None:
    address = _address(call)
    if call.changed - {"notifications"}:
        call.aws.update_budget(AccountId=address["AccountId"], NewBudget=_budget(call.inputs))
    if "notifications" in call.changed:
        for item in _notifications(call.state):
            found(lambda item=item: call.aws.delete_notification(**address, Notification=item["Notification"]))
        for item in _notifications(call.inputs):
            call.aws.create_notification(**address, **item)


def _verify(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    token = "aws:budgets/budget:Budget"  # noqa: S105 - a type token
    missing = [name for name in ("limitAmount", "limitUnit") if values.get(name) is None]
    return [(name, f"{token} needs `{name}` (planned limits are not put into effect here)") for name in missing]


TYPES: Final = (
    ResourceType(
        type_name="aws:budgets/budget:Budget",
        identity=("name",),
        inputs=(
            "budgetType",
            "limitAmount",
            "limitUnit",
            "name",
            "notifications",
            "tags",
            "timeUnit",
        ),
        sets=("notifications", "notifications.subscriberEmailAddresses"),
        verify=_verify,
        tagging=Tagging(
            argument="ResourceARN", tags="ResourceTags", keys="ResourceTagKeys", list="list_tags_for_resource"
        ),
        create=_create,
        read=_read,
        update=_update,
        delete=lambda call: call.aws.delete_budget(**_address(call)),
    ),
)
