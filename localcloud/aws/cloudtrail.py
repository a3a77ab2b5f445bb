"""CloudTrail's LookupEvents, which moto does not have: the calls that the AWS part and the Lambda part have seen."""

import json
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import httpx
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sts.models import sts_backends

from localcloud.faults.answers import Answer

_MOST: Final = 50
_READS = re.compile(r"(Get|List|Describe|Head|Lookup|Simulate)\w*")
_ATTRIBUTES: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "EventId": lambda event: event["EventId"],
    "EventName": lambda event: event["EventName"],
    "EventSource": lambda event: event["EventSource"],
    "ReadOnly": lambda event: event["ReadOnly"],
    "Username": lambda event: event["Username"],
    "AccessKeyId": lambda event: event["AccessKeyId"],
}
_SOURCES: Final = {"cloudwatch": "monitoring", "stepfunctions": "states"}


def lookup(seen: Iterable[dict[str, Any]], body: bytes) -> Answer:
    """Answer LookupEvents about the calls that this part has seen, and those of the Lambda part."""
    try:
        asked = json.loads(body or b"{}")
        events = [_event(one) for one in sorted([*seen, *_calls_of_lambda()], key=lambda one: one["at"], reverse=True)]
        return _json(_page(asked, events))
    except _RefusedError as refused:
        return _json({"__type": refused.code, "message": str(refused)}, 400)


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _page(asked: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    """One page of what was asked for; a token leads on only in the question that it came with."""
    size = asked.get("MaxResults", _MOST)
    if not 0 < size <= _MOST:
        raise _RefusedError("InvalidMaxResultsException", f"MaxResults must be from 1 to {_MOST}")
    since, until = asked.get("StartTime", 0), asked.get("EndTime", float("inf"))
    if since > until:
        raise _RefusedError("InvalidTimeRangeException", "the start lies after the end")
    attributes = asked.get("LookupAttributes") or []
    if len(attributes) > 1 or any(one["AttributeKey"] not in _ATTRIBUTES for one in attributes):
        raise _RefusedError("InvalidLookupAttributesException", "one attribute at most, of those that CloudTrail knows")
    found = [
        event
        for event in events
        if since <= event["EventTime"] <= until
        and all(_ATTRIBUTES[one["AttributeKey"]](event) == one["AttributeValue"] for one in attributes)
    ]
    begin = 0
    if token := asked.get("NextToken"):
        ids = [event["EventId"] for event in found]
        if token not in ids:
            raise _RefusedError("InvalidNextTokenException", "the token belongs to another question")
        begin = ids.index(token) + 1  # calls that came meanwhile stand before it and shift nothing
    shown = found[begin : begin + size]
    more = {"NextToken": shown[-1]["EventId"]} if begin + size < len(found) else {}
    return {"Events": shown, **more}


def _event(call: dict[str, Any]) -> dict[str, Any]:
    source = f"{_SOURCES.get(call['service'], call['service'])}.amazonaws.com"
    reads = "true" if _READS.fullmatch(call["operation"]) else "false"
    record = {"eventID": call["id"], "eventName": call["operation"], "eventSource": source}
    return {
        "EventId": call["id"],
        "EventName": call["operation"],
        "EventSource": source,
        "EventTime": call["at"],
        "ReadOnly": reads,
        "AccessKeyId": call["key"],
        "Username": _user(call["key"]),
        "Resources": [],
        "CloudTrailEvent": json.dumps(record),
    }


def _user(key: str) -> str:
    """Who called: the name of the session of a role, as CloudTrail has it; anybody else is this cloud's one user."""
    role = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].get_assumed_role_from_access_key(key)
    return role.session_name if role is not None else "root"


def _calls_of_lambda() -> list[dict[str, Any]]:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_LAMBDA", "").rstrip("/")
    return (
        httpx.get(f"{endpoint}/_localcloud/history", timeout=5).raise_for_status().json()["calls"] if endpoint else []
    )


def _json(document: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/x-amz-json-1.1"})
