"""A part that polls the cloud and acts on what it finds: its loop, and the endpoint that says how it is."""

import logging
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import uvicorn
from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.process.aws_clients import AwsClients
from localcloud.process.part import arguments, begin

_log = logging.getLogger(__name__)


def serve_poller(
    part: str, asked: str, prepare: Callable[[AwsClients], tuple[Callable[[], int], Callable[[], float]]]
) -> None:
    """Poll until the process ends, and serve the health endpoint (`--port`).

    Args:
        part: The name of the part, which is also what it counts.
        asked: The service that is polled, as the log calls it.
        prepare: Makes the poll (it returns how many things there are) and the pause before it, in seconds.
    """
    port = arguments(part).parse_args().port
    begin()
    told: dict[str, Any] = {"ok": True, "last_poll": None, part: 0, "problem": None}
    poll, pause = prepare(AwsClients(os.environ["AWS_REGION"]))

    def make_one_poll() -> None:
        told.update({part: poll(), "last_poll": datetime.now(UTC).isoformat(), "problem": None})

    threading.Thread(target=_repeat, args=(make_one_poll, pause, told, asked), name=part, daemon=True).start()

    async def health(_: Request) -> Response:
        return JSONResponse(told)

    app = Starlette(routes=[Route("/_localcloud/health", health)])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


def _repeat(poll: Callable[[], None], pause: Callable[[], float], told: dict[str, Any], asked: str) -> None:
    """Poll for ever; while the service `asked` is away, say so once and go on trying."""
    while not threading.Event().wait(pause()):
        is_news = told["problem"] is None
        try:
            poll()
        except (BotoCoreError, ClientError) as error:
            told["problem"] = str(error)
            if is_news:
                _log.warning("%s cannot be asked, trying again and again: %s", asked, error)
        except Exception as error:
            told["problem"] = repr(error)
            if is_news:
                _log.exception("polling failed")
