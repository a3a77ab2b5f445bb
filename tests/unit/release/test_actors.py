"""The harness itself: one process moves at a time, and a killed one changes nothing any more."""

import pytest

from release.errors import ReleaseError
from release.rollout.promote import promote
from tests.unit.release.actors import Fault, Stage
from tests.unit.release.release_world import FAST, World


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch, **FAST)


def test_a_process_moves_only_when_it_is_told_to(world):
    stage, digest = Stage(world), world.offer(1).digest
    first = stage.start(lambda context: promote(context, digest))
    second = stage.start(lambda context: promote(context, digest))
    stage.step(first)
    assert (len(first.calls), len(second.calls)) == (1, 0)
    assert stage.finish(first).result.state == "CONFIRMED"
    assert stage.finish(second).result.already


def test_a_killed_process_changes_nothing_any_more(world):
    stage, digest = Stage(world), world.offer(1).digest
    process = stage.start(lambda context: promote(context, digest))
    while not (process.waits_for.startswith("s3.put_object") and "ledger/entries" in process.waits_for):
        stage.step(process)
    before = world.changes()
    stage.kill(process)
    assert process.ended
    assert process.error is None
    assert world.changes() == before
    assert world.context().lease.holder()["run"]["id"] == process.run.id
    assert not world.is_alive(process.run.pid)


def test_an_update_can_be_cut_in_the_middle_and_its_lock_stays(world):
    stage, digest = Stage(world), world.offer(1).digest
    process = stage.start(lambda context: promote(context, digest))
    while not process.waits_for.startswith("pulumi.up"):
        stage.step(process)
    stage.step(process, 3)
    assert process.ended
    assert len(world.functions.published) == 2
    assert world.stack.locked_by.id == process.run.id


def test_a_lost_answer_was_done(world):
    stage, digest = Stage(world), world.offer(1).digest
    process = stage.start(lambda context: promote(context, digest))
    while "packages/" not in process.waits_for:
        stage.step(process)
    before = world.s3.count
    stage.step(process, Fault.LOST_ANSWER)
    assert world.s3.count == before + 1
    stage.finish(process)
    assert isinstance(process.error, ReleaseError)
