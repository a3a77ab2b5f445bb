"""The routes by which other processes ask the AWS part for a decision, and what was denied."""

import base64
import json
from typing import Any

from werkzeug.datastructures import Headers

from localcloud.faults.answers import Answer
from localcloud.iam.enforcement import Enforcement
from localcloud.iam.received import Received
from localcloud.iam.switch import DECIDE, DENIALS


def answer_about_identities(enforcement: Enforcement | None, method: str, path: str, body: bytes) -> Answer | None:
    """Return the answer of the AWS part to these questions: a decision, or what was denied; None to all others."""
    if (method, path) == ("POST", DECIDE):
        refusal = enforcement.refusal(_received(json.loads(body))) if enforcement else None
        return _json({"refusal": _shown(refusal) if refusal else None})
    if (method, path) == ("GET", DENIALS):
        return _json({"enforced": enforcement is not None, "denials": enforcement.denials if enforcement else []})
    return None


def _received(asked: dict[str, Any]) -> Received:
    return Received(
        asked["method"], asked["target"], Headers(list(asked["headers"].items())), base64.b64decode(asked["body"])
    )


def _shown(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "headers": answer.headers, "body": base64.b64encode(answer.body).decode()}


def _json(document: dict[str, Any]) -> Answer:
    return Answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})
