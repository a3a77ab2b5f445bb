"""What people see of an environment, of its history, and of one release: complete, and while it happens."""

import io
import json
from datetime import timedelta

import pytest
from rich.console import Console as RichConsole
from typer.testing import CliRunner

from release.cli import environment, main
from release.errors import Refused, ReleaseError, RolledBack, UsageError
from release.ledger.lifecycle import Decision, Override, State
from release.reporting.explain import explain, story_picture
from release.reporting.status import attempts, follow, history, history_table, picture, status
from release.reports import NamedRelease
from release.rollout import operations
from release.rollout.promote import promote

runner = CliRunner()


@pytest.fixture
def failed(world, confirmed):
    """A world in which release 2 was rolled back."""
    manifest = world.offer(2)
    world.broken[manifest.digest] = lambda function, *_: (
        RuntimeError("@octocat broke\nit") if function == "analysis" else None
    )
    with pytest.raises(RolledBack):
        promote(world.context(), manifest.digest)
    return manifest


def seen(renderable, width=200):
    out = RichConsole(file=io.StringIO(), width=width, highlight=False)
    out.print(renderable)
    return out.file.getvalue()


def stamp(moment):
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def begun(world, number=3, state=State.DEPLOYING):
    """A run that is at work: it holds the lease and has come to `state`."""
    manifest, context = world.offer(number), world.context()
    context.lease.take("promote it", world.settings, lambda _: None)
    context.ledger.fence = context.lease.fence
    release = operations.named(context, manifest.digest)
    for step in (State.LEASED, State.ARMED, State.DEPLOYING, State.DARK, State.CANARY, State.LIVE):
        details = {"deadline": stamp(world.now + timedelta(hours=1))} if step is State.CANARY else {}
        context.ledger.append(step, release=release, **details)
        if step is state:
            break
    return context, release


# status


def test_nothing_was_ever_released_here(world):
    document = status(world.context())
    assert (document.state, document.lease, document.functions) == (None, None, {})
    assert "untouched - nothing was ever released here" in seen(picture(document))


def test_what_is_confirmed_is_said_with_versions_and_the_last_entry(world, confirmed):
    document = status(world.context())
    assert document.confirmed.manifest == confirmed.digest
    assert document.functions["dashboard"]["live"].version == "1"
    assert document.last_entry.state == "CONFIRMED"
    assert document.as_recorded
    text = seen(picture(document))
    assert f"confirmed  {confirmed.sha[:12]}" in text
    assert "nobody holds it" in text
    assert "next:" not in text


def test_what_is_under_way_is_said_with_candidate_lease_and_deadline(world, confirmed):
    deadline = stamp(world.now + timedelta(hours=1))
    _, release = begun(world, state=State.CANARY)
    world.pass_time(90)
    document = status(world.context())
    assert document.candidate == NamedRelease.of(release)
    assert document.under_way.deadline[:16] == deadline[:16]
    assert document.lease.held_s >= 90
    text = seen(picture(document))
    assert f"{release.sha[:12]} CANARY, begun at" in text
    assert "for 1 min 30 s: promote it" in text
    assert "then the schedules take traffic back" in text
    assert "release reap --stack prod" in text


def test_a_run_that_holds_no_lease_any_more_is_called_dead(world, confirmed):
    context, _ = begun(world)
    context.lease.give_back()
    document = status(world.context())
    assert "that run has ended or died" in seen(picture(document))
    assert document.next_step.startswith("release reap --stack prod, or go on: release resume")  # nobody to wait for


def test_pending_schedules_are_shown_and_unreadable_ones_are_not_taken_for_none(world, confirmed):
    context = world.context()
    context.lease.take("promote it", world.settings, lambda _: None)
    at = world.now.replace(microsecond=0) + timedelta(hours=3)
    context.failsafe.set({"dashboard": "1"}, at)
    document = status(world.context())
    assert document.safety.pending == {"dashboard": stamp(at)}
    assert f"dashboard: back to its stable version at {stamp(at)}" in seen(picture(document))

    def away(_functions):
        raise ReleaseError("the scheduler is away")

    context.failsafe.pending = away
    assert "could not be read: the scheduler is away" in seen(picture(status(context)))


def test_what_people_decided_and_what_stands_in_the_way_is_shown(world, failed):
    operations.freeze(world.context(), "holidays [bold]of all[/]", frozen=True)
    document = status(world.context())
    assert document.frozen == "holidays [bold]of all[/]"
    assert document.rollbacks_in_a_row == 1
    assert list(document.blocked) == [failed.digest]
    text = seen(picture(document))
    assert "holidays [bold]of all[/]" in text
    assert "1 in a row since the last confirmation" in text
    assert f"blocked      {failed.digest[:12]}: " in text
    assert "release freeze off" in text


def test_weights_and_aliases_that_nobody_recorded_are_shown(world, confirmed):
    world.functions.aliases["prod-sentiment-dashboard", "live"]["RoutingConfig"] = {
        "AdditionalVersionWeights": {"2": 0.1}
    }
    document = status(world.context())
    assert not document.as_recorded
    text = seen(picture(document))
    assert "1 + 10% on 2" in text
    assert "not what the ledger recorded" in text


def test_a_rollback_that_failed_says_what_to_do_at_once(world, confirmed):
    context, release = begun(world)
    context.ledger.append(State.ROLLING_BACK, release=release)
    context.ledger.append(State.ROLLBACK_FAILED, release=release)
    assert "next: at once: release rollback --stack prod" in seen(picture(status(world.context())))


# follow


class Steps:
    """A run that takes one step each time somebody has looked."""

    def __init__(self, world, monkeypatch, *steps):
        self.left = list(steps)
        monkeypatch.setattr("release.reporting.status.time.sleep", self)

    def __call__(self, _seconds):
        assert self.left, "it goes on looking although nothing is under way"
        self.left.pop(0)()


def test_without_a_terminal_the_last_picture_is_the_only_one(world, confirmed, monkeypatch):
    context, release = begun(world)

    def end():
        served = context.ledger.view().confirmed
        context.ledger.append(State.ROLLING_BACK, release=release)
        context.ledger.append(State.ROLLED_BACK, release=release, served=served, reason="4 of 800\nwrong")
        context.lease.give_back()

    Steps(world, monkeypatch, lambda: None, end)
    out = RichConsole(file=io.StringIO(), width=200)
    assert follow(world.context(), out).state == "ROLLED_BACK"
    text = out.file.getvalue()
    assert text.count("prod: ") == 1
    for part in ("prod: ROLLED_BACK", "nobody holds it", "DEPLOYING", "4 of 800 wrong"):
        assert part in text


def test_a_run_between_its_lease_and_its_first_entry_is_not_the_end(world, confirmed, monkeypatch):
    context, _ = begun(world)
    context.lease.give_back()
    later = world.context()

    def take():
        later.lease.take("resume", world.settings, lambda _: None)

    Steps(world, monkeypatch, take, later.lease.give_back, lambda: None)
    assert follow(world.context(), RichConsole(file=io.StringIO())).lease is None


def test_when_nothing_is_under_way_it_ends_at_once(world, confirmed, monkeypatch):
    Steps(world, monkeypatch)
    out = RichConsole(file=io.StringIO(), width=200)
    assert follow(world.context(), out).state == "CONFIRMED"
    assert "CONFIRMED" in out.file.getvalue()


def test_on_a_terminal_the_picture_is_drawn_again_and_the_cursor_comes_back(world, confirmed, monkeypatch):
    context, release = begun(world)

    def end():
        context.ledger.append(State.ROLLING_BACK, release=release)
        context.ledger.append(State.ROLLED_BACK, release=release, served=context.ledger.view().confirmed)
        context.lease.give_back()

    Steps(world, monkeypatch, lambda: None, end)
    out = RichConsole(file=io.StringIO(), width=120, height=50, force_terminal=True, highlight=False)
    follow(world.context(), out)
    text = out.file.getvalue()
    assert "\x1b[2K" in text, "nothing was drawn twice"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "ROLLED_BACK" in text


def test_ctrl_c_gives_the_cursor_back_and_is_exit_code_130(world, confirmed, monkeypatch):
    begun(world)

    def interrupt():
        raise KeyboardInterrupt

    Steps(world, monkeypatch, interrupt)
    out = RichConsole(file=io.StringIO(), width=120, force_terminal=True)
    monkeypatch.setattr("release.console.result", lambda **_: out)
    monkeypatch.setattr(environment, "context", lambda *_, **__: world.context())
    ended = runner.invoke(main.app, ["status", "--follow"])
    assert ended.exit_code == 130
    assert out.file.getvalue().rindex("\x1b[?25h") > out.file.getvalue().rindex("\x1b[?25l")


def test_followed_for_machines_it_is_still_one_document(world, confirmed, monkeypatch):
    monkeypatch.setattr(environment, "context", lambda *_, **__: world.context())
    ended = runner.invoke(main.app, ["status", "--follow", "--json"])
    assert json.loads(ended.stdout)["state"] == "CONFIRMED"
    assert "nobody holds it" in ended.stderr


# history


def test_history_shows_decisions_of_people_with_who_and_why(world, failed):
    operations.freeze(world.context(), "the\ncause is [red]unknown[/]", frozen=True)
    text = seen(history_table(history(world.context().ledger, 30, verify=False).entries))
    line = next(line for line in text.splitlines() if "FROZEN" in line)
    assert "tester" in line
    assert "the cause is [red]unknown[/]" in line
    assert len(text.splitlines()) == 1 + len(world.context().ledger.entries())


def test_an_attempt_begins_with_its_newest_lease(world, failed):
    entries = attempts(world.context().ledger.entries())[-1]
    assert entries[0].state is State.LEASED
    assert {entry.release.digest for entry in entries} == {failed.digest}


# explain


def test_a_release_that_failed_is_explained_from_lease_to_block(world, failed):
    document = explain(world.context(), failed.digest[:12])
    assert document.release == NamedRelease(sha=failed.sha, manifest=failed.digest)
    assert document.state == "ROLLED_BACK"
    assert document.stands == "blocked"
    text = seen(story_picture(document))
    for part in (
        "fail: analysis",
        "@octocat broke it",
        "rule: fail at 1 wrong",
        "numbers: ",
        "sample ",
        f"from {failed.sha[:12]} to ",
        "traffic back after",
        "verified by reading the cloud",
        f"blocks release {failed.digest[:12]}",
        "the rollback to",
        "validated: 12 tests, 0 failed",
        "ledger: https://us-east-1.console.aws.amazon.com/",
    ):
        assert part in text, text


def test_a_duel_is_explained_by_its_pairs_its_evidence_its_latency_and_what_differs(world, confirmed):
    manifest = world.offer(2)

    def scored_wrong(function, alias, event):
        asked = json.dumps(event)
        if function != "analysis" or "sad and angry" not in asked:
            return None
        return {"release": manifest.sha, "digest": manifest.digest, "items": [{"sentiment": "positive"}]}

    world.broken[manifest.digest] = scored_wrong
    with pytest.raises(RolledBack, match="failed"):
        promote(world.context(), manifest.digest)
    text = seen(story_picture(explain(world.context(), manifest.digest)))
    for part in (
        "fail: duel of analysis",
        "only the candidate",
        "latency in ms: p50",
        "evidence that it is broken, and worse than the stable version, in powers of ten: ",
        "items is [{'sentiment': 'positive'}], not",
    ):
        assert part in text, text
    assert "numbers: pairs" not in text


def test_every_verdict_is_told_once_with_the_entry_that_brought_it(world, failed):
    document = explain(world.context(), failed.sha)
    told = [repr(verdict) for entry in document.entries for verdict in entry.new_verdicts]
    assert told
    assert len(told) == len(set(told))
    last = [told.entry for told in document.entries if told.new_verdicts][-1]
    assert last.state == "ROLLING_BACK"


def test_without_a_name_it_is_the_newest_release(world, failed):
    assert explain(world.context(), None).release.manifest == failed.digest
    operations.freeze(world.context(), "a decision about no release", frozen=True)
    assert explain(world.context(), None).release.manifest == failed.digest


def test_digits_may_begin_a_commit(world, confirmed):
    assert explain(world.context(), confirmed.sha[:12]).release.sha == confirmed.sha
    with pytest.raises(UsageError, match="names no release"):
        explain(world.context(), "99999")


@pytest.mark.parametrize("wanted", ["", "abc", "not a name", "f" * 64, "\x1b[31m", "²"])
def test_a_name_that_means_nothing_is_wrong_use(world, confirmed, wanted):
    with pytest.raises(UsageError, match="names no release"):
        explain(world.context(), wanted)


def test_a_name_that_means_two_is_wrong_use(world, failed):
    with pytest.raises(UsageError, match="names 2 releases"):
        explain(world.context(), "0" * 38)


def test_an_empty_ledger_has_no_story(world):
    with pytest.raises(UsageError, match="nothing was ever released"):
        explain(world.context(), None)


def test_a_refusal_names_its_rule_and_the_way_forward(world, failed):
    with pytest.raises(Refused):
        promote(world.context(), failed.digest)
    text = seen(story_picture(explain(world.context(), failed.digest)))
    assert "refused by rule blocked" in text
    assert "way forward: fix the cause in a new commit" in text


def test_what_was_set_aside_is_told_with_who_and_why(world, confirmed):
    context = world.context()
    operations.freeze(context, "holidays", frozen=True)
    manifest = world.offer(4)
    promote(world.context(), manifest.digest, despite=Override(freeze="a leak must be mended"))
    text = seen(story_picture(explain(world.context(), manifest.digest)))
    assert "despite freeze: a leak must be mended" in text
    assert "now: confirmed" in text


def test_a_release_that_was_confirmed_before_says_how_to_go_back_to_it(world, confirmed):
    promote(world.context(), world.offer(2).digest)
    stands = explain(world.context(), confirmed.digest).stands
    assert f"release rollback --stack prod --to {confirmed.digest[:12]}" in stands


def test_two_attempts_at_one_release_are_both_told_with_their_verdicts(world, failed):
    context = world.context()
    operations.unblock(context, operations.named(context, failed.digest), "it was the network")
    world.broken.clear()
    promote(world.context(), failed.digest)
    document = explain(world.context(), failed.digest)
    states = [told.entry.state for told in document.entries]
    assert states.count("LEASED") == 2
    assert Decision.UNBLOCKED in states
    assert document.entries[-1].new_verdicts
    assert document.stands.startswith("confirmed: ")


def test_the_command_tells_people_and_machines_the_same(world, failed, monkeypatch):
    monkeypatch.setattr(environment, "context", lambda *_, **__: world.context())
    document = json.loads(runner.invoke(main.app, ["explain", failed.digest, "--json"]).stdout)
    told = runner.invoke(main.app, ["explain", failed.digest]).stdout
    assert all(entry["state"] in told and entry["run"]["id"] in told for entry in document["entries"])
    assert runner.invoke(main.app, ["explain", "nothing"]).exit_code == 2
