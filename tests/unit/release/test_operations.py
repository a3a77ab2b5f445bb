"""What people and the watchdog do: their decisions bind, and only what is known to be dead is taken back."""

from types import SimpleNamespace

import pytest

from components.service.functions import KEYS
from release.artifacts.store import release_id
from release.errors import Refused, ReleaseError, RolledBack, UsageError
from release.ledger.lifecycle import Override, State
from release.rollout import operations
from release.rollout.promote import promote, resume
from release.rollout.rollback import rollback


class Gone(BaseException):
    """The process is gone."""


class Runs:
    """What GitHub says about runs."""

    def __init__(self, ended=()):
        self.ended = set(ended)

    def run_has_ended(self, run_id):
        if self.ended is None:
            raise ReleaseError("GitHub is down")
        return run_id in self.ended

    def waiting_runs(self, workflow):
        return []


def context(world, github=None, **run):
    made = world.context(**run)
    made.github = github
    return made


def dies(world, number, at, *, local=False, **said):
    """A promotion whose process is gone when the ledger says `at`; returns its run."""
    manifest = world.offer(number)
    run = world.new_run(local=local)

    def gate(call, act):
        answer = act()
        if call.startswith("s3.put_object") and "ledger/entries" in call and world.states()[-1] == at:
            world.gate = gone
        if world.gate is gone:
            raise Gone
        return answer

    def gone(_call, _act):
        raise Gone

    def look():
        kept, world.gate = world.gate, world.straight_on
        try:
            return [str(entry.state) for entry in world.context(run=run).ledger.entries()]
        finally:
            world.gate = kept

    world.states = look
    world.gate = gate
    with pytest.raises(Gone):
        promote(world.context(run=run), manifest.digest, **said)
    world.gate = world.straight_on
    if local:
        world.dead.add(run.id)
    return run


def test_a_blocked_release_is_refused_until_it_is_unblocked(world, confirmed):
    manifest = world.offer(2)
    operations.block(world.context(), release_id(manifest), "breaks the invoices")
    with pytest.raises(Refused, match="breaks the invoices") as refused:
        promote(world.context(), manifest.digest)
    assert refused.value.rule == "blocked"
    operations.unblock(world.context(), release_id(manifest), "it does not")
    assert promote(world.context(), manifest.digest).state is State.CONFIRMED


def test_what_is_not_blocked_cannot_be_unblocked(world, confirmed):
    with pytest.raises(UsageError):
        operations.unblock(world.context(), release_id(confirmed), "why not")


def test_nothing_is_promoted_while_frozen_but_by_a_person_with_a_reason(world, confirmed):
    operations.freeze(world.context(), "Black Friday", frozen=True)
    with pytest.raises(Refused, match="Black Friday") as refused:
        promote(world.context(), world.offer(2).digest)
    assert refused.value.rule == "frozen"
    report = promote(world.context(), world.offer(2).digest, despite=Override(freeze="the shop is down"))
    assert report.state is State.CONFIRMED
    assert any("the shop is down" in page["Message"] for page in world.pages)
    operations.freeze(world.context(), "over", frozen=False)
    assert promote(world.context(), world.offer(3).digest).state is State.CONFIRMED


def test_the_automatic_path_sets_no_rule_aside(world, confirmed):
    with pytest.raises(UsageError):
        promote(world.context(), world.offer(2).digest, path="automatic", despite=Override(freeze="I am a bot"))


@pytest.mark.parametrize("decision", [operations.block, operations.unblock])
def test_a_decision_needs_a_reason(world, confirmed, decision):
    operations.block(world.context(), release_id(confirmed), "first")
    with pytest.raises(UsageError, match="reason"):
        decision(world.context(), release_id(confirmed), " ")


def test_a_release_is_found_by_the_start_of_its_digest_or_commit(world, confirmed):
    offered = world.offer(2)
    assert operations.named(world.context(), confirmed.digest[:10]).digest == confirmed.digest
    assert operations.named(world.context(), offered.digest).sha == offered.sha
    for unknown in ("ffffffff", ""):
        with pytest.raises(UsageError):
            operations.named(world.context(), unknown)


def test_there_is_nothing_to_reap_where_nothing_is_left(world, confirmed):
    assert operations.reap(context(world)).nothing_to_do


@pytest.mark.parametrize("state", ["DEPLOYING", "DARK", "CANARY", "LIVE"])
def test_what_a_run_left_that_github_calls_ended_is_taken_back(world, confirmed, state):
    run = dies(world, 2, state)
    ended = operations.reap(context(world, Runs(ended=[run.id]), run=world.new_run(local=False)))
    assert ended.state is State.ROLLED_BACK
    assert set(world.live().values()) == {confirmed.digest}
    assert world.context().lease.holder() is None


GITHUBS = {"runs": Runs(), "does not answer": Runs(), "is not there": None}
GITHUBS["does not answer"].ended = None  # ty: ignore[invalid-assignment]


@pytest.mark.parametrize("github", GITHUBS)
def test_a_run_that_is_not_known_to_be_over_is_left_alone(world, confirmed, github):
    run = dies(world, 2, "LIVE")
    before = world.changes()
    left = operations.reap(context(world, GITHUBS[github], run=world.new_run(local=False)))
    assert left.left_alone == run.id
    assert world.changes() == before


def test_a_dead_run_that_had_changed_nothing_only_gives_its_lease_back(world, confirmed):
    run = dies(world, 2, "ARMED")
    operations.reap(context(world, Runs(ended=[run.id]), run=world.new_run(local=False)))
    view = world.context().ledger.view()
    assert (view.state, view.attempt) == (State.CONFIRMED, None)
    assert world.context().lease.holder() is None


def test_a_dead_process_of_this_machine_needs_no_github(world, confirmed):
    dies(world, 2, "LIVE", local=True)
    assert operations.reap(context(world)).state is State.ROLLED_BACK


def test_the_lease_of_a_run_that_nobody_can_see_is_freed_by_hand_and_that_is_written(world, confirmed):
    run = dies(world, 2, "LIVE")
    assert operations.unlock(world.context(), "the runner was switched off").freed["run"]["id"] == run.id
    entry = world.context().ledger.entries(1)[0]
    assert (entry.state, entry.reason) == ("UNLOCKED", "the runner was switched off")
    assert operations.reap(context(world)).state is State.ROLLED_BACK


def test_unlocking_what_nobody_holds_writes_nothing(world, confirmed):
    before = world.changes()
    assert operations.unlock(world.context(), "just in case").freed is None
    assert world.changes() == before


def test_a_rollback_needs_no_lifting_of_a_freeze(world, confirmed):
    promote(world.context(), world.offer(2).digest)
    operations.freeze(world.context(), "Black Friday", frozen=True)
    assert rollback(world.context(), "previous", "it is wrong").state is State.ROLLED_BACK


@pytest.mark.parametrize("state", ["LEASED", "ARMED", "DEPLOYING", "DARK", "CANARY", "LIVE"])
def test_a_release_whose_run_has_died_is_resumed_at_the_step_that_the_ledger_names(world, confirmed, state):
    dies(world, 2, state, local=True)
    before = len(world.context().ledger.entries())
    ended = resume(context(world))
    assert ended.state is State.CONFIRMED
    # What had changed nothing begins anew; everything else goes on with the very step that may have been half done.
    first = [str(entry.state) for entry in world.context().ledger.entries()[before:][:2]]
    assert first == ["REFUSED", "LEASED"] if state in {"LEASED", "ARMED"} else first[0] == state
    assert set(world.live().values()) == {world.offer(2).digest}
    assert world.context().ledger.verify() == []


@pytest.mark.parametrize("state", ["LEASED", "DARK", "CANARY", "LIVE"])
def test_an_alarm_that_a_person_set_aside_stays_aside_when_the_release_is_resumed(world, confirmed, state):
    world.alarms["prod-sentiment-analysis-errors"] = "ALARM"
    dies(world, 2, state, local=True, despite=Override(alarms="a known false alarm"))
    assert resume(context(world)).state is State.CONFIRMED


def test_a_release_that_nobody_has_looked_at_is_resumed_as_such(world, confirmed, monkeypatch):
    asked = []
    monkeypatch.setattr("release.rollout.promote.refuse_unproven", lambda context, digest: asked.append(digest))
    dies(world, 2, "LEASED", local=True, path="automatic")
    resume(context(world))
    assert asked == [world.offer(2).digest] * 2


def test_a_resumed_release_that_fails_goes_back_like_any_other(world, confirmed):
    dies(world, 2, "DARK", local=True)
    world.broken[world.offer(2).digest] = lambda function, alias, event: RuntimeError("broken")
    with pytest.raises(RolledBack):
        resume(context(world))
    assert set(world.live().values()) == {confirmed.digest}


def test_a_rollback_whose_run_has_died_is_finished(world, confirmed):
    world.broken[world.offer(2).digest] = lambda function, alias, event: RuntimeError("broken")
    dies(world, 2, "ROLLING_BACK", local=True)
    assert resume(context(world)).state is State.ROLLED_BACK


def test_a_run_that_may_still_live_is_not_resumed(world, confirmed):
    dies(world, 2, "LIVE")
    with pytest.raises(ReleaseError, match="may still be busy"):
        resume(context(world, Runs()))


def test_there_is_nothing_to_resume_where_nothing_is_under_way(world, confirmed):
    assert resume(context(world)).nothing_to_do


def test_the_schedules_are_set_before_traffic_moves_and_gone_before_it_is_confirmed(world, confirmed):
    seen = []
    world.stack.fail_up = lambda hand_over: seen.append((hand_over.traffic, len(world.scheduler.schedules)))
    promote(world.context(), world.offer(2).digest)
    assert seen == [(0, 0), *((traffic, len(KEYS)) for traffic in (10, 100, 100))]
    assert world.scheduler.schedules == {}


def test_without_a_stable_version_there_is_nothing_to_schedule(world):
    seen = []
    world.stack.fail_up = lambda hand_over: seen.append(len(world.scheduler.schedules))
    promote(world.context(), world.offer(1).digest)
    assert set(seen) == {0}


def test_an_older_release_that_waited_for_the_lease_is_superseded(world, confirmed):
    older, newer = world.offer(2), world.offer(3)
    late = world.context()
    take = late.lease.take

    def wait(*args, **kwargs):
        promote(world.context(), newer.digest)
        take(*args, **kwargs)

    late.lease.take = wait
    with pytest.raises(Refused) as refused:
        promote(late, older.digest)
    assert refused.value.rule == "superseded"
    assert world.states()[-1] == "SUPERSEDED"
    assert set(world.live().values()) == {newer.digest}


def test_after_three_rollbacks_in_a_row_a_person_has_to_look(world, confirmed):
    for number in (2, 3, 4):
        broken = world.offer(number)
        world.broken[broken.digest] = lambda function, alias, event: RuntimeError("broken")
        with pytest.raises(RolledBack):
            promote(world.context(), broken.digest)
    sound = world.offer(5)
    with pytest.raises(Refused) as refused:
        promote(world.context(), sound.digest)
    assert refused.value.rule == "rolled-back-too-often"
    assert promote(world.context(), sound.digest, despite=Override(rollbacks="the network was down")).state


def test_an_alarm_that_a_person_set_aside_does_not_judge_the_release(world, confirmed):
    world.alarms["prod-sentiment-analysis-errors"] = "ALARM"
    report = promote(world.context(), world.offer(2).digest, despite=Override(alarms="a known false alarm"))
    assert report.state is State.CONFIRMED
    entry = next(entry for entry in reversed(world.context().ledger.entries()) if entry.state is State.LEASED)
    assert entry.details["set_aside"] == ["prod-sentiment-analysis-errors"]


def test_another_alarm_still_judges_it(world, confirmed):
    world.alarms["prod-sentiment-analysis-errors"] = "ALARM"
    world.stack.fail_up = lambda hand_over: world.alarms.update({"prod-sentiment-dashboard-errors": "ALARM"})
    with pytest.raises(RolledBack) as failed:
        promote(world.context(), world.offer(2).digest, despite=Override(alarms="a known false alarm"))
    assert "dashboard-errors" in failed.value.why
    assert "analysis-errors" not in failed.value.why


def test_runs_that_wait_with_an_older_commit_are_called_off(world, confirmed, monkeypatch):
    github = Runs()
    cancelled = []

    def run(number, sha):
        return SimpleNamespace(id=number, head_sha=sha, url=f"https://github.test/runs/{number}")

    waiting = {
        "build-and-promote.yml": [run(76, "a newer commit"), run(77, confirmed.sha)],
        "deploy-prod.yml": [run(78, confirmed.sha)],
    }
    monkeypatch.setattr(github, "waiting_runs", waiting.__getitem__)
    monkeypatch.setattr(github, "cancel", cancelled.append, raising=False)
    monkeypatch.setattr("release.rollout.confirm.contains", lambda repo, newer, older: older == confirmed.sha)
    promote(context(world, github), world.offer(2).digest)
    assert cancelled == [77, 78]
    assert [(entry.state, entry.details["superseded_run"]) for entry in world.context().ledger.entries(2)] == [
        ("SUPERSEDED", "77"),
        ("SUPERSEDED", "78"),
    ]
    assert world.context().ledger.view().confirmed.release.digest == world.offer(2).digest


def test_versions_beyond_the_last_ten_confirmed_releases_are_pruned(world):
    for number in range(1, 14):
        promote(world.context(), world.offer(number).digest)
    assert sorted(map(int, world.functions.published["prod-sentiment-analysis"])) == list(range(4, 14))
    assert rollback(world.context(), f"{4:040x}", "the oldest that is kept").state is State.ROLLED_BACK
