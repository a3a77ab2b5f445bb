"""Patches of moto's Budgets: who hears a notification, tags, changes."""

import json
from typing import Any

from moto.budgets.exceptions import NotFoundException
from moto.budgets.models import Budget
from moto.budgets.responses import BudgetsResponse
from moto.core.utils import unix_time


def change_budgets() -> None:
    """UpdateBudget: moto answers 500."""

    def update_budget(self: BudgetsResponse) -> str:
        changed = self._get_param("NewBudget")
        budget = _budget(self, self._get_param("AccountId"), changed["BudgetName"])
        budget.budget = {"TimePeriod": budget.budget["TimePeriod"], **changed, "LastUpdatedTime": unix_time()}
        return "{}"

    setattr(BudgetsResponse, "update_budget", update_budget)  # noqa: B010 (new to the class)


def keep_tags_of_budgets() -> None:
    """ListTagsForResource, TagResource, UntagResource: moto answers 500, and drops the tags of a new budget."""
    create_budget = BudgetsResponse.create_budget

    def create_with_tags(self: BudgetsResponse) -> str:
        answer = create_budget(self)
        made = _budget(self, self._get_param("AccountId"), self._get_param("Budget")["BudgetName"])
        setattr(made, "tags", _as_map(self._get_param("ResourceTags") or []))  # noqa: B010 (new to the class)
        return answer

    def list_tags(self: BudgetsResponse) -> str:
        return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in _tags(self).items()]})

    def tag(self: BudgetsResponse) -> str:
        _tags(self).update(_as_map(self._get_param("ResourceTags")))
        return "{}"

    def untag(self: BudgetsResponse) -> str:
        for key in self._get_param("ResourceTagKeys"):
            _tags(self).pop(key, None)
        return "{}"

    BudgetsResponse.create_budget = create_with_tags
    for name, method in (("list_tags_for_resource", list_tags), ("tag_resource", tag), ("untag_resource", untag)):
        setattr(BudgetsResponse, name, method)


def tell_who_hears_a_notification() -> None:
    """DescribeSubscribersForNotification: moto answers 500."""

    def describe_subscribers(self: BudgetsResponse) -> str:
        asked = self._get_param("Notification")
        budget = _budget(self, self._get_param("AccountId"), self._get_param("BudgetName"))
        known: list[Any] = budget.notifications
        for one in known:
            if _identity(one.details) == _identity(asked):
                return json.dumps({"Subscribers": one.subscribers})
        raise NotFoundException("Unable to get subscribers - the notification doesn't exist.")

    setattr(BudgetsResponse, "describe_subscribers_for_notification", describe_subscribers)  # noqa: B010 (new to the class)


def _identity(notification: dict[str, Any]) -> dict[str, Any]:
    return {"ThresholdType": "PERCENTAGE", **notification, "Threshold": float(notification["Threshold"])}


def _budget(response: BudgetsResponse, account: str, name: str) -> Budget:
    budget = response.backend.budgets[account].get(name)
    if budget is None:
        raise NotFoundException(f"Unable to get budget: {name} - the budget doesn't exist.")
    return budget


def _tags(response: BudgetsResponse) -> dict[str, str]:
    _, _, _, _, account, resource = response._get_param("ResourceARN").split(":", 5)
    return getattr(_budget(response, account, resource.removeprefix("budget/")), "tags")  # noqa: B009 (new to the class)


def _as_map(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}
