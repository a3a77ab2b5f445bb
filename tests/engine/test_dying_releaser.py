"""M9 on the real engine: it does not outlive the releaser that started it, and its lock can be removed by the next."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from components.naming import PROJECT, state_place
from tests.cloud import ROOT
from tests.engine.conftest import STACK

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

UPDATE = """
import json, sys
from pathlib import Path
from release.console import Console
from release.context import Context
from release.pulumi.stack import ReleaseInput, Stack
from release.settings import ReleaseSettings

context = Context(stack=sys.argv[1], repo=Path.cwd(), console=Console(), settings=ReleaseSettings(lease_wait_s=0))
with context.leased("an update"):
    Stack(sys.argv[1], Path.cwd(), context.console, locks=context.locks).up(ReleaseInput(**json.loads(sys.argv[2])))
"""


@pytest.fixture
def update(service, tmp_path):
    """Start an update of another release in a process of its own; afterwards the first one is back."""

    def start(name):
        handed = json.loads(
            service.hand_over(service.release(name), traffic=0, stable=service.versions("live")).popitem()[1]
        )
        with (tmp_path / "update.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-c", UPDATE, STACK, json.dumps(handed)],
                cwd=ROOT,
                env=service.cloud.variables,
                stdout=log,
                stderr=log,
            )

    start.log = tmp_path / "update.log"
    yield start
    service.up(service.hand_over(service.release("first"), traffic=0, stable=service.versions("live")))


def locks(cloud):
    bucket, folder = state_place(STACK)
    s3, prefix = cloud.client("s3"), f"{folder}/.pulumi/locks/organization/{PROJECT}/{STACK}/"
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
    return [json.load(s3.get_object(Bucket=bucket, Key=one["Key"])["Body"]) for one in found]


def until(condition, what, limit_s=60):
    began = time.monotonic()
    while not (found := condition()):
        assert time.monotonic() - began < limit_s, what
        time.sleep(0.02)
    return found


def test_an_engine_ends_when_its_releaser_is_killed_and_the_next_one_removes_its_lock(service, update):
    run = update("second")
    lock = until(lambda: run.poll() is None and locks(service.cloud), "the engine takes its lock")[0]
    engine = psutil.Process(lock["pid"])
    assert "pulumi" in engine.name()
    assert engine.ppid() == run.pid
    until(lambda: "aws:lambda" in update.log.read_text(), "the update has a function in hand")
    run.kill()
    run.wait()
    psutil.wait_procs([engine], timeout=60)
    assert not engine.is_running(), "the engine has outlived its releaser"
    again = update("second")
    assert again.wait(timeout=120) == 0, update.log.read_text()
    assert locks(service.cloud) == []


def test_an_engine_that_is_killed_with_its_releaser_leaves_a_lock_that_the_next_one_removes(service, update):
    run = update("third")
    lock = until(lambda: run.poll() is None and locks(service.cloud), "the engine takes its lock")[0]
    os.kill(lock["pid"], signal.SIGKILL)
    run.kill()
    run.wait()
    assert locks(service.cloud) == [lock]
    again = update("third")
    assert again.wait(timeout=120) == 0, update.log.read_text()
    assert "removing the Pulumi lock of an engine of ours" in update.log.read_text()
    assert locks(service.cloud) == []
