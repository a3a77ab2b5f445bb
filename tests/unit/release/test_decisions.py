"""What people decide binds at once, the release under way too, and each decision says what holds now."""

import json
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from typer.testing import CliRunner

from release.artifacts.store import release_id
from release.cli import environment, main
from release.errors import Refused, RolledBack, UsageError
from release.ledger.lifecycle import Override, State
from release.rollout import operations
from release.rollout.promote import promote, resume
from tests.unit.release.invariants import always
from tests.unit.release.release_world import World, client_error

HEAD = ("prod-sentiment-lambda-deployments", "ledger/head.json")
STEPS = ["ARMED", "DEPLOYING", "DARK", "CANARY", "LIVE"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch, watch_poll_s=5)


def at(world, state, act):
    """Let somebody act at the first call after the ledger has come to `state`."""

    def gate(call, work):
        world.gate = world.straight_on
        if json.loads(world.s3.objects[HEAD][0])["view"]["state"] == state:
            act()
            return work()
        world.gate = gate
        return world.straight_on(call, work)

    world.gate = gate


# A release under way


DECISIONS = {
    "freeze": lambda context, _: operations.freeze(context, "the shop is full", frozen=True),
    "block": lambda context, release: operations.block(context, release, "the shop is full"),
}


@pytest.mark.parametrize("state", STEPS)
@pytest.mark.parametrize("decision", DECISIONS)
def test_a_freeze_or_block_of_the_release_under_way_stops_it_and_says_why(world, confirmed, decision, state):
    manifest = world.offer(2)
    at(world, state, lambda: DECISIONS[decision](world.context(), release_id(manifest)))
    with pytest.raises((Refused, RolledBack)) as ended:
        promote(world.context(), manifest.digest)
    assert "the shop is full" in f"{ended.value.what} {ended.value.why}"
    assert set(world.live().values()) == {confirmed.digest}
    view = world.context().ledger.view()
    assert (view.attempt, view.confirmed.release.digest) == (None, confirmed.digest)
    assert world.context().lease.holder() is None


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_decision_in_the_middle_of_a_watch_window_is_not_kept_waiting_for_its_end(world, confirmed, decision):
    manifest, since = world.offer(2), []

    def act():
        since.append(world.now)
        DECISIONS[decision](world.context(), release_id(manifest))

    at(world, "CANARY", lambda: at_call(world, "clock.sleep", act))
    with pytest.raises(RolledBack):
        promote(world.context(), manifest.digest)
    rolling = next(entry for entry in world.context().ledger.entries() if entry.state is State.ROLLING_BACK)
    waited = datetime.fromisoformat(rolling.at) - since[0]
    assert waited < timedelta(seconds=world.settings.watch_poll_s + 2)
    assert "the shop is full" in rolling.reason


def at_call(world, name, act):
    def gate(call, work):
        if call == name:
            world.gate = world.straight_on
            act()
        return world.straight_on(call, work)

    world.gate = gate


def test_between_the_last_look_and_the_confirmation_a_block_still_counts(world, confirmed):
    """The entry CONFIRMED itself is refused: no look can be so late that nothing comes in between."""
    manifest = world.offer(2)

    def gate(call, work):
        if call.startswith("scheduler.delete_schedule"):
            world.gate = world.straight_on
            operations.block(world.context(), release_id(manifest), "in the last moment")
        return world.straight_on(call, work)

    at(world, "LIVE", lambda: setattr(world, "gate", gate))
    with pytest.raises(RolledBack, match="is back on"):
        promote(world.context(), manifest.digest)
    assert set(world.live().values()) == {confirmed.digest}


@pytest.mark.parametrize("decision", DECISIONS)
def test_the_matrices_would_find_a_promotion_that_goes_on_against_a_decision(world, confirmed, decision, monkeypatch):
    """A test of the test."""
    for module in ("ledger.lifecycle", "rollout.canary", "rollout.operations"):
        monkeypatch.setattr(f"release.{module}.refuse_stopped", lambda _view: None)
    manifest = world.offer(2)
    at(world, "CANARY", lambda: DECISIONS[decision](world.context(), release_id(manifest)))
    assert promote(world.context(), manifest.digest).state is State.CONFIRMED
    assert [problem.split(", ")[1] for problem in always(world)] == ["LIVE", "CONFIRMED"]


def test_a_block_of_another_release_stops_nobody(world, confirmed):
    manifest, other = world.offer(2), world.offer(3)
    at(world, "CANARY", lambda: operations.block(world.context(), release_id(other), "breaks the invoices"))
    assert promote(world.context(), manifest.digest).state is State.CONFIRMED


def test_a_release_that_was_promoted_despite_a_freeze_goes_on_until_it_is_blocked(world, confirmed):
    despite = Override(freeze="a leak must be mended")
    told = []
    at(world, "CANARY", lambda: told.append(operations.freeze(world.context(), "a holiday", frozen=True).told))
    assert promote(world.context(), world.offer(2).digest, despite=despite).state is State.CONFIRMED
    assert "goes on" in told[0]
    assert "release block" in told[0]


READS_HEAD = f"s3.get_object {' '.join(HEAD)}"


def away():
    raise client_error("SlowDown", "GetObject", 503)


def test_a_ledger_that_cannot_be_read_at_one_look_costs_no_release(world, confirmed):
    manifest = world.offer(2)
    at(
        world,
        "CANARY",
        lambda: at_call(world, "clock.sleep", lambda: at_call(world, READS_HEAD, away)),
    )
    assert promote(world.context(), manifest.digest).state is State.CONFIRMED


def test_what_was_frozen_while_its_run_was_dead_is_not_resumed(world, confirmed):
    class Gone(BaseException):
        pass

    def die():
        raise Gone

    manifest, run = world.offer(2), world.new_run()
    at(world, "CANARY", die)
    with suppress(Gone):
        promote(world.context(run=run), manifest.digest)
    world.gate = world.straight_on
    world.dead.add(run.id)
    operations.freeze(world.context(), "the shop is full", frozen=True)
    with pytest.raises(RolledBack, match="is back on"):
        resume(world.context())
    assert set(world.live().values()) == {confirmed.digest}


# What is said


def test_each_decision_says_what_holds_now_since_which_entry_and_how_to_undo_it(world, confirmed):
    release, named = release_id(world.offer(2)), world.offer(2).digest[:12]
    said = operations.block(world.context(), release, "breaks the invoices")
    assert said.told == (
        f"release {release} is blocked in prod since entry {said.entry}: breaks the invoices; "
        f"undo it: release unblock {named} --stack prod --reason ..."
    )
    said = operations.unblock(world.context(), release, "it does not")
    assert said.told == (
        f"release {release} may be promoted to prod again since entry {said.entry}: it does not; "
        f"undo it: release block {named} --stack prod --reason ..."
    )
    said = operations.freeze(world.context(), "Black Friday", frozen=True)
    assert said.told == (
        f"prod is frozen since entry {said.entry}: Black Friday; undo it: release freeze off --stack prod --reason ..."
    )
    said = operations.freeze(world.context(), "it is over", frozen=False)
    assert said.told == (
        f"prod is open for promotions since entry {said.entry}: it is over; "
        "undo it: release freeze on --stack prod --reason ..."
    )
    assert said.entry == world.context().ledger.entries(1)[0].seq


def test_a_block_of_what_is_live_says_that_it_stays_live(world, confirmed):
    said = operations.block(world.context(), release_id(confirmed), "breaks the invoices").told
    assert "it stays live: release rollback --stack prod --to previous --reason ... takes it back" in said


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_decision_says_what_becomes_of_the_release_under_way(world, confirmed, decision):
    manifest, told = world.offer(2), []
    at(world, "LIVE", lambda: told.append(DECISIONS[decision](world.context(), release_id(manifest)).told))
    with pytest.raises(RolledBack):
        promote(world.context(), manifest.digest)
    assert f"release {release_id(manifest)}, which is LIVE, is rolled back at its next look" in told[0]


def test_a_freeze_is_lifted_only_where_there_is_one(world, confirmed):
    before = world.changes()
    said = operations.freeze(world.context(), "just in case", frozen=False)
    assert (said.told, said.entry) == ("prod is not frozen: nothing was changed", 0)
    assert world.changes() == before


def test_preprod_cannot_be_frozen_because_nothing_is_promoted_to_it(world):
    with pytest.raises(UsageError, match="preprod"):
        operations.freeze(world.context("preprod"), "a holiday", frozen=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["freeze", "on", "--reason", "x"], "prod is frozen since entry"),
        (["unlock", "--reason", "x"], "nobody holds the lease of prod: nothing was changed"),
    ],
)
def test_the_command_prints_that_sentence_and_nothing_else(world, confirmed, monkeypatch, words, said):
    monkeypatch.setattr(environment, "context", world.context)
    done = CliRunner().invoke(main.app, words)
    assert done.exit_code == 0
    assert said in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_freeing_a_lease_says_whose_it_was_and_what_comes_next(world, confirmed):
    context = world.context()
    context.lease.take("promote it", world.settings, lambda _: None)
    said = operations.unlock(world.context(), "the runner was switched off")
    assert said.told == (
        f"the lease of prod is free since entry {said.entry}: the runner was switched off; run {context.run.id} held "
        "it. This cannot be undone; take back what it left: release reap --stack prod"
    )


# A second promotion


def test_while_the_first_run_is_alive_a_second_is_told_to_wait(world, confirmed):
    refused = []

    def second():
        with pytest.raises(Refused) as error:
            promote(world.context(), world.offer(3).digest)
        refused.append(error.value)

    at(world, "LIVE", second)
    promote(world.context(), world.offer(2).digest)
    assert refused[0].rule == "unfinished-release"
    assert refused[0].next_step.startswith("wait for it: release status --follow --stack prod")
    assert "never ended" not in refused[0].what


def test_when_nobody_holds_the_lease_any_more_the_advice_is_to_take_it_back(world, confirmed):
    def leave():
        raise SystemExit

    at(world, "LIVE", leave)
    with suppress(SystemExit):
        promote(world.context(), world.offer(2).digest)
    world.gate = world.straight_on
    assert world.context().lease.holder() is None
    with pytest.raises(Refused) as refused:
        promote(world.context(), world.offer(3).digest)
    assert refused.value.next_step.startswith("release reap --stack prod")
