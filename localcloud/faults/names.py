"""The services and operations that there are, and which of them a request is. Names and traits come from botocore."""

import difflib
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from botocore.loaders import Loader

AWS: Final = (
    *("budgets", "cloudtrail", "cloudwatch", "dynamodb", "events", "iam", "kms", "lambda", "logs"),
    *("s3", "scheduler", "secretsmanager", "sns", "sqs", "stepfunctions", "sts"),
)
BY_PATH: Final = ("github", "news")
"""Services without operations: a call of theirs is called METHOD /path."""
ALL: Final = (*AWS, *BY_PATH)

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
_SIGNING_NAMES: Final = {
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
}  # where it is another name than botocore's
_SIGNED_FOR = re.compile(r"Credential=[^/]+/\d+/[^/]+/([a-z0-9-]+)/aws4_request")
_ACTION = re.compile(r"(?:^|&)Action=(\w+)")
_REPOSITORY = re.compile(r"^(\S+ )?/repos/([^/*]+)/([^/]+)")
_ID = re.compile(r"(?<=/)(?:\d+|[0-9a-f]{40})(?=/|$)")


class Headers(Protocol):
    """The headers of a request, whatever their case."""

    def get(self, name: str, /) -> str | None:
        """The value of a header, or None."""


@functools.cache
def _model(service: str) -> Mapping[str, Any]:
    return Loader().load_service_model(service, "service-2")


@functools.cache
def operations(service: str) -> tuple[str, ...]:
    """The operations of an AWS service, sorted; without those that no request shows.

    A deprecated operation looks like its successor on the wire, and two of S3's are signed for services of their own.
    """
    known = _model(service)["operations"]
    elsewhere = ("ListDirectoryBuckets", "WriteGetObjectResponse") if service == "s3" else ()
    return tuple(sorted(name for name in known if name not in elsewhere and not known[name].get("deprecated")))


def problem(service: str, operation: str) -> str:
    """What is wrong with the name of a service or an operation, with the nearest right ones; empty when nothing is."""
    if service == "*":
        return "" if operation == "*" else "an operation needs a service: SERVICE:OPERATION"
    if service not in ALL:
        return f"the local cloud has no service {service!r}{_nearest(service, ALL)}; it has {', '.join(ALL)}"
    if operation == "*" or _is_known(service, operation):
        return ""
    if service in BY_PATH:
        return f"{operation!r} is no call of {service}: say METHOD /path, for example 'GET /repos/*/pulls'"
    return f"{service} has no operation {operation!r}{_nearest(operation, operations(service))}"


def _is_known(service: str, operation: str) -> bool:
    if service in BY_PATH:
        method, _, path = operation.partition(" ")
        return method in (*_METHODS, "*") and path.startswith("/")
    return any(pattern(service, operation).fullmatch(known) for known in operations(service))


def _nearest(name: str, known: tuple[str, ...]) -> str:
    lower = {one.lower(): one for one in known}
    near = [lower[one] for one in difflib.get_close_matches(name.lower(), lower, n=3)]
    return f" (nearest: {', '.join(near)})" if near else ""


def spelled(service: Any, operation: str) -> str:
    """An operation as calls are spelled here: a repository is one `*`, whoever owns it and whatever its name."""
    return _REPOSITORY.sub(r"\1/repos/*", operation) if service in BY_PATH else operation


@functools.lru_cache(maxsize=1024)
def pattern(service: str, operation: str) -> re.Pattern[str]:
    """What an operation's name matches: `*` is anything; in a path it is one segment there, and `**` any number."""
    if service not in BY_PATH:
        return re.compile(re.escape(operation).replace(r"\*", ".*"))
    escaped = re.escape(operation).replace(r"\*\*", ".+").replace(r"\*", "[^/]+")
    return re.compile(escaped)


def by_path(method: str, path: str) -> tuple[str, str]:
    """How a call without an operation is counted, and what rules are held against."""
    exact = spelled("github", f"{method} {path}")
    return _ID.sub("*", exact), exact


def aws_call(method: str, target: str, headers: Headers, body: bytes) -> tuple[str, str] | None:
    """Service and operation of a request to AWS; None for what is no AWS call, or of a service that is not here.

    Whom a request is for stands in its signature; the operation in X-Amz-Target (JSON), in `Action` (query) or in
    method, path and parameters (REST).
    """
    path, _, query = target.partition("?")
    signed = _SIGNED_FOR.search(headers.get("Authorization") or "") or _SIGNED_FOR.search(
        query.replace("%2F", "/") if "X-Amz-Credential" in query else ""
    )
    action = _action(headers, query, body)
    if signed:
        service = _SIGNING_NAMES.get(signed[1], signed[1])
    elif action.startswith("AssumeRoleWith"):  # the only calls of AWS that nobody can sign
        service = "sts"
    else:
        return None
    if service not in AWS:
        return None
    operation = action or _rest_operation(service, method, path, query, headers)
    return (service, operation) if operation else None


def _action(headers: Headers, query: str, body: bytes) -> str:
    target = headers.get("X-Amz-Target")
    if target:
        return target.rpartition(".")[2]
    if (headers.get("Content-Type") or "").startswith("application/x-www-form-urlencoded"):
        found = _ACTION.search(body.decode("latin-1"))
    else:
        found = _ACTION.search(query)
    return found[1] if found else ""


# REST: botocore's http traits


@dataclass(frozen=True, slots=True)
class _Route:
    operation: str
    path: re.Pattern[str]
    parameters: Mapping[str, str]  # those that it has at least; a value of "" is any value
    headers: tuple[str, ...]

    def fits(self, path: str, parameters: Mapping[str, str], headers: Headers) -> bool:
        return (
            self.path.fullmatch(path) is not None
            and all(name in parameters and value in ("", parameters[name]) for name, value in self.parameters.items())
            and all(headers.get(name) is not None for name in self.headers)
        )


def _rest_operation(service: str, method: str, path: str, query: str, headers: Headers) -> str:
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    path = path.rstrip("/") or "/"
    known = _routes(service).get(method, ())
    return next((route.operation for route in known if route.fits(path, parameters, headers)), "")


@functools.cache
def _routes(service: str) -> Mapping[str, list[_Route]]:
    """The routes of a service per method; those that leave less open come first, as they say more."""
    model = _model(service)
    if not model["metadata"]["protocol"].startswith("rest"):
        return {}
    ranked = []
    for name in operations(service):
        operation = model["operations"][name]
        path, _, query = operation["http"]["requestUri"].partition("?")
        path, fixed = path.rstrip("/") or "/", dict(parse_qsl(query, keep_blank_values=True))
        parameters, headers = _required(model, operation)
        open_path = re.sub(r"\\\{\w+\\\}", "[^/]+", re.sub(r"\\\{\w+\\\+\\\}", ".+", re.escape(path)))
        route = _Route(name, re.compile(open_path), dict.fromkeys(parameters, "") | fixed, headers)
        demands = len(route.parameters) + len(route.headers)
        ranked.append(((path.count("{"), -len(path), path, not fixed, -demands), operation["http"]["method"], route))
    table: dict[str, list[_Route]] = {}
    for _, method, route in sorted(ranked, key=lambda one: one[0]):
        table.setdefault(method, []).append(route)
    return table


def _required(model: Mapping[str, Any], operation: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if "input" not in operation:
        return (), ()
    shape = model["shapes"][operation["input"]["shape"]]
    needed = [shape["members"][name] for name in shape.get("required", ())]
    return (
        tuple(one["locationName"] for one in needed if one.get("location") == "querystring"),
        tuple(one["locationName"] for one in needed if one.get("location") == "header"),
    )
