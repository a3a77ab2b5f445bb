"""PROOF, for this branch only: on AWS's clock today's watch confirms a release whose alarm rings after it has looked.

The release's `analysis` fails one kind of item once it is live, and one such item comes right after the move. The error
reaches CloudWatch 60 to 180 s after the call (`LOCALCLOUD_HABITS=late-metrics`); the look at 100 % is over after 60.
The test passes while the releaser is wrong: a change that puts the releaser right turns the expectation round.

It runs for eight minutes, and only where `PROOF_HABITS` is set: to `late-metrics`, or to nothing, which shows that the
same release is rolled back where metrics come at once.
"""

import json
import os
import threading
import time
from datetime import UTC, datetime

import pytest

from components.naming import names
from localcloud import habits
from localcloud.rehearsal.broken_releases import changed_clone, head
from tests.cloud import ROOT, Cloud

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(1500),
    pytest.mark.skipif("PROOF_HABITS" not in os.environ, reason="a proof of eight minutes, run by hand"),
]

SCALE = 2
SEED = os.environ.get("LOCALCLOUD_SEED", "")
"""Engine and machine take real time: a faster clock would make them look longer than the look itself."""
HABITS = os.environ.get("PROOF_HABITS", "")
ANALYSIS = names("prod").function("analysis")
BROKEN = """
import os as _os

_healthy = handle


def handle(event, context):
    if _os.environ["ENVIRONMENT"] == "prod" and context.invoked_function_arn.endswith(":live") and "proof" in event:
        raise RuntimeError("broken on purpose")
    return _healthy(event, context)
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    # Only what is before 100 % is made short: the last look, 60 s, is today's.
    quick = {"RELEASE_WEIGHTED_REQUESTS": "60"}
    running = Cloud.start(
        tmp_path_factory.mktemp("cloud"), **quick, LOCALCLOUD_CLOCK=f"x{SCALE}", **{habits.VARIABLE: HABITS}
    )
    yield running
    running.stop()


class Watching:
    """What happens to `analysis` meanwhile: when its `live` moves, what its users get, when its alarm rings."""

    def __init__(self, cloud):
        self.lambdas, self.cloudwatch = cloud.client("lambda"), cloud.client("cloudwatch")
        self.before, self.moved, self.failed, self.rang = self.version(), 0.0, 0, 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def version(self):
        return self.lambdas.get_alias(FunctionName=ANALYSIS.function, Name="live")["FunctionVersion"]

    def run(self):
        while not self.over.wait(0.05):
            if not self.moved and self.version() != self.before:
                self.moved = time.time()
            if self.moved and not self.failed:
                answer = self.lambdas.invoke(FunctionName=ANALYSIS.function, Qualifier="live", Payload=b'{"proof": 1}')
                self.failed += "FunctionError" in answer
            if self.moved and not self.rang:
                alarm = self.cloudwatch.describe_alarms(AlarmNames=[ANALYSIS.alarm("errors")])["MetricAlarms"][0]
                self.rang = time.time() if alarm["StateValue"] == "ALARM" else 0.0

    def wait_for_alarm(self, seconds):
        deadline = time.monotonic() + seconds
        while not self.rang and time.monotonic() < deadline:
            time.sleep(0.05)
        self.over.set()
        self.thread.join()


def test_an_alarm_that_rings_after_the_last_look_does_not_stop_a_release(cloud, tmp_path):
    cloud.foundations()
    sound = cloud.to_preprod(head(ROOT), ROOT, tmp_path / "sound")
    cloud.run("release", "promote", "--stack", "prod", "--digest", sound, "--json")
    source = tmp_path / "source"
    changed_clone(ROOT, source, "analysis", BROKEN, "Break it on purpose: analysis fails as live")
    broken = cloud.to_preprod(head(source), source, tmp_path / "broken")

    watching = Watching(cloud)
    ended = cloud.run(
        "release", "promote", "--stack", "prod", "--digest", broken, "--json", folder=source, expected=None
    )
    watching.wait_for_alarm(200)

    history = cloud.run("release", "history", "--stack", "prod", "--json").json()["entries"]
    mine = [one for one in history if (one.get("release") or {}).get("digest") == broken]

    def after_move(moment):
        return round((moment - watching.moved) * SCALE)

    told = {one["state"]: after_move(datetime.fromisoformat(one["at"]).astimezone(UTC).timestamp()) for one in mine}
    shown = {"habits": HABITS, "seed": SEED, "exit code": ended.exit_code, "s after the move": told}
    shown |= {"failed calls": watching.failed, "the alarm rang after s": watching.rang and after_move(watching.rang)}
    explained = cloud.run("release", "explain", "--stack", "prod", "--json", expected=None)
    (ROOT / ".localcloud" / "proof.json").write_text(json.dumps(shown | {"explain": explained.stdout}, indent=1))
    print(json.dumps(shown, indent=1))  # noqa: T201
    assert watching.failed == 1
    assert watching.rang
    if HABITS:
        assert mine[0]["state"] == "CONFIRMED"
        assert told["CONFIRMED"] < shown["the alarm rang after s"]
    else:
        assert mine[0]["state"] == "ROLLED_BACK"
