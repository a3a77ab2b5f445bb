"""Three kinds of answer, by one table: success, failure and error. Pure.

A failure is the release's own and counts against it. An error says nothing about the release: credentials, rights,
throttling, conflicts, clocks, networks, AWS itself, or an answer that does not prove which code gave it. Errors fail no
release; too many of them leave a verdict inconclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from http import HTTPStatus
from typing import Any, Final


class AnswerKind(StrEnum):
    """What an answer counts as."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


class AnswerCase(Enum):
    """The table: every case of an answer, what it counts as, and why."""

    RIGHT = AnswerKind.SUCCESS, "the expected answer, from the release that was asked"
    RAISED = AnswerKind.FAILURE, "the function raised, left its process, ran out of memory or could not be imported"
    TIMED_OUT = AnswerKind.FAILURE, "the function reached its own time limit"
    WRONG = AnswerKind.FAILURE, "the function answered, and the answer is wrong: status, body, digest, or too late"
    BROKEN_PACKAGE = AnswerKind.FAILURE, "Lambda cannot start the package of the release, or stopped its loop of calls"
    UNSIGNED = AnswerKind.ERROR, "an answer without our digest: the gateway, a throttled URL, a missing right, or AWS"
    UNREADABLE = AnswerKind.ERROR, "a function error that is not in the shape of the runtime"
    REFUSED = (
        AnswerKind.ERROR,
        "AWS refused the call: credentials, rights, throttling, conflict, clock skew, its own fault",
    )
    NETWORK = AnswerKind.ERROR, "no answer reached us: name, connection, TLS, or our own time limit"

    def __init__(self, kind: AnswerKind, meaning: str) -> None:
        self.kind = kind
        self.meaning = meaning


_BROKEN_PACKAGE: Final = frozenset(
    {"InvalidZipFileException", "InvalidRuntimeException", "RecursiveInvocationException"}
)
"""The codes of Invoke that the release itself causes. Every other one, also one that AWS adds later, is an error."""


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """One answer: its case, what it said, the time it took, and the JSON document if there is one."""

    case: AnswerCase
    said: str = ""
    ms: float = 0.0
    document: Any = None


def case_of_refusal(code: str) -> AnswerCase:
    """Return the case of a call that AWS refused with an error code (botocore's `ClientError`)."""
    return AnswerCase.BROKEN_PACKAGE if code in _BROKEN_PACKAGE else AnswerCase.REFUSED


def case_of_invocation(function_error: str, document: Any, wrong: str, expected: str = "") -> AnswerCase:
    """Return the case of an answer of Invoke.

    `function_error` is the header `X-Amz-Function-Error`, `wrong` what the question finds wrong with the document, and
    `expected` the type of the error that the function must raise. The runtime reports an error as an object with
    `errorMessage`, mostly with `errorType`: AWS, "Lambda function errors".
    """
    if not function_error:
        return AnswerCase.WRONG if wrong else AnswerCase.RIGHT
    if not isinstance(document, dict) or not ("errorMessage" in document or "errorType" in document):
        return AnswerCase.UNREADABLE
    if expected and document.get("errorType") == expected:
        return AnswerCase.RIGHT
    timed_out = document.get("errorType") == "Sandbox.Timedout" or "Task timed out" in str(document.get("errorMessage"))
    return AnswerCase.TIMED_OUT if timed_out else AnswerCase.RAISED


def case_of_http(status: int, digest: str, release: str, wrong: str) -> AnswerCase:
    """Return the case of an answer of a function URL that names a `digest`, when `release` was asked."""
    if not digest:
        return AnswerCase.UNSIGNED
    failed = digest != release or status >= HTTPStatus.INTERNAL_SERVER_ERROR or bool(wrong)
    return AnswerCase.WRONG if failed else AnswerCase.RIGHT
