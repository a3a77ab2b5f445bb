"""M9, M10: any number of people and runs at once, killed and failed at any call, in any order that hypothesis finds."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from release.errors import ReadableError
from release.ledger.lifecycle import Override, ReleaseId
from release.rollout.operations import block, freeze, reap, unblock, unlock
from release.rollout.promote import promote, resume
from release.rollout.rollback import rollback
from tests.examples import examples
from tests.matrix.scenarios import BROKEN, ended
from tests.unit.release.actors import DIE, Fault, Stage
from tests.unit.release.invariants import always, at_rest
from tests.unit.release.release_world import FAST, World

ACTS = ("pulumi.up", "pulumi.import_state", "pulumi.cancel", "lambda.update_alias", "scheduler.")
"""Calls that change production: only the holder of the lease may make them."""
MOST_AT_ONCE = 3
STARTS = [None, None, None, *BROKEN, "rollback", "rollback to the previous", "reap", "resume"]
"""What begins: a good release (`None`), a broken one, or a command of the same name."""
CALLS = st.one_of(st.integers(1, 12), st.integers(1, 150))
ACCIDENTS = st.one_of(st.none(), st.none(), st.just(DIE), st.integers(1, 9), st.sampled_from(Fault))
"""After some calls: nothing, killed before the next, killed within or after it, or it goes wrong."""
DEADLINE_S = 7200
THREE_TIMES = Override(rollbacks="the machine breaks everything on purpose")


class Production(RuleBasedStateMachine):
    """Production with one confirmed release, and whoever works on it."""

    world: World
    begin: object

    def __init__(self):
        super().__init__()
        self.world.restore(self.begin)
        self.stage = Stage(self.world)
        self.offered = 1
        self.acted = []

    def _offer(self, how=None):
        self.offered += 1
        manifest = self.world.offer(self.offered)
        if how:
            self.world.broken[manifest.digest] = BROKEN[how]
        return manifest

    def _step(self, process, orders=None):
        """One call; before it, whether this process may make it."""
        call = process.waits_for
        if call.startswith(ACTS) and not call.startswith("scheduler.get"):
            holder = self.world.context().lease.holder()
            assert holder, f"{process.run.id} calls {call}, and nobody holds the lease"
            assert holder["run"]["id"] == process.run.id, f"{process.run.id} calls {call} under the lease of {holder}"
        self.stage.step(process, orders)
        assert not process.error or isinstance(process.error, ReadableError), repr(process.error)

    @precondition(lambda self: len(self.stage.running) < MOST_AT_ONCE)
    @rule(what=st.sampled_from(STARTS))
    def somebody_starts(self, what):
        commands = {
            "rollback to the previous": lambda context: rollback(context, "previous", "customers complain"),
            "rollback": lambda context: rollback(context, None, "somebody says so"),
            "reap": reap,
            "resume": resume,
        }
        if what in commands:
            self.stage.start(commands[what])
        else:
            digest = self._offer(what).digest
            self.stage.start(lambda context: promote(context, digest, despite=THREE_TIMES))

    @precondition(lambda self: self.stage.running)
    @rule(number=st.integers(0, MOST_AT_ONCE - 1), calls=CALLS, accident=ACCIDENTS)
    def a_process_goes_on(self, number, calls, accident):
        process = self.stage.running[number % len(self.stage.running)]
        for _ in range(calls):
            if not process.ended:
                self._step(process)
        if accident is not None and not process.ended:
            self._step(process, accident)

    @rule(what=st.sampled_from(["time", "deadline", "freeze", "thaw", "block", "unblock", "unlock", "unlock"]))
    def something_else_happens(self, what):
        context = self.world.context()
        newest = ReleaseId(digest=self.world.offer(self.offered).digest, sha=f"{self.offered:040x}")
        match what:
            case "time":
                self.world.pass_time(60)
            case "deadline":
                self.world.pass_time(DEADLINE_S)
            case "freeze":
                freeze(context, "a holiday", frozen=True)
            case "thaw":
                freeze(context, "it is over", frozen=False)
            case "block":
                block(context, newest, "nobody likes it")
            case "unblock":
                for digest in context.ledger.view().blocked:
                    unblock(context, newest.model_copy(update={"digest": digest}), "somebody does")
            case "unlock":
                self._let_the_holder_end_what_is_under_way()
                unlock(context, "somebody believes that it is dead")

    def _let_the_holder_end_what_is_under_way(self):
        """A call that AWS has begun with cannot be called back by anybody."""
        holder = self._holder()
        for process in self.stage.running:
            while process.run.id == holder and not process.ended and process.waits_for.startswith(ACTS):
                self._step(process)

    def _holder(self):
        holder = self.world.context().lease.holder()
        return holder["run"]["id"] if holder else None

    @invariant()
    def nothing_unjudged_has_traffic_and_nothing_confirmed_is_lost(self):
        assert always(self.world) == []

    def teardown(self):
        self.stage.end()
        self.world.pass_time(DEADLINE_S)
        said = [ended(lambda: reap(self.world.context()))]
        said.append(ended(lambda: rollback(self.world.context(), None, "finish the rollback")))
        assert at_rest(self.world) == [], said
        freeze(self.world.context(), "the holiday is over", frozen=False)
        good = self._offer().digest
        if good in self.world.context().ledger.view().blocked:
            return
        said.append(ended(lambda: promote(self.world.context(), good, despite=THREE_TIMES)))
        assert said[-1] == "CONFIRMED", said
        self.world.pass_time(DEADLINE_S)
        assert at_rest(self.world) == [], said


def test_whatever_happens_production_is_safe_and_can_go_on(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        world = World(Path(tmp_path_factory.mktemp("repo")), patch, **FAST)
        promote(world.context(), world.offer(1).digest)
        machine = type("OnThisWorld", (Production,), {"world": world, "begin": world.save()})
        machine.TestCase.settings = settings(
            max_examples=examples(60),
            stateful_step_count=40,
            phases=(Phase.reuse, Phase.generate),
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        machine.TestCase("runTest").runTest()
