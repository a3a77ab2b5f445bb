"""The management calls that one server has seen, newest last: who called what, when. CloudTrail's event history."""

import re
import threading
import time
import uuid
from collections import deque
from typing import Any, Final

_MOST: Final = 20_000
_KEY = re.compile(r"Credential=([^/,\s]+)/")
_DATA: Final = {
    "cloudwatch": re.compile(r"GetMetricData|PutMetricData"),
    "dynamodb": re.compile(r"(Batch|Transact)\w+|(Get|Put|Update|Delete)Item|Query|Scan"),
    "lambda": re.compile(r"Invoke\w*"),
    "s3": re.compile(r"(?!.*Bucket).*Object\w*|\w*Multipart\w*|UploadPart\w*"),
    "sns": re.compile(r"Publish\w*"),
    "sqs": re.compile(r"(Send|Receive|Delete|ChangeMessage)\w*Message\w*|ChangeMessageVisibility\w*"),
}
"""Operations on data, which CloudTrail's event history does not hold."""


def access_key(authorization: str | None) -> str:
    """The access key that signed a request; empty where nobody did."""
    found = _KEY.search(authorization or "")
    return found[1] if found else ""


class CallHistory:
    """What one server has seen; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[dict[str, Any]] = deque(maxlen=_MOST)

    def note(self, service: str, operation: str, key: str) -> None:
        """Write a call down, unless it is one on data."""
        on_data = _DATA.get(service)
        if on_data is not None and on_data.fullmatch(operation):
            return
        event = {"id": str(uuid.uuid4()), "at": time.time(), "service": service, "operation": operation, "key": key}
        with self._lock:
            self._events.append(event)

    def listed(self) -> list[dict[str, Any]]:
        """Every call, oldest first."""
        with self._lock:
            return list(self._events)
