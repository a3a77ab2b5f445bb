"""The way back: traffic first, a proof at the end, and a named state with one command wherever it stops."""

import json
from contextlib import contextmanager

import pytest

from components.service.functions import KEYS
from release.errors import LeaseLost, ReleaseError, RollbackIncomplete
from release.ledger.lifecycle import Run, State
from release.pulumi.changes import Impact, UpdatePlan, UpdateStep
from release.pulumi.stack import PulumiError, ReleaseInput
from release.rollout.promote import promote
from release.rollout.reconcile import adopt
from release.rollout.rollback import MOST_TRIES, Failure, roll_back, rollback
from tests.unit.release.release_world import client_error, unreachable

PROD = "prod-sentiment-lambda-deployments"
TABLE = "aws:dynamodb/table:Table"


@pytest.fixture
def stranded(world, confirmed):
    """Release 2 is live, and the run that brought it there has died: its lease and its engine's lock still stand."""
    manifest = world.offer(2)

    def die(hand_over):
        if hand_over.release["manifest"] == manifest.digest and hand_over.traffic == 100:
            raise SystemExit("killed")

    world.stack.fail_up = die
    with pytest.raises(SystemExit):
        promote(world.context(), manifest.digest)
    world.dead.add(f"local-{world.runs}")
    world.stack.fail_up = lambda hand_over: None
    assert world.context().ledger.view().state is State.LIVE
    return manifest


def back(world, reason="it is wrong", **how):
    return rollback(how.pop("context", None) or world.context(), how.pop("to", None), reason, **how)


def failing(what="no"):
    def fail(*_, **__):
        raise PulumiError(what, why="on purpose")

    return fail


# -- where it goes


def test_it_ends_verified_on_the_confirmed_release_and_blocks_the_other(world, confirmed, stranded):
    done = back(world)
    assert (done.state, done.verified, done.problems) == (State.ROLLED_BACK, True, [])
    assert (done.from_.manifest, done.to.manifest) == (stranded.digest, confirmed.digest)
    assert set(world.live().values()) == {confirmed.digest}
    assert stranded.digest in world.context().ledger.view().blocked


def test_a_rollback_that_was_begun_is_finished_to_where_it_was_going(world, confirmed):
    newer = world.offer(2)
    promote(world.context(), newer.digest)

    def interrupt(hand_over):
        raise KeyboardInterrupt

    world.stack.fail_up = interrupt
    with pytest.raises(KeyboardInterrupt):
        back(world, to="previous")
    assert world.context().ledger.view().state is State.ROLLING_BACK
    world.stack.fail_up = lambda hand_over: None

    done = back(world, "finish it")

    assert (done.from_.manifest, done.to.manifest) == (newer.digest, confirmed.digest)
    view = world.context().ledger.view()
    assert view.confirmed.release.digest == confirmed.digest
    assert newer.digest in view.blocked


def test_after_an_incomplete_rollback_the_failed_release_is_still_the_failed_one(
    world, confirmed, stranded, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(world.stack, "plan", failing())
        assert back(world).state is State.ROLLED_BACK_TRAFFIC
    done = back(world, "again")
    assert (done.from_.manifest, done.state) == (stranded.digest, State.ROLLED_BACK)


def test_previous_is_never_the_release_that_was_left(world, confirmed):
    second, third = world.offer(2), world.offer(3)
    promote(world.context(), second.digest)
    promote(world.context(), third.digest)
    assert back(world, to="previous").to.manifest == second.digest
    assert back(world, to="previous").to.manifest == confirmed.digest
    with pytest.raises(ReleaseError, match="previous"):
        back(world, to="previous")


def test_neither_preprod_nor_its_packages_are_needed(world, confirmed, stranded):
    for key in [key for key in world.s3.objects if key[0].startswith("preprod")]:
        del world.s3.objects[key]
    assert back(world).state is State.ROLLED_BACK


def test_nothing_is_touched_once_another_run_has_taken_over(world, confirmed, stranded):
    context = world.context()
    failure = Failure(context.ledger.view().attempt.release, "late", 0.0, context.clock.monotonic())
    target = context.ledger.view().confirmed
    context.ledger.fence = context.ledger.view().fence
    back(world)
    promote(world.context(), world.offer(3).digest)
    moves = list(world.functions.log)
    with pytest.raises(LeaseLost, match="lost the lease of prod"):
        roll_back(context, failure, target)
    assert world.functions.log == moves


def test_traffic_goes_back_while_nobody_can_read_the_bucket(world, confirmed, stranded, monkeypatch):
    context = world.context()
    view = context.ledger.view()
    failure = Failure(view.attempt.release, "late", 0.0, context.clock.monotonic())
    context.lease.break_open()
    with context.leased("go back"):
        monkeypatch.setattr(world.s3, "get_object", unreachable)
        report = roll_back(context, failure, view.confirmed)
    assert report.state is State.ROLLED_BACK_TRAFFIC
    assert set(world.live().values()) == {confirmed.digest}


# -- each step may fail


def ledger_down(world, context, patch):
    def refuse(bucket, key):
        if key.startswith("ledger/entries"):
            raise client_error("InternalError", status=500)

    patch.setattr(world.s3, "before_put", refuse)


def entry_of_the_end_lost(world, context, patch):
    def refuse(bucket, key):
        if key.startswith("ledger/entries") and world.states()[-1] == "ROLLING_BACK":
            raise client_error("InternalError", status=500)

    patch.setattr(world.s3, "before_put", refuse)


def lambda_down(world, context, patch):
    patch.setattr(world.functions, "fail_update", unreachable)
    patch.setattr(world.stack, "up", failing())


def one_function_stuck(world, context, patch):
    patch.setattr(world.functions, "fail_update", lambda name: unreachable() if "analysis" in name else None)
    patch.setattr(world.stack, "up", failing())


def url_wrong(world, context, patch):
    patch.setattr("release.analysis.health.httpx.get", lambda url, timeout: world.get("https://nowhere.test", timeout))
    world.broken[world.context().ledger.view().confirmed.release.digest] = lambda function, alias, event: (
        RuntimeError("shared right is gone") if function == "dashboard" else None
    )


def engine_fails(world, context, patch):
    patch.setattr(world.stack, "up", failing())


def export_fails(world, context, patch):
    patch.setattr(world.stack, "export", failing())


def import_fails(world, context, patch):
    world.stack.pending = ("code", "analysis")
    patch.setattr(world.stack, "import_state", failing())


def plan_fails(world, context, patch):
    patch.setattr(world.stack, "plan", failing())


def proof_fails(world, context, patch):
    patch.setattr(world.stack, "preview", failing())


def proof_finds_something(world, context, patch):
    document = json.loads(world.stack.export())
    document["deployment"]["resources"].pop()
    patch.setattr("release.rollout.reconcile.repair_record", lambda *_: None)
    patch.setattr(world.stack, "export", lambda: json.dumps(document).encode())


def registry_of_packages_down(world, context, patch):
    @contextmanager
    def program(packed):
        raise ReleaseError("the environment of the release's program cannot be made", why="no route to host")
        yield

    context.program = program


def object_damaged(part):
    def damage(world, context, patch):
        for bucket, key in list(world.s3.objects):
            if key.startswith("ledger/releases/") and part in key:
                patch.setitem(world.s3.objects, (bucket, key), (b"damaged", '"x"', "v0"))

    damage.__name__ = f"{part}_damaged"
    return damage


def object_gone(part):
    def lose(world, context, patch):
        for bucket, key in list(world.s3.objects):
            if key.startswith("ledger/releases/") and part in key:
                patch.delitem(world.s3.objects, (bucket, key))

    lose.__name__ = f"{part}_gone"
    return lose


def a_bug_of_ours(world, context, patch):
    patch.setattr("release.rollout.reconcile.differences", lambda *_: 1 / 0)


STEPS = {
    ledger_down: (State.ROLLED_BACK_TRAFFIC, "ledger"),
    entry_of_the_end_lost: (State.ROLLED_BACK_TRAFFIC, "could not be written into the ledger"),
    lambda_down: (State.ROLLBACK_FAILED, "Lambda did not answer"),
    one_function_stuck: (State.ROLLBACK_FAILED, "function analysis"),
    url_wrong: (State.ROLLBACK_FAILED, "does not answer as"),
    engine_fails: (State.ROLLED_BACK_TRAFFIC, "on purpose"),
    export_fails: (State.ROLLED_BACK_TRAFFIC, "on purpose"),
    import_fails: (State.ROLLED_BACK_TRAFFIC, "on purpose"),
    plan_fails: (State.ROLLED_BACK_TRAFFIC, "on purpose"),
    proof_fails: (State.ROLLED_BACK_TRAFFIC, "on purpose"),
    proof_finds_something: (State.ROLLED_BACK_TRAFFIC, "missing in the stack"),
    registry_of_packages_down: (State.ROLLED_BACK_TRAFFIC, "cannot be made"),
    object_damaged("program"): (State.ROLLED_BACK_TRAFFIC, "not what was confirmed"),
    object_damaged("checkpoint"): (State.ROLLED_BACK_TRAFFIC, "not what was confirmed"),
    object_gone("program"): (State.ROLLED_BACK_TRAFFIC, "is missing"),
    object_gone("checkpoint"): (State.ROLLED_BACK_TRAFFIC, "is missing"),
    a_bug_of_ours: (State.ROLLED_BACK_TRAFFIC, "the releaser itself failed"),
}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_a_step_that_fails_ends_in_a_named_state_and_the_same_command_finishes(
    world, confirmed, stranded, monkeypatch, step
):
    state, said = STEPS[step]
    with monkeypatch.context() as patch:
        context = world.context()
        step(world, context, patch)
        done = back(world, context=context)
    assert done.state is state
    assert any(said in problem for problem in done.problems), done.problems
    assert not done.verified
    assert world.context().lease.holder() is None
    if state is State.ROLLED_BACK_TRAFFIC:
        assert set(world.live().values()) == {confirmed.digest}
    world.broken.clear()

    done = back(world, "finish the rollback")

    assert (done.state, done.verified, done.problems) == (State.ROLLED_BACK, True, [])
    assert set(world.live().values()) == {confirmed.digest}
    view = world.context().ledger.view()
    assert (view.state, view.confirmed.release.digest) == (State.ROLLED_BACK, confirmed.digest)
    assert stranded.digest in view.blocked
    assert world.context().ledger.verify() == []


def test_the_stack_is_not_touched_while_nobody_could_know_of_it(world, confirmed, stranded, monkeypatch):
    ups = list(world.stack.ups)
    with monkeypatch.context() as patch:
        ledger_down(world, None, patch)
        back(world)
    assert world.stack.ups == ups
    assert set(world.live().values()) == {confirmed.digest}, "traffic does not wait for the ledger"


def test_traffic_that_could_not_be_moved_at_first_is_moved_at_the_end(world, confirmed, stranded, monkeypatch):
    calls = []

    def twice_in_vain(name):
        calls.append(name)
        if len(calls) <= 4 * len(KEYS):
            unreachable()

    monkeypatch.setattr(world.functions, "fail_update", twice_in_vain)
    monkeypatch.setattr(world.stack, "up", failing())
    done = back(world)
    assert done.state is State.ROLLED_BACK_TRAFFIC
    assert not [problem for problem in done.problems if "Lambda" in problem], "what is mended is no problem any more"
    assert set(world.live().values()) == {confirmed.digest}


def test_machines_try_three_times_and_then_only_a_person(world, confirmed, stranded, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(world.stack, "up", failing())
        patch.setattr(world.functions, "fail_update", unreachable)
        for _ in range(MOST_TRIES):
            assert back(world, by_machine=True).state is State.ROLLBACK_FAILED
        with pytest.raises(RollbackIncomplete) as left:
            back(world, by_machine=True)
    assert left.value.exit_code == 5
    assert left.value.next_step.startswith("release rollback --stack prod")
    assert world.states().count("ROLLING_BACK") == MOST_TRIES
    assert back(world, "a person has looked").state is State.ROLLED_BACK


def test_it_never_rolls_back_a_rollback(world, confirmed, stranded, monkeypatch):
    monkeypatch.setattr(world.stack, "up", failing())
    back(world)
    assert world.states()[-2:] == ["ROLLING_BACK", "ROLLED_BACK_TRAFFIC"]


# -- data


def step(op, change, type_=TABLE, urn="urn:pulumi:prod::p::x::new"):
    return UpdateStep(op=op, urn=urn, new={"type": type_}, impact=change)


@pytest.mark.parametrize("op", ["delete", "replace", "create-replacement"])
def test_a_plan_that_would_lose_data_stops_with_traffic_safe(world, confirmed, stranded, monkeypatch, op):
    ups = list(world.stack.ups)
    with monkeypatch.context() as patch:
        patch.setattr(world.stack, "plan", lambda *_, **__: UpdatePlan((step(op, Impact.DESTRUCTIVE),)))
        done = back(world)
    assert done.state is State.ROLLED_BACK_TRAFFIC
    assert "would lose data" in done.problems[0]
    assert world.stack.ups == ups
    assert set(world.live().values()) == {confirmed.digest}
    assert "would lose data" in world.pages[-1]["Message"]
    assert "release rollback --stack prod" in world.pages[-1]["Message"]


def test_a_plan_that_loses_no_data_goes_on(world, confirmed, stranded, monkeypatch):
    harmless = UpdatePlan((step("delete", Impact.DESTRUCTIVE, "aws:sns/topic:Topic"), step("create", Impact.ADDITIVE)))
    monkeypatch.setattr(world.stack, "plan", lambda *_, **__: harmless)
    assert back(world).state is State.ROLLED_BACK


def test_the_plan_is_made_against_the_cloud_as_it_is(world, confirmed, stranded, monkeypatch):
    asked = []
    monkeypatch.setattr(world.stack, "plan", lambda hand_over, **how: asked.append(how) or UpdatePlan(()))
    back(world)
    assert asked == [{"refresh": True}]


def test_what_is_left_in_aws_is_named_even_when_the_first_try_did_not_get_to_the_end(
    world, confirmed, stranded, monkeypatch
):
    table = {
        "urn": "urn:pulumi:prod::sentiment-pipeline::aws:dynamodb/table:Table::drafts",
        "type": TABLE,
        "custom": True,
        "id": "prod-sentiment-drafts",
        "inputs": {"name": "prod-sentiment-drafts"},
    }
    export, imported = world.stack.export, []

    def with_table():
        document = json.loads(export())
        if not imported:
            document["deployment"]["resources"].append(table)
        return json.dumps(document).encode()

    monkeypatch.setattr(world.stack, "export", with_table)
    monkeypatch.setattr(world.stack, "import_state", imported.append)
    with monkeypatch.context() as patch:
        patch.setattr(world.stack, "plan", failing())
        first = back(world)
    assert b"drafts" not in imported[0]
    last = back(world, "again")
    for done in (first, last):
        assert [left.id for left in done.left_in_aws] == ["prod-sentiment-drafts"]
    assert "import_='prod-sentiment-drafts'" in world.pages[-1]["Message"]
    assert last.state is State.ROLLED_BACK


# -- the safety net


def test_schedules_are_removed_only_when_traffic_is_proven_safe(world, confirmed, stranded, monkeypatch):
    with monkeypatch.context() as patch:
        lambda_down(world, None, patch)
        back(world)
    assert world.scheduler.schedules, "the last thing that could still take traffic back was removed"
    back(world)
    assert not world.scheduler.schedules


def test_schedules_that_cannot_be_removed_are_a_warning(world, confirmed, stranded, monkeypatch):
    monkeypatch.setattr(world.scheduler, "delete_schedule", lambda **_: unreachable())
    done = back(world)
    assert done.state is State.ROLLED_BACK
    assert any("could not be removed" in warning for warning in done.warnings)


def test_a_rollback_after_the_schedules_have_fired_works_as_well(world, confirmed, stranded):
    world.pass_time(7 * 24 * 3600)
    assert set(world.live().values()) == {confirmed.digest}
    assert back(world).state is State.ROLLED_BACK


# -- locks


def test_a_lock_of_a_dead_run_of_ours_is_removed_and_a_foreign_one_is_not(world, confirmed, stranded):
    own = world.stack.locked_by
    assert own.id in world.dead
    world.stack.put_lock(
        world.stack.lock_of(Run(id="local-elsewhere", actor="ann", host="their-machine", pid=1)), "ann"
    )
    done = back(world)
    assert done.state is State.ROLLED_BACK_TRAFFIC
    assert "locked in Pulumi's state by ann@their-machine (process 100001)" in done.problems[0]
    assert len(world.locks()) == 2, "no lock is removed beside a foreign one"
    world.stack.locked_by = own
    assert back(world).state is State.ROLLED_BACK


def test_a_lock_made_on_the_machine_of_a_run_that_is_over_is_removed(world, confirmed):
    manifest, runner = world.offer(2), world.new_run(local=False)

    def die(hand_over):
        if hand_over.release["manifest"] == manifest.digest:
            raise SystemExit("killed")

    world.stack.fail_up = die
    with pytest.raises(SystemExit):
        promote(world.context(run=runner), manifest.digest)
    world.stack.fail_up = lambda hand_over: None
    world.stack.locked_by = runner
    assert back(world).state is State.ROLLED_BACK


# -- nothing to go back to


def test_a_first_release_that_fails_is_taken_off_traffic_again_and_again_until_it_is(world, monkeypatch):
    manifest = world.offer(1)
    world.broken[manifest.digest] = lambda function, alias, event: RuntimeError("live") if alias == "live" else None
    with monkeypatch.context() as patch:
        patch.setattr(world.stack, "preview", failing())
        up = world.stack.up

        def fail_backwards(hand_over, **how):
            if world.states()[-1] == "ROLLING_BACK":
                failing()()
            up(hand_over, **how)

        patch.setattr(world.stack, "up", fail_backwards)
        with pytest.raises(RollbackIncomplete) as ended:
            promote(world.context(), manifest.digest)
    assert ended.value.report.state is State.ROLLBACK_FAILED
    done = back(world)
    assert (done.state, done.problems) == (State.ROLLED_BACK_TRAFFIC, [])
    assert not [name for name, alias in world.functions.aliases if alias == "live"]


# -- the release after it


class Left:
    """A stack in whose cloud a rollback has left a table, and a release that declares it."""

    urn = "urn:pulumi:prod::sentiment-pipeline::aws:dynamodb/table:Table::drafts"
    entry = {"urn": urn, "type": TABLE, "custom": True, "id": "prod-sentiment-drafts", "inputs": {"name": "drafts"}}  # noqa: RUF012

    def __init__(self, world, monkeypatch):
        self.exists, self.change, self.imported = True, None, []
        self.state = json.loads(world.stack.export())
        export = world.stack.export
        with monkeypatch.context() as patch:
            document = json.loads(export())
            document["deployment"]["resources"].append(self.entry)
            bodies = [json.dumps(document).encode()]
            patch.setattr(world.stack, "export", lambda: bodies.pop() if bodies else export())
            patch.setattr(world.stack, "import_state", lambda body: None)
            assert back(world).state is State.ROLLED_BACK
        monkeypatch.setattr(world.stack, "import_state", lambda body: self.imported.append(json.loads(body)))
        monkeypatch.setattr(world.stack, "plan", self.plan)

    def recorded(self):
        entries = self.imported[-1]["deployment"]["resources"] if self.imported else []
        return any(entry["urn"] == self.urn for entry in entries)

    def plan(self, hand_over, *, refresh=False):
        if not (self.recorded() and self.exists and refresh):
            return UpdatePlan((step("create", Impact.ADDITIVE, urn=self.urn),))
        return UpdatePlan((step("replace", self.change, urn=self.urn),) if self.change else ())


@pytest.fixture
def left(world, confirmed, stranded, monkeypatch):
    return Left(world, monkeypatch)


def adopted(world):
    context = world.context()
    hand_over = ReleaseInput({}, {}, 0)
    return adopt(context, world.stack, hand_over, world.stack.plan(hand_over))


def test_a_mended_release_takes_over_what_the_rollback_has_left(world, left):
    assert adopted(world).steps == ()
    assert left.recorded()
    assert len(left.imported) == 1


def test_what_a_person_has_deleted_meanwhile_is_made_anew(world, left):
    left.exists = False
    [made] = adopted(world).steps
    assert made.op == "create"
    assert not left.recorded()


def test_a_release_that_wants_it_otherwise_does_not_replace_it(world, left):
    left.change = Impact.DESTRUCTIVE
    with pytest.raises(ReleaseError, match="would replace what an earlier rollback has left"):
        adopted(world)


def test_a_release_that_makes_something_else_changes_no_record(world, left, monkeypatch):
    other = UpdatePlan((step("create", Impact.ADDITIVE, urn=f"{left.urn}-2"),))
    monkeypatch.setattr(world.stack, "plan", lambda *_, **__: other)
    assert adopted(world) is other
    assert left.imported == []
