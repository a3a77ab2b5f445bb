"""How a policy document is put together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Document = dict[str, Any]
Statement = dict[str, Any]
Condition = Mapping[str, Mapping[str, str | Sequence[str]]]


def allow(sid: str, actions: Sequence[str], resources: Sequence[str], condition: Condition | None = None) -> Statement:
    """A statement of an identity policy that allows `actions` on `resources`."""
    return _statement("Allow", sid, {"Action": list(actions), "Resource": list(resources)}, condition)


def deny(sid: str, actions: Sequence[str], resources: Sequence[str], condition: Condition | None = None) -> Statement:
    """A statement of an identity policy that denies `actions` on `resources`, whatever else allows them."""
    return _statement("Deny", sid, {"Action": list(actions), "Resource": list(resources)}, condition)


def deny_all_but_resources(sid: str, actions: Sequence[str], resources: Sequence[str]) -> Statement:
    """Deny `actions` everywhere but on `resources`."""
    return _statement("Deny", sid, {"Action": list(actions), "NotResource": list(resources)}, None)


def deny_all_but_actions(sid: str, actions: Sequence[str], resources: Sequence[str]) -> Statement:
    """Deny everything but `actions` on `resources`."""
    return _statement("Deny", sid, {"NotAction": list(actions), "Resource": list(resources)}, None)


def for_everyone(statement: Statement) -> Statement:
    """The same statement in a resource policy, for every principal."""
    return {"Principal": "*", **statement}


def for_service(service: str, statement: Statement) -> Statement:
    """The same statement in a resource policy, for one AWS service (`sns` for sns.amazonaws.com)."""
    return {"Principal": {"Service": f"{service}.amazonaws.com"}, **statement}


def for_account(account_id: str, statement: Statement) -> Statement:
    """The same statement in a resource policy, for one account."""
    return {"Principal": {"AWS": f"arn:aws:iam::{account_id}:root"}, **statement}


def document(*statements: Statement) -> Document:
    """A whole document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def to_json(policy: Document) -> str:
    """The document as AWS takes it: compact, because white space counts against some of its size limits."""
    return json.dumps(policy, separators=(",", ":"))


def _statement(effect: str, sid: str, body: dict[str, Any], condition: Condition | None) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": effect, **body}
    if condition is not None:
        statement["Condition"] = {operator: dict(keys) for operator, keys in condition.items()}
    return statement
