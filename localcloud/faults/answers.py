"""What AWS, GitHub and the news say when they refuse: each in its own code, status and shape."""

import json
import uuid
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from xml.sax.saxutils import escape

from localcloud.faults.kind import Kind
from localcloud.faults.names import Headers
from localcloud.faults.rules import ApiCall, FaultRule
from tests.fixtures import newsapi_responses as newsapi


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Codes:
    """Error codes and HTTP statuses of one service, from its API reference and botocore's model of it."""

    throttle: tuple[str, int] = ("ThrottlingException", 400)
    error: tuple[str, int] = ("InternalFailure", 500)
    expired: tuple[str, int] = ("ExpiredTokenException", 400)


_QUERY: Final = {"throttle": ("Throttling", 400), "expired": ("ExpiredToken", 403)}
_AWS: Final = {
    "budgets": _Codes(error=("InternalErrorException", 500)),
    "cloudtrail": _Codes(),
    "cloudwatch": _Codes(**_QUERY, error=("InternalServiceError", 500)),
    "dynamodb": _Codes(error=("InternalServerError", 500)),
    "events": _Codes(error=("InternalException", 500)),
    "iam": _Codes(**_QUERY, error=("ServiceFailure", 500)),
    "kms": _Codes(error=("KMSInternalException", 500)),
    "lambda": _Codes(
        throttle=("TooManyRequestsException", 429),
        error=("ServiceException", 500),
        expired=("ExpiredTokenException", 403),
    ),
    "logs": _Codes(error=("ServiceUnavailableException", 503)),
    "s3": _Codes(throttle=("SlowDown", 503), error=("InternalError", 500), expired=("ExpiredToken", 400)),
    "scheduler": _Codes(
        throttle=("ThrottlingException", 429),
        error=("InternalServerException", 500),
        expired=("ExpiredTokenException", 403),
    ),
    "secretsmanager": _Codes(error=("InternalServiceError", 500)),
    "sns": _Codes(**_QUERY, error=("InternalError", 500)),
    "sqs": _Codes(throttle=("RequestThrottled", 400), expired=("ExpiredToken", 403)),
    "stepfunctions": _Codes(),
    "sts": _Codes(**_QUERY),
}
_REST_JSON: Final = ("lambda", "scheduler")
_MESSAGES: Final = {
    Kind.THROTTLE: "Rate exceeded",
    Kind.ERROR: "We encountered an internal error. Please try again.",
    Kind.EXPIRED: "The security token included in the request is expired",
}
_GITHUB: Final = {
    Kind.THROTTLE: (403, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."),
    Kind.ERROR: (502, "Server Error"),
    Kind.EXPIRED: (401, "Bad credentials"),
}
_SERVER_ERROR: Final = 500


def refusal(rule: FaultRule, call: ApiCall, headers: Headers) -> Answer:
    """The answer to a call that is refused (throttle, error, expired), in the form in which the request was made."""
    if call.service == "github":
        return _github(rule)
    if call.service == "news":
        return _news(rule)
    code, status = getattr(_AWS[call.service], rule.kind.value)
    return _aws(call.service, code, status, _MESSAGES[rule.kind], headers)


class RefusalKind(Enum):
    """Why somebody's call is refused, whatever it is about."""

    DENIED = "not authorized"
    EXPIRED = "The security token included in the request is expired"
    BAD_SESSION = "The security token included in the request is invalid"
    UNKNOWN_KEY = "The access key of the request does not exist"


def denial(call: ApiCall, headers: Headers) -> Answer:
    """The answer to a call of somebody who has no right to it."""
    sentence = f"not authorized to perform: {call.service}:{call.operation}"
    return refused(call.service, RefusalKind.DENIED, sentence, headers)


def refused(service: str, why: RefusalKind, message: str, headers: Headers) -> Answer:
    """The answer to somebody who has no right, or no credentials; in the code and the form of the service."""
    if why is RefusalKind.EXPIRED:
        code, status = _AWS.get(service, _Codes()).expired
    elif headers.get("X-Amz-Target") and not headers.get("x-amzn-query-mode"):
        # Services that know their operation from the target speak JSON; there a denial is a 400.
        code, status = ("AccessDeniedException" if why is RefusalKind.DENIED else "UnrecognizedClientException"), 400
    elif service in _REST_JSON:
        code, status = ("AccessDeniedException" if why is RefusalKind.DENIED else "UnrecognizedClientException"), 403
    elif why is RefusalKind.DENIED:
        code, status = "AccessDenied", 403
    elif service == "s3":
        code, status = ("InvalidToken", 400) if why is RefusalKind.BAD_SESSION else ("InvalidAccessKeyId", 403)
    else:
        code, status = "InvalidClientTokenId", 403
    return _aws(service, code, status, message or why.value, headers)


def _aws(service: str, code: str, status: int, message: str, headers: Headers) -> Answer:
    request_id = str(uuid.uuid4())
    fault = "Sender" if status < _SERVER_ERROR else "Receiver"
    ids = {"x-amzn-requestid": request_id}
    if headers.get("X-Amz-Target"):
        if headers.get("x-amzn-query-mode"):  # SQS and CloudWatch: their codes of the query protocol
            ids["x-amzn-query-error"] = f"{code};{fault}"
        body = json.dumps({"__type": code, "message": message})
        return Answer(status, body.encode(), ids | {"Content-Type": "application/x-amz-json-1.0"})
    if service in _REST_JSON:
        body = json.dumps({"Type": "User" if fault == "Sender" else "Service", "message": message})
        return Answer(status, body.encode(), ids | {"Content-Type": "application/json", "x-amzn-errortype": code})
    said = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    if service == "s3":
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{said}<RequestId>{request_id}</RequestId></Error>'
        return Answer(status, body.encode(), {"Content-Type": "application/xml", "x-amz-request-id": request_id})
    body = (
        f"<ErrorResponse><Error><Type>{fault}</Type>{said}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Answer(status, body.encode(), ids | {"Content-Type": "text/xml"})


def _github(rule: FaultRule) -> Answer:
    """GitHub's refusals.

    The throttle is a secondary rate limit: 403 with Retry-After (docs.github.com, "Rate limits for the REST API").
    """
    status, message = _GITHUB[rule.kind]
    more = {"Retry-After": str(max(1, round(rule.seconds)))} if rule.kind is Kind.THROTTLE else {}
    body = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return Answer(status, json.dumps(body).encode(), more | {"Content-Type": "application/json; charset=utf-8"})


def _news(rule: FaultRule) -> Answer:
    given = {Kind.THROTTLE: newsapi.rate_limited, Kind.EXPIRED: newsapi.key_refused}
    answer = given.get(rule.kind, newsapi.server_error)()
    return Answer(answer.status, answer.body, {"Content-Type": "application/json"})
