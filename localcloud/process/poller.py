"""A part that polls the cloud and acts on what it finds: its loop, and the endpoint that says how it is."""

import json
import logging
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.process.aws_clients import AwsClients
from localcloud.process.part import arguments, begin

_log = logging.getLogger(__name__)


class Health:
    """How the polling goes; `told` is what the health endpoint answers, with what is counted as `counted`."""

    def __init__(self, counted: str) -> None:
        self._counted = counted
        self.told: dict[str, Any] = {"ok": True, "last_poll": None, counted: 0, "problem": None}

    def succeeded(self, count: int) -> None:
        """Record a completed poll."""
        self.told |= {"last_poll": datetime.now(UTC).isoformat(), self._counted: count, "problem": None}

    def failed(self, problem: str) -> bool:
        """Record a poll that could not be made; return whether that is news."""
        is_news = self.told["problem"] is None
        self.told["problem"] = problem
        return is_news


def serve_poller(
    part: str, asked: str, prepare: Callable[[AwsClients], tuple[Callable[[], int], Callable[[], float]]]
) -> None:
    """Poll until the process ends, and serve the health endpoint (`--port`).

    Args:
        part: The name of the part, which is also what it counts.
        asked: The service that is polled, as the log calls it.
        prepare: Makes the poll (it returns how many things there are) and the pause before it, in seconds.
    """
    port = arguments(part, __doc__).parse_args().port
    begin()
    health = Health(part)
    poll, pause = prepare(AwsClients(os.environ["AWS_REGION"]))
    loop = threading.Thread(target=_repeat, args=(poll, pause, health, asked), name=part, daemon=True)
    loop.start()
    _server(port, health).serve_forever()


def _repeat(poll: Callable[[], int], pause: Callable[[], float], health: Health, asked: str) -> None:
    """Poll for ever; while the service `asked` is away, say so once and go on trying."""
    while not threading.Event().wait(pause()):
        try:
            health.succeeded(poll())
        except (BotoCoreError, ClientError) as error:
            if health.failed(str(error)):
                _log.warning("%s cannot be asked, trying again and again: %s", asked, error)
        except Exception as error:
            if health.failed(repr(error)):
                _log.exception("polling failed")


def _server(port: int, health: Health) -> ThreadingHTTPServer:
    """Return the server of the health endpoint, on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/_localcloud/health"
            body = json.dumps(health.told if found else {"message": "there is only /_localcloud/health"}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Say nothing: only what a poll finds is worth a line."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)
