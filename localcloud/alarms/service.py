"""Runs the evaluator for ever, and answers how it is."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.alarms.evaluator import Evaluator
from localcloud.lifeline import exit_when_parent_is_gone

_log = logging.getLogger("alarms")
_TICK_S = 0.5
_SHORTEST_TICK_S = 0.25


class Health:
    """How the evaluator is: what the health endpoint tells."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, Any] = {"ok": True, "last_pass": None, "alarms": 0, "problem": None}

    def passed(self, alarms: int) -> None:
        """Record a completed pass."""
        with self._lock:
            self._told |= {"last_pass": datetime.now(UTC).isoformat(), "alarms": alarms, "problem": None}

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


def evaluate_until(stopped: threading.Event, evaluator: Evaluator, health: Health, tick: float) -> None:
    """Make a pass every `tick` seconds; while CloudWatch is away, say so once and go on trying."""
    while not stopped.wait(tick):
        try:
            health.passed(evaluator.run_once())
        except (BotoCoreError, ClientError) as error:
            if health.failed(str(error)):
                _log.warning("CloudWatch cannot be asked, trying again every %.2f s: %s", tick, error)
        except Exception as error:
            if health.failed(repr(error)):
                _log.exception("a pass over the alarms failed")


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
            """Say nothing: only alarms are worth a line."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main() -> None:
    """Evaluate alarms and serve the health endpoint (`--port`)."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.alarms", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1 of the health endpoint")
    port = parser.parse_args().port
    exit_when_parent_is_gone()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    scale = float(os.environ.get("LOCALCLOUD_CLOCK", "x1").removeprefix("x"))
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
    evaluator = Evaluator(boto3.client("cloudwatch", config=config), boto3.client("sns", config=config), scale)
    health = Health()
    tick = max(_SHORTEST_TICK_S, _TICK_S / scale)
    threading.Thread(
        target=evaluate_until, args=(threading.Event(), evaluator, health, tick), name="evaluator", daemon=True
    ).start()
    make_server(port, health).serve_forever()
