"""M9 on the real engine: a run that is killed leaves what one command, or the schedules alone, put right.

A sample: `make soak` kills in every state and lets every call go wrong.
"""

import time

import pytest

from tests.dying import Stage, kill

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.fixture
def stage(production, another):
    """Production on its stable release. What comes after this file finds it on the other one."""
    stage = Stage(production.cloud, production.digest)
    stage.begin_again(another[0])
    return stage


def test_when_the_runner_is_killed_at_ten_percent_the_schedules_alone_take_traffic_back(stage, another):
    digest, source = another
    run = stage.promote(digest, source)
    stage.until(stage.weights, "traffic is shared", run)
    kill(run)
    assert stage.schedules()
    stage.until(lambda: not stage.weights() and not stage.schedules(), "traffic is back by itself")
    assert stage.in_state(digest, "CANARY"), "somebody else did it"
    assert stage.run("reap", "--json").json()["state"] == "ROLLED_BACK"
    assert stage.settled() == stage.stable


def test_a_run_that_is_killed_while_it_moves_all_traffic_is_resumed_through_throttled_calls_and_lost_answers(
    stage, another
):
    digest, source = another
    # The schedules are not to come first, however slow the machine is: that is the test above.
    run = stage.promote(digest, source, RELEASE_STEP_WORK_S="900")
    stage.until(lambda: stage.in_state(digest, "LIVE"), "it goes live", run)
    time.sleep(1.5)  # into the update: where exactly is the engine's affair, and must not matter
    kill(run)
    for target, kind in (("*", "throttle"), ("s3", "lost"), ("lambda", "lost")):
        stage.cloud.run("localcloud", "fault", "add", target, "--kind", kind, "--ratio", "0.02", "--seed", "11")
    resumed = stage.run("resume", "--json").json()
    stage.cloud.run("localcloud", "fault", "clear")
    assert resumed["state"] == "CONFIRMED"
    assert stage.settled() == digest
