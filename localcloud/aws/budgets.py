"""Patch of moto's Budgets, which keeps who hears a notification and does not tell."""

from __future__ import annotations

import json
from typing import Any

from moto.budgets.exceptions import NotFoundException
from moto.budgets.responses import BudgetsResponse


def tell_who_hears_a_notification() -> None:
    """DescribeSubscribersForNotification: moto answers 500."""

    def describe_subscribers(self: BudgetsResponse) -> str:
        asked = self._get_param("Notification")
        budget = self.backend.budgets[self._get_param("AccountId")].get(self._get_param("BudgetName"))
        known: list[Any] = budget.notifications if budget else []
        for one in known:
            if _identity(one.details) == _identity(asked):
                return json.dumps({"Subscribers": one.subscribers})
        raise NotFoundException("Unable to get subscribers - the notification doesn't exist.")

    setattr(BudgetsResponse, "describe_subscribers_for_notification", describe_subscribers)  # noqa: B010 (new to the class)


def _identity(notification: dict[str, Any]) -> tuple[Any, ...]:
    kind = notification.get("ThresholdType", "PERCENTAGE")
    return (
        notification["NotificationType"],
        notification["ComparisonOperator"],
        float(notification["Threshold"]),
        kind,
    )
