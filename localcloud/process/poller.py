"""A part that makes pass after pass over something in the cloud: its loop, and the endpoint that says how it is."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_log = logging.getLogger(__name__)


class Health:
    """How the passes are: what the health endpoint tells.

    Args:
        counted: What a pass counts, as the endpoint's word for it (`alarms`).
    """

    def __init__(self, counted: str) -> None:
        self._lock = threading.Lock()
        self._counted = counted
        self._told: dict[str, Any] = {"ok": True, "last_pass": None, counted: 0, "problem": None}

    def passed(self, count: int) -> None:
        """Record a completed pass."""
        with self._lock:
            self._told |= {"last_pass": datetime.now(UTC).isoformat(), self._counted: count, "problem": None}

    def failed(self, problem: str) -> bool:
        """Record a pass that could not be made; tell whether that is news."""
        with self._lock:
            is_news = self._told["problem"] is None
            self._told["problem"] = problem
        return is_news

    def body(self) -> bytes:
        """Return the answer of the health endpoint."""
        with self._lock:
            return json.dumps(self._told).encode()


def repeat_until(
    stopped: threading.Event, run_once: Callable[[], int], pause: Callable[[], float], health: Health, asked: str
) -> None:
    """Make passes, `pause()` seconds apart; while the service `asked` is away, say so once and go on trying."""
    while not stopped.wait(pause()):
        try:
            health.passed(run_once())
        except (BotoCoreError, ClientError) as error:
            if health.failed(str(error)):
                _log.warning("%s cannot be asked, trying again and again: %s", asked, error)
        except Exception as error:
            if health.failed(repr(error)):
                _log.exception("a pass failed")


def make_server(port: int, health: Health) -> ThreadingHTTPServer:
    """Return the server of the health endpoint, on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/_localcloud/health"
            body = health.body() if found else b'{"message": "there is only /_localcloud/health"}'
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Say nothing: only what a pass finds is worth a line."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)
