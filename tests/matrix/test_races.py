"""M9: two promotions that are started together, step by step in an order that a seed decides."""

import random

import pytest

from release.errors import Refused, ReleaseError
from release.rollout.promote import promote
from tests.unit.release.actors import Stage
from tests.unit.release.invariants import at_rest
from tests.unit.release.release_world import FAST, World

TIMES = 50


@pytest.mark.parametrize("same", [True, False], ids=["the same release", "two releases"])
@pytest.mark.parametrize("patient", [True, False], ids=["waiting", "not waiting"])
def test_two_promotions_started_together_have_one_winner(tmp_path, monkeypatch, same, patient):
    wait = {"lease_wait_s": 1800} if patient else {}
    world = World(tmp_path, monkeypatch, **FAST, **wait)
    promote(world.context(), world.offer(1).digest)
    digests = [world.offer(2).digest, world.offer(2 if same else 3).digest]
    before = world.save()
    for seed in range(TIMES):
        world.restore(before)
        order, stage = random.Random(seed), Stage(world)
        runs = [stage.start(lambda context, digest=digest: promote(context, digest)) for digest in digests]
        while stage.running:
            stage.step(order.choice(stage.running))
        stage.end()
        assert at_rest(world) == [], seed
        confirmed = [run for run in runs if run.result and not run.result.already]
        others = [run for run in runs if run not in confirmed]
        assert confirmed, seed
        for run in others:
            assert run.result or isinstance(run.error, ReleaseError), (seed, run.error)
            if isinstance(run.error, Refused):
                assert run.error.rule, seed
            elif run.error:
                assert "holds the lease" in run.error.what or "changed the ledger" in run.error.what, (seed, run.error)
        # Who waits for another release may still be confirmed after it; the newer one never before the older.
        assert len(confirmed) == 1 or (patient and not same), seed
