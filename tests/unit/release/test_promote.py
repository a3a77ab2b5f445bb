"""The whole path over a small cloud in memory: what is refused, what is judged, and where production ends up."""

import dataclasses
import itertools
import json

import pytest

from components.service.functions import KEYS
from release.errors import Refused, ReleaseError, RollbackIncomplete, RolledBack
from release.ledger.lifecycle import State
from release.pulumi.changes import Impact, UpdateStep
from release.rollout.promote import promote
from release.rollout.rollback import rollback
from tests.unit.release.release_world import World, failing, record

PREPROD = "preprod-sentiment-lambda-deployments"
PROD = "prod-sentiment-lambda-deployments"


@pytest.fixture
def confirmed(world):
    """A world in which release 1 is confirmed."""
    manifest = world.confirm(1)
    world.stack.ups.clear()
    return manifest


def health_500(function, alias, event):
    return {"statusCode": 500, "body": "null"} if function == "dashboard" and event["rawPath"] == "/health" else None


def test_a_sound_release_goes_dark_then_live_then_confirmed(world):
    manifest = world.offer(1)
    report = promote(world.context(), manifest.digest)
    assert report.state is State.CONFIRMED
    assert world.states() == ["LEASED", "ARMED", "DEPLOYING", "DARK", "LIVE", "CONFIRMED"]
    assert world.stack.ups == [(0, False, False), (100, False, False), (100, True, False)]
    assert set(world.live().values()) == {manifest.digest}


def test_a_shared_change_is_refused_on_the_automatic_path_once_a_release_is_confirmed(world, monkeypatch):
    monkeypatch.setattr("release.rollout.promote.refuse_unproven", lambda context, digest: None)
    change = UpdateStep(op="update", urn="urn:pulumi:prod::p::aws:iam/rolePolicy::it", impact=Impact.SHARED)
    plan = world.stack.plan
    monkeypatch.setattr(
        world.stack, "plan", lambda hand_over, **how: dataclasses.replace(plan(hand_over, **how), steps=(change,))
    )
    promote(world.context(), world.offer(1).digest, path="automatic")
    with pytest.raises(Refused) as refused:
        promote(world.context(), world.offer(2).digest, path="automatic")
    assert refused.value.rule == "shared-change-needs-review"


def test_every_state_is_written_before_the_step_that_it_names(world, monkeypatch):
    seen = []
    up = world.stack.up
    monkeypatch.setattr(
        world.stack, "up", lambda hand_over, **kw: (seen.append((hand_over.traffic, world.states()[-1])), up(hand_over))
    )
    promote(world.context(), world.offer(1).digest)
    assert seen == [(0, "DEPLOYING"), (100, "LIVE"), (100, "LIVE")]


def test_what_is_confirmed_can_be_gone_back_to_without_preprod_or_git(world, confirmed):
    ledger = {key for bucket, key in world.s3.objects if bucket == PROD and key.startswith("ledger/releases/")}
    view = world.context().ledger.view()
    names = ("program.tar.gz", f"checkpoint-{view.confirmed.checkpoint_sha256[:12]}.json")
    assert ledger >= {f"ledger/releases/{confirmed.digest}/{name}" for name in names}
    assert view.confirmed.stable == dict.fromkeys(KEYS, "1")
    assert all(package["bucket"] == PROD for package in view.confirmed.hand_over["functions"].values())


def test_promoting_the_confirmed_release_again_does_nothing(world, confirmed):
    assert promote(world.context(), confirmed.digest).already
    assert world.stack.ups == []


def test_the_lease_is_given_back_however_it_ends(world, confirmed):
    broken = world.offer(2)
    world.broken[broken.digest] = health_500
    with pytest.raises(RolledBack):
        promote(world.context(), broken.digest)
    assert world.context().lease.holder() is None


REFUSALS = {
    "no record": ("not-validated", lambda w, m: w.s3.objects.pop((PREPROD, f"promotions/{m.digest}/validation.json"))),
    "record of another release": (
        "validation-foreign",
        lambda w, m: w.put(f"promotions/{m.digest}/validation.json", record(w.offer(9)).body()),
    ),
    "record without tests": (
        "validation-failed",
        lambda w, m: w.put(f"promotions/{m.digest}/validation.json", record(m, tests=0, skipped=0).body()),
    ),
    "record of skipped tests": (
        "validation-failed",
        lambda w, m: w.put(f"promotions/{m.digest}/validation.json", record(m, tests=3, skipped=3).body()),
    ),
    "record with a failure": (
        "validation-failed",
        lambda w, m: w.put(f"promotions/{m.digest}/validation.json", record(m, failed=1).body()),
    ),
    "record that is no record": (
        "validation-foreign",
        lambda w, m: w.put(f"promotions/{m.digest}/validation.json", b"{}"),
    ),
    "tampered zip": (
        "bytes-differ",
        lambda w, m: w.put(f"promotions/{m.digest}/{m.functions['analysis'].package}", b"other bytes"),
    ),
    "missing zip": (
        "package-missing",
        lambda w, m: w.s3.objects.pop((PREPROD, f"promotions/{m.digest}/{m.functions['analysis'].package}")),
    ),
    "foreign manifest": (
        "manifest-foreign",
        lambda w, m: w.put(f"promotions/{m.digest}/manifest.json", w.offer(9).canonical()),
    ),
    "corrupt manifest": ("manifest-corrupt", lambda w, m: w.put(f"promotions/{m.digest}/manifest.json", b"{")),
    "no manifest": ("never-built", lambda w, m: w.s3.objects.pop((PREPROD, f"promotions/{m.digest}/manifest.json"))),
    "ringing alarm": ("alarm-ringing", lambda w, m: w.alarms.update({"prod-sentiment-analysis-errors": "ALARM"})),
    "missing alarm": ("alarms-not-watching", lambda w, m: w.alarms.pop("prod-sentiment-analysis-errors")),
    "drift": ("cannot-go-back", lambda w, m: setattr(w.stack, "drift", ("update aws:sqs/queue:Queue dead-letters",))),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_by_name_before_anything_changes(world, confirmed, case):
    rule, tamper = REFUSALS[case]
    manifest = world.offer(2)
    tamper(world, manifest)
    with pytest.raises(Refused) as refused:
        promote(world.context(), manifest.digest)
    assert refused.value.rule == rule
    assert refused.value.exit_code == 3
    assert refused.value.next_step
    assert world.stack.ups == [], "an `up` was run for a refused release"
    assert set(world.live().values()) == {confirmed.digest}
    last = world.context().ledger.entries(1)[0]
    assert (last.state, last.details["rule"]) == (State.REFUSED, rule)
    assert world.context().ledger.view().confirmed.release.digest == confirmed.digest


def test_an_older_commit_is_refused(world):
    older = world.offer(1)
    promote(world.context(), world.offer(2).digest)
    with pytest.raises(Refused) as refused:
        promote(world.context(), older.digest)
    assert refused.value.rule == "older-commit"


def test_a_release_that_was_rolled_back_is_blocked(world, confirmed):
    broken = world.offer(2)
    world.broken[broken.digest] = health_500
    with pytest.raises(RolledBack):
        promote(world.context(), broken.digest)
    with pytest.raises(Refused) as refused:
        promote(world.context(), broken.digest)
    assert refused.value.rule == "blocked"


def wrong_digest(function, alias, event):
    body = {"status": "ok", "release": "f" * 40, "digest": "f" * 64}
    return {"statusCode": 200, "body": json.dumps(body)} if event.get("rawPath") == "/health" else None


def open_to_everybody(function, alias, event):
    return {"statusCode": 200, "body": "{}"} if event.get("rawPath") == "/api/items" else None


def raises_at_start(function, alias, event):
    return RuntimeError("no module named x") if function == "analysis" else None


def raises_when_live(function, alias, event):
    return RuntimeError("only live") if function == "ingestion" and alias == "live" else None


COUNT = itertools.count()


def flaky(function, alias, event):
    return RuntimeError("now and then") if event.get("rawPath") == "/api/metrics" and next(COUNT) % 2 else None


@pytest.mark.parametrize(
    ("how", "seen_in"),
    [
        (health_500, "dashboard: health"),
        (wrong_digest, "dashboard: health"),
        (open_to_everybody, "dashboard: no key is refused"),
        (raises_at_start, "analysis: scores an item as positive"),
        (raises_when_live, "a run of each schedule"),
        (flaky, "duel of dashboard"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_release_ends_verified_on_the_confirmed_one(tmp_path, monkeypatch, how, seen_in):
    world = World(tmp_path, monkeypatch, broken_rate=0.05)
    confirmed = world.offer(1)
    promote(world.context(), confirmed.digest)
    broken = world.offer(2)
    world.broken[broken.digest] = how
    with pytest.raises(RolledBack) as ended:
        promote(world.context(), broken.digest)
    assert seen_in in ended.value.why
    assert ended.value.exit_code == 4
    assert set(world.live().values()) == {confirmed.digest}
    assert world.states()[-2:] == ["ROLLING_BACK", "ROLLED_BACK"]
    report = ended.value.report
    assert (report.from_.manifest, report.to.manifest) == (broken.digest, confirmed.digest)
    assert report.verified
    assert 0 <= report.traffic_restored_s <= report.converged_s
    assert world.pages, "nobody was paged"


def test_an_alarm_that_rings_in_the_watch_window_takes_the_release_back(world, confirmed, monkeypatch):
    broken = world.offer(2)
    up = world.stack.up

    def up_and_ring(hand_over, **how):
        up(hand_over, **how)
        ringing = hand_over.release["manifest"] == broken.digest and hand_over.traffic == 100
        world.alarms["prod-sentiment-analysis-errors"] = "ALARM" if ringing else "OK"

    monkeypatch.setattr(world.stack, "up", up_and_ring)
    with pytest.raises(RolledBack) as ended:
        promote(world.context(), broken.digest)
    assert "ringing: prod-sentiment-analysis-errors" in ended.value.why
    assert set(world.live().values()) == {confirmed.digest}


@pytest.mark.parametrize("traffic", [0, 100])
def test_a_failed_update_takes_the_release_back(world, confirmed, traffic):
    broken = world.offer(2)

    def fail(hand_over):
        if hand_over.release["manifest"] == broken.digest and hand_over.traffic == traffic:
            failing("pulumi up failed")(hand_over)

    world.stack.fail_up = fail
    with pytest.raises(RolledBack):
        promote(world.context(), broken.digest)
    assert set(world.live().values()) == {confirmed.digest}


def test_traffic_goes_back_before_the_stack(world, confirmed):
    broken = world.offer(2)
    world.broken[broken.digest] = raises_when_live
    order = []
    world.functions.fail_update = lambda function: order.append("alias")
    world.stack.fail_up = lambda hand_over: order.append(f"up {hand_over.traffic}")
    with pytest.raises(RolledBack):
        promote(world.context(), broken.digest)
    assert order == ["up 0", "up 10", "up 100", *["alias"] * len(KEYS), "up 0"]


def test_when_only_the_stack_cannot_go_back_traffic_is_safe_and_a_person_is_told_the_command(world, confirmed):
    broken = world.offer(2)
    world.broken[broken.digest] = raises_when_live
    world.stack.fail_up = lambda hand_over: (
        failing("protected")(hand_over)
        if hand_over.stable and (hand_over.release["manifest"] == confirmed.digest)
        else None
    )
    with pytest.raises(RollbackIncomplete) as ended:
        promote(world.context(), broken.digest)
    assert ended.value.report.state is State.ROLLED_BACK_TRAFFIC
    assert ended.value.next_step.startswith("release rollback --stack prod")
    assert set(world.live().values()) == {confirmed.digest}

    world.stack.fail_up = lambda hand_over: None
    done = rollback(world.context(), None, "the person has mended it")
    assert (done.state, done.verified) == (State.ROLLED_BACK, True)


def test_when_nothing_can_be_moved_everything_else_is_refused_until_it_is_back(world, confirmed):
    broken = world.offer(2)
    world.broken[broken.digest] = raises_when_live

    def stuck(function):
        raise ReleaseError("Lambda does not answer")

    world.functions.fail_update = stuck
    fail = failing("no", "no")
    world.stack.fail_up = lambda hand_over: (
        fail(hand_over) if hand_over.release["manifest"] == confirmed.digest else None
    )
    world.stack.up_original = world.stack.up
    world.stack.up = lambda hand_over, **how: (
        failing("no")(hand_over)
        if hand_over.release["manifest"] == confirmed.digest
        else world.stack.up_original(hand_over, **how)
    )
    with pytest.raises(RollbackIncomplete) as ended:
        promote(world.context(), broken.digest)
    assert ended.value.report.state is State.ROLLBACK_FAILED
    with pytest.raises(Refused) as refused:
        promote(world.context(), world.offer(3).digest)
    assert refused.value.rule == "rollback-failed"


def test_the_first_release_that_fails_is_taken_off_traffic_and_the_next_may_come(world):
    broken = world.offer(1)
    world.broken[broken.digest] = raises_when_live
    context = world.context()
    context.aws.topics.meta.region_name = "us-east-1"
    with pytest.raises(RollbackIncomplete) as ended:
        promote(context, broken.digest)
    assert ended.value.report.state is State.ROLLED_BACK_TRAFFIC
    assert ended.value.exit_code == 5
    assert not [name for name, alias in world.functions.aliases if alias == "live"]
    assert promote(world.context(), world.offer(2).digest).state is State.CONFIRMED


def test_an_interrupt_after_something_changed_goes_back(world, confirmed):
    broken = world.offer(2)

    def interrupt(hand_over):
        if hand_over.release["manifest"] == broken.digest:
            raise KeyboardInterrupt

    world.stack.fail_up = interrupt
    with pytest.raises(RolledBack) as ended:
        promote(world.context(), broken.digest)
    assert ended.value.why == "interrupted by hand"
    assert set(world.live().values()) == {confirmed.digest}


def test_an_interrupt_before_anything_changed_is_a_refusal(world, confirmed, monkeypatch):
    def interrupt(hand_over):
        raise KeyboardInterrupt

    monkeypatch.setattr(world.stack, "preview", interrupt)
    with pytest.raises(Refused) as refused:
        promote(world.context(), world.offer(2).digest)
    assert refused.value.rule == "interrupted"
    assert world.context().ledger.view().state is State.CONFIRMED


def test_a_second_interrupt_leaves_a_ledger_that_says_so(world, confirmed):
    def interrupt(hand_over):
        raise KeyboardInterrupt

    world.stack.fail_up = interrupt
    with pytest.raises(RollbackIncomplete) as ended:
        promote(world.context(), world.offer(2).digest)
    assert "release rollback" in ended.value.next_step
    assert world.context().ledger.view().state is State.ROLLING_BACK
    with pytest.raises(Refused) as refused:
        promote(world.context(), world.offer(3).digest)
    assert refused.value.rule == "unfinished-release"
    world.stack.fail_up = lambda hand_over: None
    assert rollback(world.context(), None, "finish it").state is State.ROLLED_BACK


def test_a_bug_of_ours_goes_back_too(world, confirmed, monkeypatch):
    monkeypatch.setattr("release.rollout.canary.Canary.analyse_dark", lambda *_, **__: 1 / 0)
    with pytest.raises(RolledBack) as ended:
        promote(world.context(), world.offer(2).digest)
    assert "ZeroDivisionError" in ended.value.why


def test_rollback_asks_the_ledger_and_does_nothing_when_there_is_nothing_to_do(world, confirmed):
    assert rollback(world.context(), None, "just in case").nothing_to_do
    assert world.stack.ups == []


def test_rollback_to_an_earlier_release(world, confirmed):
    newer = world.offer(2)
    promote(world.context(), newer.digest)
    done = rollback(world.context(), "previous", "customers complain")
    assert done.state is State.ROLLED_BACK
    assert set(world.live().values()) == {confirmed.digest}
    view = world.context().ledger.view()
    assert view.confirmed.release.digest == confirmed.digest
    assert newer.digest in view.blocked


def test_rollback_to_something_unknown_is_refused_with_what_is_known(world, confirmed):
    with pytest.raises(ReleaseError) as error:
        rollback(world.context(), "deadbeef", "typo")
    assert confirmed.sha[:7] in error.value.why
