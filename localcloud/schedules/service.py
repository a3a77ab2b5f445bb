"""Runs the schedules for ever, and answers how that goes."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading

from localcloud.lambdas.cloud import Cloud
from localcloud.process.parent_watch import exit_when_parent_is_gone
from localcloud.process.poller import Health, make_server, repeat_until
from localcloud.schedules.runner import Runner

_TICK_S = 0.5
"""How long a new schedule may stay unknown. One that is known fires at its time, not at the next tick."""


def main() -> None:
    """Fire schedules and serve the health endpoint (`--port`)."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.schedules", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1 of the health endpoint")
    port = parser.parse_args().port
    exit_when_parent_is_gone()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    cloud = Cloud(os.environ["AWS_REGION"])
    for service in ("scheduler", "lambda", "sqs"):
        cloud.client(service)  # making one takes a tenth of a second, which a schedule that is due should not wait
    runner = Runner(cloud.client, float(os.environ.get("LOCALCLOUD_CLOCK", "x1").removeprefix("x")))
    health = Health("schedules")
    threading.Thread(
        target=repeat_until,
        args=(threading.Event(), runner.run_once, lambda: runner.pause(_TICK_S), health, "EventBridge Scheduler"),
        name="runner",
        daemon=True,
    ).start()
    make_server(port, health).serve_forever()
