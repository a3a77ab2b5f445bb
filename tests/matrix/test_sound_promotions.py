"""Two hundred sound releases on a cloud in memory with AWS's habits (localcloud/habits.py): none is taken back.

Times pass in the world's clock alone, so that cold starts and limits are those of AWS and not of this machine.
"""

import os
import random
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest

from localcloud.habits import COLD_STARTS, CONCURRENCY, LATE_METRICS, SLOW_RIGHTS, SLOW_URLS
from release.ledger.lifecycle import State
from release.rollout.promote import promote
from tests.unit.release.release_world import EPOCH, World, client_error

WORLDS, RELEASES = 40, 5
BROKEN_RATE = float(os.environ.get("SOUND_PROMOTIONS_RATE", "0.1"))
"""A tenth of it is tolerated. Production's rate of 0.01 asks eight times as many questions: `make soak` has it."""
SOUND_RATE = 0.001
"""Share of failing calls that a sound release may have, as its stable version has."""
PROPAGATION_S = 5
"""How long a moved alias may still answer with the version before."""


class Habitual(World):
    """A world in which AWS is late, full, cold and now and then wrong."""

    def __init__(self, tmp_path, monkeypatch, seed):
        super().__init__(tmp_path, monkeypatch, metric_delay_s=180, watch_poll_s=15, broken_rate=BROKEN_RATE)
        self.chance = random.Random(seed)
        self.met = Counter()
        """How often each habit was met."""
        self.published_at, self.warm = {}, set()
        self.moved, self.old, self.url_acts = (EPOCH, {}), {}, EPOCH
        seconds = SimpleNamespace(
            monotonic=self._seconds, time=self._seconds, strftime=lambda *_: "", gmtime=lambda _: None
        )
        monkeypatch.setattr("release.analysis.health.time", seconds)
        monkeypatch.setattr("release.analysis.probes.time", seconds)
        self.functions.get_account_settings = lambda: {
            "AccountLimit": {"UnreservedConcurrentExecutions": int(CONCURRENCY.most)}
        }
        self.rights_act_s = {}

    def _seconds(self):
        return (self.now - EPOCH).total_seconds()

    def pass_time(self, seconds):
        """Users call one by one: each call may fail alone."""
        self.now += timedelta(seconds=seconds)
        if seconds >= 1:
            shares = self.functions.serves("dashboard")
            for version in self.chance.choices([*shares], [*shares.values()], k=round(seconds)) if shares else ():
                self.functions.ask("dashboard", "live", version, {"rawPath": "/api/items", "headers": {}})
        self.scheduler.fire()

    def drawn(self, habit):
        return self.chance.uniform(habit.least, habit.most)

    def answer(self, function, alias, event, release):
        manifest = release["manifest"]
        if manifest not in self.published_at:
            self.published_at[manifest] = self.now
            self.rights_act_s[manifest] = self.drawn(SLOW_RIGHTS) if self.chance.random() < 0.5 else 0
        if (self.now - self.published_at[manifest]).total_seconds() < self.rights_act_s[manifest]:
            self.met["rights"] += 1
            return RuntimeError("AccessDeniedException: not authorized to perform dynamodb:Query")
        # One run of the schedule is all that a watch sees of it: the chance that just this one fails is told in docs.
        if self.chance.random() < SOUND_RATE and "source" not in event:
            self.met["failures"] += 1
            return RuntimeError("the table did not answer in time")
        if (function, manifest) not in self.warm or self.chance.random() < 0.002:
            self.warm.add((function, manifest))
            self.met["cold starts"] += 1
            self.now += timedelta(seconds=self.drawn(COLD_STARTS))
        return super().answer(function, alias, event, release)

    def _get(self):
        shares = self.functions.serves("dashboard")
        before = self.moved[1]
        if shares != before:
            self.moved = (self.now, shares)
            if not before:
                self.url_acts = self.now + timedelta(seconds=self.drawn(SLOW_URLS) + self.drawn(SLOW_RIGHTS))
            self.old = before
        if self.now < self.url_acts:
            self.met["url"] += 1
            return httpx.Response(403, text="Forbidden")
        if self.chance.random() < 0.005:
            self.met["throttled"] += 1
            return httpx.Response(429, json={"Message": "Rate Exceeded."})
        if self.old and (self.now - self.moved[0]).total_seconds() < PROPAGATION_S and self.chance.random() < 0.5:
            self.met["old version"] += 1
            version = max(self.old, key=lambda one: self.old[one])
            return self._health(version)
        return super()._get()


def throttled(world, invoke):
    """Now and then the account is full, and the call is turned away before any code runs."""

    def called(**call):
        if world.chance.random() < 0.005:
            world.met["invocations turned away"] += 1
            raise client_error("TooManyRequestsException")
        return invoke(**call)

    return called


@pytest.mark.parametrize("seed", range(WORLDS))
def test_no_sound_release_is_taken_back_for_what_aws_does(tmp_path, monkeypatch, seed):
    world = Habitual(tmp_path, monkeypatch, seed)
    world.functions.invoke = throttled(world, world.functions.invoke)
    for number in range(1, RELEASES + 1):
        world.metrics_late_s = world.drawn(LATE_METRICS)
        assert promote(world.context(), world.offer(number).digest).state is State.CONFIRMED
    assert {"cold starts", "url"} <= set(world.met)
    assert not any(state.startswith("ROLL") for state in world.states())
