"""SIGKILL between any two calls of a promotion that ends one bake and begins another, and alarms that ring then."""

import pytest

from release.ledger.lifecycle import State
from release.rollout.operations import reap
from release.rollout.promote import promote, resume
from tests.matrix.scenarios import ended
from tests.unit.release.actors import Inline
from tests.unit.release.invariants import always, at_rest, served_by
from tests.unit.release.release_world import FAST, World

BAKE_S = 36_000
"""Longer than the schedules of the failsafe need, so that both act on the same traffic."""
LATER_S = 7200
ERRORS = "prod-sentiment-dashboard-errors"


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The world as a kill at each call of a promotion leaves it, with the digests of its three releases."""
    with pytest.MonkeyPatch.context() as patch:
        world = World(tmp_path_factory.mktemp("repo"), patch, **FAST, bake_s=BAKE_S)
        releases = [world.offer(number).digest for number in (1, 2, 3)]
        for digest in releases[:2]:
            promote(world.context(), digest)
        context = world.context()
        with Inline(world, keep=True) as process:
            assert promote(context, releases[2]).state is State.CONFIRMED
        kept = []
        for _, place, saved in process.worlds[:-1]:
            world.restore(saved)
            world.dead.add(context.run.id)
            kept.append((place, world.save()))
        yield world, releases, kept


def ring(world):
    world.alarms = {**world.alarms, ERRORS: "ALARM"}
    world.pass_time(1)


def test_whenever_it_is_killed_one_command_leaves_no_rule_that_leads_elsewhere(killed):
    world, _, kept = killed
    seen = set()
    for place, saved in kept:
        for recovery in (reap, resume):
            world.restore(saved)
            view = world.context().ledger.view()
            if recovery is resume and (view.attempt is None or view.state is State.ROLLING_BACK):
                continue
            said = ended(lambda recovery=recovery: recovery(world.context()))
            seen.add(said)
            assert not said.startswith("error"), f"killed {place}; {recovery.__name__}: {said}"
            assert at_rest(world) == [], f"killed {place}; {recovery.__name__}: {said}"
    assert seen == {"CONFIRMED", "ROLLED_BACK"}


def test_whenever_it_is_killed_and_an_alarm_rings_reap_ends_on_what_was_confirmed(killed):
    world, (oldest, stable, newest), kept = killed
    ends = set()
    for place, saved in kept:
        world.restore(saved)
        ring(world)
        world.pass_time(LATER_S)
        # Traffic is on one release that was confirmed, and the newest one only where that is written.
        written = {place.release.digest for place in world.context().ledger.view().confirmations}
        assert served_by(world) <= {oldest, stable} | (written & {newest}), f"killed {place}"
        assert len(served_by(world)) == 1, f"killed {place}"
        said = ended(lambda: reap(world.context()))
        ends.add((said, world.context().ledger.view().confirmed.release.digest))
        assert at_rest(world) == [], f"killed {place}; reap: {said}"
        assert always(world) == [], f"killed {place}; reap: {said}"
    # Before it has ended the bake of the release before, and after it has confirmed its own.
    assert {("ROLLED_BACK", oldest), ("ROLLED_BACK", stable)} <= ends
    assert newest not in {digest for _, digest in ends}


def test_after_any_kill_and_its_recovery_the_next_release_is_confirmed_and_bakes(killed):
    world, _, kept = killed
    for place, saved in kept:
        world.restore(saved)
        reap(world.context())
        said = ended(lambda: promote(world.context(), world.offer(4).digest))
        assert said == "CONFIRMED", f"killed {place}; reap, promote: {said}"
        assert at_rest(world) == [], f"killed {place}"
        ring(world)
        assert ended(lambda: reap(world.context())) == "ROLLED_BACK", f"killed {place}"
        assert at_rest(world) == [], f"killed {place}"
