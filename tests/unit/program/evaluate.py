"""Evaluates policy documents as far as these tests need it: wildcards in actions and resources, exact conditions.

Conditions are decided from the given context; a key that the context lacks makes a positive condition false, as in IAM.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _matches(patterns: Any, value: str, *, fold: bool = False) -> bool:
    # fnmatch knows [...] as well, IAM does not: keep it from ever meaning something.
    patterns = [pattern.replace("[", "[[]") for pattern in _listed(patterns)]
    if fold:
        value, patterns = value.lower(), [pattern.lower() for pattern in patterns]
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _holds(operator: str, key: str, expected: Any, context: Mapping[str, Any]) -> bool:
    actual = context.get(key)
    if operator == "Null":
        return (actual is None) is (expected == "true")
    if actual is None:
        return operator in {"ArnNotLike", "ForAllValues:ArnEquals"}
    if operator in {"ArnNotLike", "StringLike", "ArnLike", "ArnEquals"}:
        return _matches(expected, actual) is (operator != "ArnNotLike")
    if operator == "ForAllValues:ArnEquals":
        return all(_matches(expected, one) for one in _listed(actual))
    if operator == "ForAnyValue:StringEquals":
        return bool(set(_listed(actual)) & set(_listed(expected)))
    assert operator in {"StringEquals", "Bool"}, operator
    return actual in _listed(expected)


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, Any]) -> bool:
    actions = (
        _matches(statement["Action"], action, fold=True)
        if "Action" in statement
        else not _matches(statement["NotAction"], action, fold=True)
    )
    resources = (
        _matches(statement["Resource"], resource)
        if "Resource" in statement
        else not _matches(statement["NotResource"], resource)
    )
    conditions = all(
        _holds(operator, key, expected, context)
        for operator, keys in statement.get("Condition", {}).items()
        for key, expected in keys.items()
    )
    return actions and resources and conditions


def decision(policy: Mapping[str, Sequence[Mapping[str, Any]]], action: str, resource: str, **context: Any) -> str:
    """`denied` (explicitly), `allowed` or `not allowed` (nothing says anything)."""
    context = {key.replace("__", ":"): value for key, value in context.items()} | context.get("context", {})
    effects = {
        statement["Effect"] for statement in policy["Statement"] if _applies(statement, action, resource, context)
    }
    if "Deny" in effects:
        return "denied"
    return "allowed" if "Allow" in effects else "not allowed"
