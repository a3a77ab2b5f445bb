"""What a resource policy says about one request: pure, no moto, no I/O.

Only the part of IAM that the bucket policies here need: an explicit Deny, an explicit Allow, or nothing. Each operator
follows IAM's rule for a key that the request does not have: a positive operator does not match, a negated one does, so
does `...IfExists`, and `Null` asks for just that. What is not known here is refused when the policy is put.
"""

import fnmatch
import json
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Document = Mapping[str, Any]


class Effect(Enum):
    """What the policy says; `NONE` means that it says nothing about this request."""

    ALLOW = "Allow"
    DENY = "Deny"
    NONE = "none"


class MalformedPolicyError(ValueError):
    """The document is not a policy; the message says where and why."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One thing somebody wants to do.

    Attributes:
        action: with its service, as in `s3:PutObject`.
        resource: ARN of the object or bucket.
        principals: every ARN and account id by which a policy may name the caller.
        keys: condition keys that this request has, names in lower case. A key that is not here is absent.
    """

    action: str
    resource: str
    principals: frozenset[str] = frozenset()
    keys: Mapping[str, str] = field(default_factory=dict)


def decide(policy: Document, request: Request) -> Effect:
    """Return what the policy says about the request: a Deny wins over an Allow."""
    effects = {s["Effect"] for s in as_list(policy.get("Statement")) if _applies(s, request)}
    if "Deny" in effects:
        return Effect.DENY
    return Effect.ALLOW if "Allow" in effects else Effect.NONE


def check(policy: Any) -> None:
    """Refuse what is not a resource policy, so that evaluation never has to guess.

    Raises:
        MalformedPolicyError: with the first problem found.
    """
    if not isinstance(policy, dict):
        raise MalformedPolicyError("Policies must be a JSON object")
    statements = as_list(policy.get("Statement"))
    if not statements:
        raise MalformedPolicyError("Missing required field Statement")
    for statement in statements:
        _check_statement(statement)


def _check_statement(statement: Any) -> None:
    if not isinstance(statement, dict):
        raise MalformedPolicyError("Each Statement must be a JSON object")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicyError("Missing or invalid field Effect")
    for names in ({"Principal"}, {"Action", "NotAction"}, {"Resource", "NotResource"}):
        if not names & statement.keys():
            raise MalformedPolicyError(f"Missing required field {min(names)}")
    if "${" in json.dumps(statement):
        raise MalformedPolicyError("The local cloud does not fill in policy variables")
    condition = statement.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(keys, dict) for keys in condition.values()):
        raise MalformedPolicyError("Condition must map operators to keys")
    for name in condition:
        _operator(name)


def _applies(statement: Document, request: Request) -> bool:
    return (
        _element(statement, "Action", lambda one: _like(one.lower(), request.action.lower()))
        and _element(statement, "Resource", lambda one: _like(one, request.resource))
        and _principal_matches(statement["Principal"], request.principals)
        and all(
            _condition_holds(name, key, as_list(values), request.keys)
            for name, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _element(statement: Document, name: str, matches: Callable[[str], bool]) -> bool:
    if name in statement:
        return any(matches(one) for one in as_list(statement[name]))
    return not any(matches(one) for one in as_list(statement[f"Not{name}"]))


def _principal_matches(named: Any, principals: frozenset[str]) -> bool:
    # Service and federated principals never name a caller of this cloud: only AWS ones do.
    wanted = as_list(named.get("AWS") if isinstance(named, dict) else named)
    return any(one == "*" or one in principals for one in wanted)


def _condition_holds(name: str, key: str, values: list[Any], keys: Mapping[str, str]) -> bool:
    test, negated, if_exists = _operator(name)
    actual = keys.get(key.lower())
    if test is None:  # Null
        return any(str(value).lower() == str(actual is None).lower() for value in values)
    if actual is None:
        return if_exists or negated
    return any(test(_text(value), actual) for value in values) is not negated


def _operator(name: str) -> tuple[Callable[[str, str], bool] | None, bool, bool]:
    """Return the test of (wanted, actual) (None for Null), if it is negated, and if a key may be absent."""
    base = name.removesuffix("IfExists")
    if base == "Null":
        return None, False, False
    if base not in _TESTS:
        raise MalformedPolicyError(f"Invalid Condition type : {name} (the local cloud knows {', '.join(_TESTS)})")
    test, negated = _TESTS[base]
    return test, negated, base != name


def _equal_ignoring_case(wanted: str, actual: str) -> bool:
    return wanted.lower() == actual.lower()


def _like(pattern: str, actual: str) -> bool:
    # Only * and ? are wildcards in IAM; fnmatch would read [ as one too.
    return fnmatch.fnmatchcase(actual, pattern.replace("[", "[[]"))


def _arn_like(pattern: str, actual: str) -> bool:
    # A wildcard does not reach over a colon, except in the sixth part, the resource.
    patterns, parts = pattern.split(":", 5), actual.split(":", 5)
    return len(patterns) == len(parts) and all(map(_like, patterns, parts))


_TESTS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (operator.eq, False),
    "StringNotEquals": (operator.eq, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn_like, False),
    "ArnLike": (_arn_like, False),
    "ArnNotEquals": (_arn_like, True),
    "ArnNotLike": (_arn_like, True),
    "Bool": (_equal_ignoring_case, False),
}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_list(value: Any) -> list[Any]:
    """An element of a document that may hold one value or several, as a list."""
    if value is None:
        return []
    if isinstance(value, Iterable) and not isinstance(value, (str, Mapping)):
        return list(value)
    return [value]
