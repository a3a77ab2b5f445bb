"""What the entry points of the parts share: arguments, log, clock."""

import argparse
import logging
import os
import sys
from collections.abc import Mapping

from localcloud.process.parent_watch import exit_when_parent_is_gone


def arguments(part: str) -> argparse.ArgumentParser:
    """Return the parser of a part's arguments, which are at least `--port`."""
    parser = argparse.ArgumentParser(prog=f"python -m localcloud.{part}")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    return parser


def begin() -> None:
    """Write the log to standard error, and end when the supervisor is gone."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    exit_when_parent_is_gone()


def clock_scale(environment: Mapping[str, str] = os.environ) -> float:
    """Return how much faster the clock of the local cloud runs (`LOCALCLOUD_CLOCK=x60`)."""
    return float(environment.get("LOCALCLOUD_CLOCK", "x1").removeprefix("x"))
