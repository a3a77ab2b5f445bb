"""The routes by which rules come in and counts go out, the same in every part; and which requests count at all."""

import json
import re
from typing import Any, Final
from urllib.parse import parse_qsl

from localcloud.faults.answers import Answer
from localcloud.faults.history import access_key
from localcloud.faults.names import Headers
from localcloud.faults.rules import ApiCall, FaultRule, Faults

OWN: Final = "/_localcloud/"
_OUR_OWN = re.compile(r"\bapp/localcloud\b")
"""User agents of the local cloud's parts (the supervisor names them so): what AWS does inside itself is no API call."""


def control(faults: Faults, method: str, target: str, body: bytes) -> Answer | None:
    """The answer to `/_localcloud/faults` (PUT one rule, GET, DELETE all), `calls` and `history`; None elsewhere."""
    path, _, query = target.partition("?")
    match method, path.removeprefix(OWN):
        case "GET", "calls":
            return _json({"calls": faults.calls(dict(parse_qsl(query)).get("caller", ""))})
        case "GET", "history":
            return _json({"calls": faults.history.listed()})
        case "GET", "faults":
            return _json({"faults": faults.listed()})
        case "DELETE", "faults":
            return _json({"cleared": faults.clear()})
        case "PUT", "faults":
            return _add(faults, body)
    return None


def _add(faults: Faults, body: bytes) -> Answer:
    try:
        faults.add(FaultRule.read(json.loads(body)))
    except ValueError as error:
        return _json({"message": str(error)}, 400)
    return _json({"faults": faults.listed()})


def _json(document: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def call_of(named: tuple[str, str, str] | None, headers: Headers) -> ApiCall | None:
    """The call that a request is; None for what is no call of a customer."""
    caller = headers.get("User-Agent") or ""
    if named is None or _OUR_OWN.search(caller):
        return None
    service, operation, exact = named
    return ApiCall(service, operation, caller, exact, access_key(headers.get("Authorization")))
