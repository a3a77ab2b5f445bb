"""A ledger of 5,000 entries: nothing that releases or goes back reads more of it than of a young one."""

from collections import Counter

import pytest

from release.errors import RolledBack
from release.ledger.lifecycle import Decision, State
from release.rollout.operations import reap
from release.rollout.promote import promote
from release.rollout.rollback import rollback
from tests.unit.release.release_world import FAST, World

ENTRIES = 5_000


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, **FAST)
    for number in (1, 2):
        promote(world.context(), world.offer(number).digest)
    return world


def grow(world):
    """Freezes and thaws, as a busy team writes them in years."""
    ledger = world.context().ledger
    while ledger.view().frozen or len(world.states()) < 20:
        ledger.decide(Decision.THAWED if ledger.view().frozen else Decision.FROZEN, reason="a test")
    for _ in range((ENTRIES - 20) // 2):
        for decision in (Decision.FROZEN, Decision.THAWED):
            ledger.decide(decision, reason="a test")


def read(world, monkeypatch, work):
    """How often each kind of object was read by what `work` does."""
    found, get = Counter(), world.s3.get_object

    def counting(**call):
        found[call["Key"].rpartition("/")[0]] += 1
        return get(**call)

    with monkeypatch.context() as patch:
        patch.setattr(world.s3, "get_object", counting)
        work()
    return found


def a_year(world):
    """A sound release, a broken one, one step back, and a look of the watchdog."""
    promote(world.context(), world.offer(3).digest)
    broken = world.offer(4)
    world.broken[broken.digest] = lambda function, alias, event: RuntimeError("broken")
    with pytest.raises(RolledBack):
        promote(world.context(), broken.digest)
    assert rollback(world.context(), "previous", "a test").state is State.ROLLED_BACK
    reap(world.context())
    assert world.context().ledger.view().confirmed.release.digest == world.offer(2).digest


def test_a_promotion_and_a_rollback_read_no_more_of_a_ledger_of_5000_entries_than_of_a_young_one(world, monkeypatch):
    world.context().ledger.decide(Decision.THAWED, reason="a test")
    saved = world.save()
    young = read(world, monkeypatch, lambda: a_year(world))
    world.restore(saved)
    grow(world)
    old = read(world, monkeypatch, lambda: a_year(world))
    assert len(world.states()) > ENTRIES
    assert old["ledger/entries"] <= young["ledger/entries"] + 120, (old, young)
    assert {**old, "ledger/entries": 0} == {**young, "ledger/entries": 0}
    assert world.context().ledger.verify() == []
