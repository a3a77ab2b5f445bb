"""Structured logs: one JSON document per line, nothing of a secret in it. Each function carries its own copy."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def log(level: str, event: str, **fields: Any) -> None:
    """Write one line that CloudWatch Logs can filter by field, e.g. `{ $.event = "news_failed" }`."""
    line = {"level": level, "event": event, "release": os.environ.get("RELEASE_SHA", ""), **fields}
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()
