"""Entry of the dashboard function (function URL, payload 2.0): health for all, page and API for holders of the key."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from auth import is_allowed
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError
from cursor import CursorError, to_cursor, to_position
from logs import log
from page import Build, render
from store import SENTIMENTS, TooSlowError, items, metrics, read_one
from style import CONTENT_SECURITY_POLICY

_DEFAULT_LIMIT, _LARGEST_LIMIT = 20, 100
_LONGEST_TAG = 100
_PATHS = frozenset({"/health", "/", "/api/metrics", "/api/items"})
_PARAMETERS = {"/api/metrics": frozenset(), "/api/items": frozenset({"limit", "tag", "sentiment", "after"})}
"""What the API may be asked. Anything else is refused: a mistyped filter must not look like one that worked."""
_NO_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"
_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_WORD_FOR_CODE = {
    "AccessDeniedException": "denied",
    "ResourceNotFoundException": "missing",
    "ProvisionedThroughputExceededException": "throttled",
    "ThrottlingException": "throttled",
    "RequestLimitExceeded": "throttled",
}

_PASSING = {
    "timeout": "what is asked for could not be read in time, ask again later",
    "throttled": "too much is asked for at the moment, ask again later",
}
"""What is nobody's fault and passes by itself, and how a caller is told."""
_RETRY_AFTER_SECONDS = 30

Answer = dict[str, Any]


def handle(event: dict[str, Any], context: Any) -> Answer:
    """Answer one request.

    Stores that answer too slowly or refuse by load are 503: the caller can ask again. Any other failure that is not the
    caller's raises: Lambda then answers 502 and counts an error, which the alarm sees.
    """
    arrived = time.monotonic()
    method = event["requestContext"]["http"]["method"]
    path = event.get("rawPath") or "/"
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    try:
        answer = _answer(
            method, path, headers, event.get("queryStringParameters") or {}, context=context, arrived=arrived
        )
    except (ClientError, BotoCoreError, TooSlowError) as error:
        reason = _one_word(error)
        if reason not in _PASSING:
            raise
        log("error", "too_slow", reason=reason, error=type(error).__name__, seconds=time.monotonic() - arrived)
        answer = _problem(HTTPStatus.SERVICE_UNAVAILABLE, _PASSING[reason], {"retry-after": str(_RETRY_AFTER_SECONDS)})
    # Whoever reads any answer can tell which release gave it.
    answer["headers"]["x-release-digest"] = os.environ["RELEASE_DIGEST"]
    log("info", "answered", method=method, path=path if path in _PATHS else "other", status=answer["statusCode"])
    return answer


def _answer(
    method: str, path: str, headers: Mapping[str, str], query: Mapping[str, str], *, context: Any, arrived: float
) -> Answer:
    if path not in _PATHS:
        return _problem(HTTPStatus.NOT_FOUND, "no such path", {})
    if method != "GET":
        return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is allowed", {"allow": "GET"})
    if path == "/health":
        return _health(context)
    if not is_allowed(headers):
        return _problem(HTTPStatus.UNAUTHORIZED, "an API key is needed", {"www-authenticate": "Bearer"})
    return _page(context, query, arrived) if path == "/" else _api(path, query, arrived)


def _api(path: str, query: Mapping[str, str], arrived: float) -> Answer:
    if set(query) - _PARAMETERS[path]:
        known = ", ".join(sorted(_PARAMETERS[path])) or "none"
        return _problem(HTTPStatus.BAD_REQUEST, f"parameters of this path: {known}", {})
    if path == "/api/items":
        return _items(query, arrived)
    return _json(HTTPStatus.OK, metrics(datetime.now(UTC).date(), arrived=arrived))


def _page(context: Any, query: Mapping[str, str], arrived: float) -> Answer:
    tag = query.get("tag", "")
    if wrong := _wrong_tag(tag):
        return _problem(HTTPStatus.BAD_REQUEST, wrong, {})
    now = datetime.now(UTC)
    build = Build(
        environment=os.environ["ENVIRONMENT"], release=os.environ["RELEASE_SHA"], version=context.function_version
    )
    newest = items(limit=_DEFAULT_LIMIT, tag=tag, arrived=arrived).items  # first: the counts take what time is left
    html = render(build, metrics(now.date(), arrived=arrived), newest, now, tag)
    content = {"content-type": "text/html; charset=utf-8", "content-security-policy": CONTENT_SECURITY_POLICY}
    return {"statusCode": HTTPStatus.OK.value, "headers": _HEADERS | content, "body": html}


def _health(context: Any) -> Answer:
    """Which build answers, and whether it can read its table."""
    status = "ok"
    try:
        read_one()
    except (ClientError, BotoCoreError) as error:
        status = _one_word(error)
        log("error", "unhealthy", status=status, error=type(error).__name__)
    body = {
        "status": status,
        "release": os.environ["RELEASE_SHA"],
        "digest": os.environ["RELEASE_DIGEST"],
        "version": context.function_version,
    }
    return _json(HTTPStatus.OK if status == "ok" else HTTPStatus.SERVICE_UNAVAILABLE, body)


def _one_word(error: ClientError | BotoCoreError | TooSlowError) -> str:
    if isinstance(error, ClientError):
        return _WORD_FOR_CODE.get(error.response["Error"]["Code"], "unreadable")
    return "timeout" if isinstance(error, (ConnectTimeoutError, ReadTimeoutError, TooSlowError)) else "unreachable"


def _items(query: Mapping[str, str], arrived: float) -> Answer:
    limit = query.get("limit", str(_DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,3}", limit, re.ASCII) or not 1 <= int(limit) <= _LARGEST_LIMIT:
        return _problem(HTTPStatus.BAD_REQUEST, f"limit is a number from 1 to {_LARGEST_LIMIT}", {})
    sentiment = query.get("sentiment", "")
    if sentiment and sentiment not in SENTIMENTS:
        return _problem(HTTPStatus.BAD_REQUEST, f"sentiment is one of {', '.join(SENTIMENTS)}", {})
    tag = query.get("tag", "")
    if wrong := _wrong_tag(tag):
        return _problem(HTTPStatus.BAD_REQUEST, wrong, {})
    cursor = query.get("after", "")
    try:
        after = to_position(cursor, tag=tag, sentiment=sentiment) if cursor else None
    except CursorError:
        return _problem(HTTPStatus.BAD_REQUEST, "after is the `next` of an answer to the same question", {})
    page = items(arrived=arrived, tag=tag, sentiment=sentiment, limit=int(limit), after=after)
    following = to_cursor(page.end, tag=tag, sentiment=sentiment) if page.end else None
    return _json(HTTPStatus.OK, {"items": page.items, "count": len(page.items), "next": following})


def _wrong_tag(tag: str) -> str:
    """What is wrong with a tag that is asked for; half a surrogate pair is no text for DynamoDB."""
    if len(tag) <= _LONGEST_TAG and not any("\ud800" <= letter <= "\udfff" for letter in tag):
        return ""
    return f"tag is a text of at most {_LONGEST_TAG} characters"


def _problem(status: HTTPStatus, error: str, headers: dict[str, str]) -> Answer:
    answer = _json(status, {"error": error})
    return answer | {"headers": answer["headers"] | headers}


def _json(status: HTTPStatus, body: Any) -> Answer:
    content = {"content-type": "application/json", "content-security-policy": _NO_CONTENT_POLICY}
    return {"statusCode": status.value, "headers": _HEADERS | content, "body": json.dumps(body)}
