"""M9: every call of the releaser goes wrong in every way, after the retries of the SDK have given up.

Production ends as without the fault, or back on the confirmed release, or nothing was changed at all. Where the fault
hits the rollback itself, traffic is safe or the state says that it may not be, and the one command that the error
names finishes it.
"""

import pytest

from release.rollout.operations import reap
from release.rollout.promote import promote
from release.rollout.rollback import rollback
from tests.matrix.scenarios import FIRST, GOOD, ended, make
from tests.unit.release.actors import Fault, Inline
from tests.unit.release.invariants import always, at_rest
from tests.unit.release.release_world import FAST, World

FAILING = ["a release that fails as schedule", "a first release that fails", "a rollback to the previous release"]


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module", params=[GOOD, FIRST, *FAILING])
def scenario(request, tmp_path_factory, patch):
    """A scenario with the calls of its undisturbed run, and how that ends."""
    world = World(tmp_path_factory.mktemp("repo"), patch, **FAST)
    scenario = make(request.param, world)
    context = scenario.begin()
    with Inline(world) as process:
        scenario.undisturbed = scenario.run(context)
    scenario.name, calls = request.param, process.calls
    # What comes before the failure is in the matrix of the good release already.
    first = 0
    if request.param in FAILING[:2]:
        first = next(number for number, call in enumerate(calls) if "traffic 100" in call)
    # Of many like calls in a row (health, the sample) the first two and the last; waiting cannot fail.
    scenario.numbers = [
        number
        for number in range(first, len(calls))
        if not calls[number].startswith("clock.") and set(calls[number - 2 : number + 2]) != {calls[number]}
    ]
    return scenario


def rest(world):
    """What a person, or the watchdog, does where a fault has left something undone."""
    view, said = world.context().ledger.view(), []
    if view.under_way or view.state in {"ROLLBACK_FAILED", "ROLLED_BACK_TRAFFIC"}:
        said.append("rollback: " + ended(lambda: rollback(world.context(), None, "finish the rollback")))
    if world.context().ledger.view().attempt or world.context().lease.holder():
        said.append("reap: " + ended(lambda: reap(world.context())))
    return ", ".join(said) or "nothing to do"


def assert_ends_well(scenario, number, fault, *, lasting=False):
    """Let one call go wrong, or with `lasting` all from it on, and do what is left to do; return what happened."""
    world, context = scenario.world, scenario.begin()
    with Inline(world, at=number, fault=fault, lasting=lasting) as process:
        said = scenario.run(context)
    world.dead.add(context.run.id)
    where = f"{'from ' if lasting else ''}call {number}, {process.calls[number]}: {fault}; ended as {said}"
    assert always(world) == [], where
    where = f"{where}; then {rest(world)}"
    assert at_rest(world) == [], where
    return where


@pytest.mark.parametrize("fault", Fault)
def test_whichever_call_goes_wrong_it_ends_well_or_one_command_ends_it(scenario, fault):
    for number in _share(scenario, fault):
        assert_ends_well(scenario, number, fault)


def _share(scenario, fault):
    """The calls that go wrong in this way: all of a good release; elsewhere answers that are errors take turns."""
    answers = [Fault.THROTTLED, Fault.SERVER_ERROR, Fault.EXPIRED]
    if scenario.name == GOOD or fault not in answers:
        return scenario.numbers
    return scenario.numbers[answers.index(fault) :: len(answers)]


def test_credentials_that_expire_for_good_leave_what_the_next_run_can_end(scenario):
    world = scenario.world
    for number in scenario.numbers:
        where = assert_ends_well(scenario, number, Fault.EXPIRED, lasting=True)
        following = ended(lambda: promote(world.context(), world.offer(5).digest))
        assert following == "CONFIRMED", f"{where}; then {following}"
