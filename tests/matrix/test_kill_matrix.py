"""M9: SIGKILL between any two calls of the releaser, and in the middle of every update.

What a killed process leaves is the world as it stood at that call. So each scenario is run once, the world is kept at
every call that follows a change, and each of those worlds is recovered by every command that may find it.
"""

import pytest

from release.rollout.operations import reap
from release.rollout.promote import promote, resume
from release.rollout.rollback import rollback
from tests.matrix.scenarios import NAMES, ended, make
from tests.unit.release.actors import Inline
from tests.unit.release.invariants import always, at_rest, served_by
from tests.unit.release.release_world import FAST, World

RECOVERIES = {
    "reap": reap,
    "resume": resume,
    "rollback": lambda context: rollback(context, None, "the run has died"),
}
LATER_S = 7200


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module", params=NAMES)
def killed(request, tmp_path_factory, patch):
    """A scenario, and the world as a kill at each of its calls leaves it."""
    world = World(tmp_path_factory.mktemp("repo"), patch, **FAST)
    scenario = make(request.param, world)
    context = scenario.begin()
    with Inline(world, keep=True) as process:
        scenario.run(context)
    assert len(process.worlds) > 8, "the scenario changes next to nothing"
    kept = []
    for _, place, saved in process.worlds[:-1]:
        world.restore(saved)
        world.dead.add(context.run.id)
        kept.append((place, world.save()))
    return scenario, kept


def test_whenever_it_is_killed_only_what_was_judged_has_traffic(killed):
    scenario, kept = killed
    for place, saved in kept:
        scenario.world.restore(saved)
        assert always(scenario.world) == [], place


@pytest.mark.parametrize("recovery", RECOVERIES)
def test_whenever_it_is_killed_one_command_ends_it_in_a_named_state(killed, recovery):
    scenario, kept = killed
    world = scenario.world
    for place, saved in kept:
        world.restore(saved)
        view = world.context().ledger.view()
        if not (recovery == "reap" or view.under_way or (recovery == "resume" and view.attempt)):
            continue  # nothing was begun or changed: these two do nothing, and the next run takes the lease over
        said = ended(lambda: RECOVERIES[recovery](world.context()))
        where = f"killed {place}; {recovery}: {said}"
        assert not said.startswith("error"), where
        assert at_rest(world) == [], where
        assert served_by(world) <= {scenario.release, scenario.stable}, where


@pytest.mark.parametrize("later", [0, LATER_S], ids=["at once", "after the schedules have fired"])
def test_whenever_a_good_release_is_killed_resume_brings_it_to_its_end(killed, later):
    scenario, kept = killed
    world = scenario.world
    if not scenario.good:
        pytest.skip("it does not come to a good end by itself either")
    for place, saved in kept:
        world.restore(saved)
        view = world.context().ledger.view()
        if view.attempt is not None:
            wanted = "ROLLED_BACK" if view.state == "ROLLING_BACK" else "CONFIRMED"
            world.pass_time(later)
            assert ended(lambda: resume(world.context())) == wanted, f"killed {place} in {view.state}"


def test_after_any_kill_and_its_recovery_the_next_good_release_is_confirmed(killed):
    scenario, kept = killed
    world = scenario.world
    for place, saved in kept:
        world.restore(saved)
        reap(world.context())
        said = ended(lambda: promote(world.context(), world.offer(4).digest))
        assert said == "CONFIRMED", f"killed {place}; reap, promote: {said}"
        world.pass_time(LATER_S)
        assert at_rest(world) == [], f"killed {place}; later"


def test_whenever_it_is_killed_and_nobody_comes_traffic_is_back_by_itself(killed):
    scenario, kept = killed
    world = scenario.world
    if not scenario.stable:
        pytest.skip("there is nothing to go back to")
    for place, saved in kept:
        world.restore(saved)
        confirmed = {place.release.digest for place in world.context().ledger.view().confirmations}
        if has_passed(world, scenario.release):
            confirmed.add(scenario.release)  # only the word for it was not written any more
        world.pass_time(LATER_S)
        # A function that the release adds has no version to go back to: only a recovery takes it away.
        assert served_by(world, world.context().ledger.view().confirmed.functions) <= confirmed, f"killed {place}"


def has_passed(world, digest):
    """Whether a release has passed its last watch: then its checkpoint is kept, and its schedules are removed."""
    return any(f"ledger/releases/{digest}/checkpoint" in key for _, key in world.s3.objects)
