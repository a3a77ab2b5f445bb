"""Decisions that other processes ask the AWS part for, which knows the roles."""

import asyncio
import base64
import json
import os
import urllib.request
from typing import Any, Final

from localcloud.faults.answers import Answer
from localcloud.iam.received import Received
from localcloud.iam.switch import DECIDE
from localcloud.process.direct import DIRECTLY

_HEADERS: Final = ("Authorization", "Content-Type", "X-Amz-Security-Token", "X-Amz-Target")


async def refusal_by_aws_part(request: Received) -> Answer | None:
    """Return the refusal of a request to another part, or None; raises OSError when the AWS part does not answer."""
    asked = {
        "method": request.method,
        "target": request.target,
        "headers": {name: value for name in _HEADERS if (value := request.headers.get(name)) is not None},
        "body": base64.b64encode(request.body).decode(),
    }
    refusal = (await asyncio.to_thread(_post, f"{os.environ['AWS_ENDPOINT_URL']}{DECIDE}", asked))["refusal"]
    return Answer(refusal["status"], base64.b64decode(refusal["body"]), refusal["headers"]) if refusal else None


def _post(url: str, document: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": "application/json"})
    with DIRECTLY.open(request, timeout=30) as answer:
        return json.load(answer)
