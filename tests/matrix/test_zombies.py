"""M9: a run that hung, was declared dead, and wakes when others have gone on touches nothing any more.

It hangs before each of its calls in turn. (A call that changes something and is under way already cannot be called
back: AWS has no condition for it. The revision of an alias and the lock of the stack are what holds it then.)
"""

import os

import pytest

from release.errors import LeaseLost
from release.ledger.lifecycle import State
from release.rollout.operations import reap, unlock
from release.rollout.promote import promote, resume
from release.rollout.rollback import rollback
from tests.matrix.scenarios import fails_its_users
from tests.matrix.test_stateful import ACTS
from tests.unit.release.actors import Stage
from tests.unit.release.invariants import at_rest
from tests.unit.release.release_world import FAST, World

CHANGING = (State.DEPLOYING, State.DARK, State.CANARY, State.LIVE, State.ROLLING_BACK)
EVERY = 1 if "SOAK_MINUTES" in os.environ else 5
"""Of how many calls one is taken: a sample in `make test`, all in `make soak`."""
SUCCESSORS = ["taken back", "taken back, and the next release confirmed", "resumed"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, **FAST)
    promote(world.context(), world.offer(1).digest)
    return world


def hang(stage, digest, number):
    """Start a promotion and stop it before its call `number`; `None` when that one is a change under way."""
    run = stage.start(lambda context: promote(context, digest))
    for _ in range(number):
        if run.ended:
            return None
        stage.step(run)
    return None if run.ended or run.waits_for.startswith(ACTS) else run


def touched(world):
    """What a run may change: aliases, schedules, the rule of a bake, the stack, and the ledger."""
    aliases, schedules, rules, stack, _ = world.changes()[1:]
    return aliases, schedules, rules, stack, world.states()


def go_on(world, stage, how):
    """What others do once a person has said that the run is over."""
    unlock(world.context(), "it does not move any more")
    if how == "resumed":
        return stage.finish(stage.start(resume))
    stage.finish(stage.start(reap))
    if how.endswith("confirmed"):
        digest = world.offer(4).digest
        return stage.finish(stage.start(lambda context: promote(context, digest)))
    return None


@pytest.mark.parametrize("broken", [False, True], ids=["a sound release", "a broken release"])
@pytest.mark.parametrize("how", SUCCESSORS)
def test_a_run_that_wakes_after_its_successor_touches_nothing(world, how, broken):
    before, seen = world.save(), set()
    for number in range(0, 400, EVERY):
        world.restore(before)
        stage = Stage(world)
        digest = world.offer(3).digest
        if broken:
            world.broken[digest] = fails_its_users
        run = hang(stage, digest, number)
        if run is None or (state := world.context().ledger.view().state) not in CHANGING:
            stage.end()
            continue
        seen.add(state)
        go_on(world, stage, how)
        left, confirmed = touched(world), world.context().ledger.view().confirmed.release

        stage.finish(run)

        assert isinstance(run.error, LeaseLost), (number, state, run.error or run.result)
        assert touched(world) == left, (number, state, run.calls[-5:])
        assert world.context().ledger.view().confirmed.release == confirmed
        stage.end()
        assert at_rest(world) == [], (number, state)
    reached = {State.DARK, State.CANARY, State.ROLLING_BACK if broken else State.LIVE}
    assert seen >= (reached | {State.DEPLOYING} if EVERY == 1 else reached)  # it makes few calls by itself


def test_a_rollback_that_wakes_after_its_successor_touches_nothing(world):
    promote(world.context(), world.offer(2).digest)
    behind = world.save()
    for number in range(0, 400, EVERY):
        world.restore(behind)
        stage = Stage(world)
        run = stage.start(lambda context: rollback(context, "previous", "customers complain"))
        for _ in range(number):
            if not run.ended:
                stage.step(run)
        if run.ended:
            stage.end()
            break
        if run.waits_for.startswith(ACTS) or world.context().ledger.view().state is not State.ROLLING_BACK:
            stage.end()
            continue
        unlock(world.context(), "it does not move any more")
        stage.finish(stage.start(reap))
        digest = world.offer(5).digest
        stage.finish(stage.start(lambda context, digest=digest: promote(context, digest)))
        left = touched(world)
        stage.finish(run)
        assert isinstance(run.error, LeaseLost), (number, run.error or run.result)
        assert touched(world) == left, (number, run.calls[-5:])
        stage.end()
