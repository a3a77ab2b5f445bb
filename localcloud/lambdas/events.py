"""Function URLs: an HTTP request as an event of payload format 2.0, and a function's result as an HTTP answer. Pure."""

import base64
import json
import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

_TEXT = re.compile(r"text/.*|application/(json|javascript|xml|.*\+json|.*\+xml)", re.IGNORECASE)
_CONTENT_TYPE, _DEFAULT_TYPE = "content-type", "application/json"


class BadResultError(Exception):
    """The function's result is no HTTP answer."""


def event_of(request: Request, body: bytes, url_id: str, request_id: str) -> dict[str, Any]:
    """The event that the function gets for a request at `/url/URL_ID/`; its paths begin after that."""
    headers = _joined((key, value) for key, value in request.headers.items() if key != "cookie")
    cookies = [one.strip() for value in request.headers.getlist("cookie") for one in value.split(";")]
    host = headers.get("host", "127.0.0.1")
    path = request.scope["raw_path"].decode("latin-1").removeprefix(f"/url/{url_id}") or "/"
    query = request.scope["query_string"].decode("latin-1")
    source_ip = request.client.host if request.client else "127.0.0.1"
    headers |= {
        "x-forwarded-for": source_ip,
        "x-forwarded-proto": "http",
        "x-forwarded-port": host.partition(":")[2] or "80",
        "x-amzn-trace-id": f"Root=1-{int(time.time()):08x}-{request_id.replace('-', '')[:24]}",
    }
    now = datetime.now(UTC)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": url_id,
            "domainName": host,
            "domainPrefix": url_id,
            "http": {
                "method": request.method,
                "path": path,
                "protocol": f"HTTP/{request.scope['http_version']}",
                "sourceIp": source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": f"{now:%d/%b/%Y:%H:%M:%S +0000}",
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True))
    if body:
        event |= _body(body, headers.get("content-type", ""))
    return event


def _body(body: bytes, content_type: str) -> dict[str, Any]:
    if _TEXT.fullmatch(content_type.partition(";")[0].strip()):
        try:
            return {"body": body.decode()}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values of a repeated name, joined by commas."""
    joined: dict[str, str] = {}
    for key, value in pairs:
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined


def answer_of(payload: bytes, *, failed: bool = False) -> Response:
    """The HTTP answer that a function's result stands for.

    Raises:
        BadResultError: the function `failed`, or its result names a status code but is no answer otherwise.
    """
    if failed:
        raise BadResultError("the function failed")
    try:
        result = json.loads(payload)
    except ValueError:
        raise BadResultError("the result is not JSON") from None
    if not (isinstance(result, Mapping) and "statusCode" in result):
        return Response(payload, headers={_CONTENT_TYPE: _DEFAULT_TYPE})
    try:
        status = int(result["statusCode"])
    except (TypeError, ValueError):
        raise BadResultError(f"statusCode {result['statusCode']!r} is not a number") from None
    if not 100 <= status <= 599:  # noqa: PLR2004
        raise BadResultError(f"statusCode {status} is no HTTP status")
    headers = _answer_headers(result)
    answer = Response(_answer_body(result), status)
    answer.raw_headers += [(key.encode("latin-1"), value.encode("latin-1", "replace")) for key, value in headers]
    return answer


def _answer_body(result: Mapping[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise BadResultError("body is not a string")
    try:
        return base64.b64decode(body, validate=True) if result.get("isBase64Encoded") else body.encode()
    except ValueError:
        raise BadResultError("body is not base64 although isBase64Encoded says so") from None


def _answer_headers(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    given, cookies = result.get("headers") or {}, result.get("cookies") or []
    if not isinstance(given, Mapping) or not isinstance(cookies, list):
        raise BadResultError("headers must be an object and cookies a list")
    headers = [(str(key).lower(), str(value)) for key, value in given.items()]
    if not any(key == _CONTENT_TYPE for key, _ in headers):
        headers.append((_CONTENT_TYPE, _DEFAULT_TYPE))
    # The server writes these itself; a second one would break the answer's framing.
    headers = [(key, value) for key, value in headers if key not in ("content-length", "transfer-encoding")]
    return [*headers, *(("set-cookie", str(cookie)) for cookie in cookies)]
