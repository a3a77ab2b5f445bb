"""M9: a deploy to preprod is killed between any two of its calls, and the next one needs no person to go on."""

import os

import pytest

from release.ledger.lifecycle import State
from release.rollout import preprod
from release.rollout.operations import reap
from tests.unit.release.actors import Inline
from tests.unit.release.release_world import World
from tests.unit.release.test_operations import Runs

SOME = 1 if "SOAK_MINUTES" in os.environ else 3


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, stack="preprod", lease_wait_s=600)
    built = {}

    def build(number):
        manifest = world.offer(number, validated=False)
        folder = tmp_path / f"build-{number}"
        folder.mkdir(exist_ok=True)
        for name, package in manifest.functions.items():
            (folder / package.package).write_bytes(f"zip of {name} {number}".encode())
        built[folder] = manifest
        return folder

    monkeypatch.setattr("release.rollout.preprod.verify", built.__getitem__)
    monkeypatch.setattr("release.rollout.preprod.archive", lambda repo, sha, stack: b"program")
    monkeypatch.setattr("release.rollout.preprod.published.keep", lambda *_: None)
    world.build = build
    return world


def job(world, ended=()):
    """The context of a job of another run."""
    context = world.context("preprod", run=world.new_run(local=False))
    context.github = Runs(ended)
    return context


@pytest.mark.parametrize("next_one", [1, 3], ids=["the release before", "a new release"])
@pytest.mark.parametrize("lock", ["left", "removed by hand"])
def test_whenever_a_deploy_is_killed_the_next_one_needs_no_person(world, next_one, lock):
    preprod.deploy(job(world), world.build(1), None)
    folder, killed = world.build(2), job(world)
    with Inline(world, keep=True) as process:
        preprod.deploy(killed, folder, None)
    assert len(process.worlds) > 15
    for _, place, saved in process.worlds[:-1:SOME]:
        world.restore(saved)
        if lock == "removed by hand":
            world.stack.locked_by = None
        since, following = world.now, job(world, ended=[killed.run.id])
        done = preprod.deploy(following, world.build(next_one), None)
        assert done.state is State.LIVE, place
        assert set(world.live().values()) == {done.manifest}, place
        assert (world.now - since).total_seconds() < 60, place
        handed = following.ledger.view().served
        assert (handed.release.digest, following.lease.holder(), world.stack.pending) == (done.manifest, None, None)
        assert following.ledger.verify() == [], place


def test_a_deploy_waits_for_one_that_may_live(world):
    preprod.deploy(job(world), world.build(1), None)
    folder, living = world.build(2), job(world)
    with Inline(world, keep=True) as process:
        preprod.deploy(living, folder, None)
    saved = next(saved for _, place, saved in process.worlds if "pulumi.up" in place)
    world.restore(saved)
    before = world.changes()
    with pytest.raises(Exception, match="holds the lease"):
        preprod.deploy(job(world), world.build(3), None)
    assert world.changes() == before


def test_the_watch_frees_the_lease_of_a_dead_deploy_and_rolls_nothing_back(world):
    preprod.deploy(job(world), world.build(1), None)
    folder, killed = world.build(2), job(world)
    with Inline(world, keep=True) as process:
        preprod.deploy(killed, folder, None)
    for _, place, saved in process.worlds[:-1:SOME]:
        world.restore(saved)
        aliases = dict(world.functions.aliases)
        reap(job(world, ended=[killed.run.id]))
        assert world.context("preprod").lease.holder() is None, place
        assert world.functions.aliases == aliases, place


def test_the_watch_leaves_a_release_alone_that_waits_for_its_tests(world):
    preprod.deploy(job(world), world.build(1), None)
    before = world.changes()
    report = reap(job(world))
    assert report.nothing_to_do
    assert world.changes() == before
