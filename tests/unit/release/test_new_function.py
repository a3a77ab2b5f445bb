"""A function that the release adds has no stable version, and so no schedule: what it may do when its run is gone."""

import pytest

from release.ledger.lifecycle import State
from release.reporting.status import picture, status
from release.rollout import operations
from release.rollout.promote import promote
from tests.unit.release.invariants import at_rest
from tests.unit.release.test_status import seen

OLD = ("ingestion", "dashboard")
LATER_S = 7200


class Gone(BaseException):
    """The process is gone."""


def dies_live(world):
    """A run that adds `analysis`, moves all traffic, and is gone."""
    run, manifest = world.new_run(), world.offer(2)

    def gate(call, work):
        if world.gate is gone:
            raise Gone
        done = world.straight_on(call, work)
        if call == "pulumi.up traffic 100":
            world.gate = gone
        return done

    def gone(_call, _work):
        raise Gone

    world.gate = gate
    with pytest.raises(Gone):
        promote(world.context(run=run), manifest.digest)
    world.gate = world.straight_on
    world.dead.add(run.id)
    return manifest


@pytest.fixture
def confirmed(world):
    manifest = world.offer(1, functions=OLD)
    promote(world.context(), manifest.digest)
    return manifest


def test_the_schedules_take_back_everything_that_was_there_before(world, confirmed):
    dies_live(world)
    world.pass_time(LATER_S)
    assert {name: world.functions.release_of(name, "live")["manifest"] for name in OLD} == dict.fromkeys(
        OLD, confirmed.digest
    )
    assert world.complaints == []
    assert world.scheduler.schedules == {}


def test_status_says_that_nothing_but_reap_takes_the_new_function_back(world, confirmed):
    dies_live(world)
    world.pass_time(LATER_S)
    text = seen(picture(status(world.context())))
    assert "analysis: new in this release, so no schedule takes it back: release reap does" in text
    assert "release reap --stack prod" in text


def test_reap_takes_the_new_function_away_and_nothing_of_it_is_left_serving(world, confirmed):
    dies_live(world)
    world.pass_time(LATER_S)
    assert operations.reap(world.context()).state is State.ROLLED_BACK
    assert ("prod-sentiment-analysis", "live") not in world.functions.aliases
    assert at_rest(world) == []


def test_a_release_that_adds_a_function_is_confirmed_with_it(world, confirmed):
    manifest = world.offer(2)
    assert promote(world.context(), manifest.digest).state is State.CONFIRMED
    assert set(world.live().values()) == {manifest.digest}
    assert set(world.context().ledger.view().confirmed.stable) == {*OLD, "analysis"}
    assert at_rest(world) == []
