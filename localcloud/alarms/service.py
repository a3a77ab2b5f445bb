"""Runs the evaluator for ever, and answers how it is."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading

import boto3
from botocore.config import Config

from localcloud.alarms.evaluator import Evaluator
from localcloud.process.parent_watch import exit_when_parent_is_gone
from localcloud.process.poller import Health, make_server, repeat_until

_TICK_S = 0.5
_SHORTEST_TICK_S = 0.25


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
    health = Health("alarms")
    tick = max(_SHORTEST_TICK_S, _TICK_S / scale)
    threading.Thread(
        target=repeat_until,
        args=(threading.Event(), evaluator.run_once, lambda: tick, health, "CloudWatch"),
        name="evaluator",
        daemon=True,
    ).start()
    make_server(port, health).serve_forever()
