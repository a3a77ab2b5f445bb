"""The bake: after the confirmation an alarm moves traffic back without any run, and `reap` finishes the stack."""

import json
from datetime import UTC, datetime, timedelta

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters
from hypothesis import given
from hypothesis import strategies as st

from components.service.functions import KEYS
from release.errors import LeaseLost, Refused, ReleaseError, RolledBack
from release.ledger.lifecycle import State
from release.reporting.explain import explain, story_picture
from release.reporting.status import picture, status
from release.reporting.workflow_summary import lines
from release.rollout import bake, operations
from release.rollout.confirm import confirm
from release.rollout.promote import promote, resume
from release.rollout.rollback import rollback
from release.traffic.aliases import Alias
from release.traffic.bake import Bake, gone_back
from tests.unit.release.release_world import ACCOUNT, World, client_error, failing, unreachable
from tests.unit.release.test_status import seen

BAKE_S = 3600
RULE, END = "prod-sentiment-bake", "prod-sentiment-bake.end.safety"
ERRORS = "prod-sentiment-dashboard-errors"


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch, bake_s=BAKE_S)


@pytest.fixture
def baking(world):
    """A world in which release 2 bakes, after release 1; the manifests of both."""
    return world.confirm(1), world.confirm(1, 2)


def ring(world, alarm=ERRORS, state="ALARM"):
    """An alarm changes its state, and a moment passes."""
    world.alarms = {**world.alarms, alarm: state}
    world.pass_time(1)


def own(world):
    """The bake of prod, for whoever needs no lease."""
    return Bake("prod", world.events, world.scheduler, lambda: ACCOUNT)


def armed(world):
    rule = world.events.rules.get(RULE)
    return rule is not None and rule["enabled"] and bool(rule["targets"])


# An alarm during the bake


def test_an_alarm_during_the_bake_moves_traffic_back_without_any_run_and_reap_finishes_the_stack(world, baking):
    before, now = baking
    world.pass_time(BAKE_S / 2)
    ring(world)
    assert set(world.live().values()) == {before.digest}
    assert world.context().ledger.view().state is State.CONFIRMED  # nobody has written anything
    world.pages.clear()
    report = operations.reap(world.context())
    assert (report.state, report.verified) == (State.ROLLED_BACK, True)
    assert (report.from_.manifest, report.to.manifest) == (now.digest, before.digest)
    assert f"{ERRORS} rang while the release was baking" in report.reason
    view = world.context().ledger.view()
    assert view.confirmed.release.digest == before.digest
    assert now.digest in view.blocked
    assert view.baking is None
    assert not world.events.rules
    assert not world.scheduler.schedules
    assert len(world.pages) == 1
    assert ERRORS in world.pages[0]["Message"]
    assert status(world.context()).as_recorded


@pytest.mark.parametrize("seconds", [1, BAKE_S - 60])
def test_an_alarm_rings_at_any_time_of_the_bake(world, baking, seconds):
    world.pass_time(seconds)
    ring(world, f"prod-sentiment-{KEYS[0]}-errors")
    assert set(world.live().values()) == {baking[0].digest}


def test_after_the_bake_an_alarm_moves_nothing_and_nothing_but_a_switched_off_rule_is_left(world, baking):
    world.pass_time(BAKE_S + 60)
    assert not world.scheduler.schedules
    assert not armed(world)
    ring(world)
    assert set(world.live().values()) == {baking[1].digest}
    assert operations.reap(world.context()).nothing_to_do


def test_an_alarm_that_stops_ringing_moves_nothing(world, baking):
    ring(world, state="OK")
    ring(world, state="INSUFFICIENT_DATA")
    assert set(world.live().values()) == {baking[1].digest}


def test_what_has_gone_back_is_finished_also_when_the_bake_has_ended_since(world, baking):
    ring(world)
    ring(world, state="OK")
    world.pass_time(3 * BAKE_S)
    report = operations.reap(world.context())
    assert (report.state, report.to.manifest) == (State.ROLLED_BACK, baking[0].digest)
    assert "an alarm rang while the release was baking" in report.reason


@pytest.mark.parametrize("stuck", [{KEYS[0]}, set(KEYS[1:])])
def test_a_way_back_that_came_half_way_is_finished_with_traffic_first(world, baking, stuck):
    world.events.stuck = {f"prod-sentiment-{key}" for key in stuck}
    ring(world)
    assert {key for key, digest in world.live().items() if digest == baking[1].digest} == stuck
    moved = []
    world.stack.fail_up = lambda _: moved.append(dict(world.live()))
    assert operations.reap(world.context()).state is State.ROLLED_BACK
    assert set(moved[0].values()) == {baking[0].digest}
    assert set(world.live().values()) == {baking[0].digest}


def test_a_rollback_that_dies_after_the_alarm_is_finished_like_any_other(world, baking):
    ring(world)
    world.stack.fail_up = failing("no", "no", "no")
    assert operations.reap(world.context()).state is State.ROLLED_BACK_TRAFFIC
    world.stack.fail_up = lambda _: None
    assert operations.reap(world.context()).state is State.ROLLED_BACK
    assert world.context().ledger.view().confirmed.release.digest == baking[0].digest


# What people are told


def test_status_promote_report_and_explain_say_until_when_and_where_to(world):
    before = world.confirm(1)
    report = promote(world.context(), world.offer(2).digest)
    until = report.baking.until
    assert report.baking.to.manifest == before.digest
    assert f"baking until {until}: an alarm that rings takes traffic back to {before.sha[:12]}" in lines(report)
    document = status(world.context())
    assert (document.baking.until, document.baking.armed, document.baking.fired) == (until, True, {})
    shown = seen(picture(document))
    assert f"until {until}" in shown
    assert before.sha[:12] in shown
    assert until in seen(story_picture(explain(world.context(), None)))
    ends = datetime.fromisoformat(until)
    assert timedelta() < ends - world.now <= timedelta(seconds=BAKE_S)
    assert world.context().bake.ends() - ends < timedelta(seconds=1)


def test_status_says_that_users_get_the_release_before_and_that_reap_is_next(world, baking):
    ring(world)
    document = status(world.context())
    assert document.next_step == "finish what the alarm began: release reap --stack prod"
    assert document.promise.startswith("an alarm has taken traffic back to ")
    assert baking[0].sha[:7] in document.promise
    assert set(document.baking.fired) == set(KEYS)


def test_status_says_when_nothing_is_armed_any_more(world, baking):
    own(world).disarm()
    document = status(world.context())
    assert document.baking.armed is False
    assert "nothing is armed any more" in seen(picture(document))


def test_that_the_cloud_does_not_say_whether_it_is_armed_is_shown(world, baking, monkeypatch):
    monkeypatch.setattr(world.scheduler, "get_schedule", lambda **_: unreachable())
    document = status(world.context())
    assert document.baking.armed is None
    assert "could not be read" in seen(picture(document))


# No bake


def test_the_first_release_does_not_bake_and_says_so(world):
    report = promote(world.context(), world.offer(1).digest)
    assert report.no_bake == "there is no release before this one to go back to"
    assert f"no bake: {report.no_bake}" in lines(report)
    assert not world.events.rules
    assert report.no_bake in seen(picture(status(world.context())))


def test_without_a_length_nothing_bakes_and_that_is_said(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch)  # as most tests do
    world.confirm(1)
    report = promote(world.context(), world.offer(2).digest)
    assert (report.baking, report.no_bake) == (None, "bake_s is 0")
    assert not world.events.rules
    assert "none: bake_s is 0" in seen(picture(status(world.context())))
    ring(world)
    assert len(set(world.live().values()) | {report.manifest}) == 1


def test_where_no_alarm_judges_the_release_nothing_bakes(world):
    world.confirm(1)
    world.alarms = dict.fromkeys(world.alarms, "ALARM")
    world.events.heard = dict(world.alarms)
    from release.ledger.lifecycle import Override

    report = promote(world.context(), world.offer(2).digest, despite=Override(alarms="known", inconclusive="known"))
    assert report.no_bake == "every alarm that judges releases is muted"


def test_a_release_that_leaves_something_to_delete_does_not_bake(world):
    """The deletion follows the confirmation, and the release before needs what is deleted."""
    world.confirm(1)
    confirmed = world.context().ledger.view().confirmed
    told = bake.begin(world.context(), confirmed, [ERRORS], contracts=True)
    assert list(told) == ["no_bake"]
    assert "deleted" in told["no_bake"]
    assert not world.events.rules


# Arming


@pytest.mark.parametrize("call", ["put_rule", "put_targets"])
def test_a_release_whose_bake_cannot_be_armed_is_rolled_back(world, monkeypatch, call):
    before = world.confirm(1)
    monkeypatch.setattr(world.events, call, lambda **_: unreachable())
    with pytest.raises(RolledBack, match="is back on") as rolled_back:
        promote(world.context(), world.offer(2).digest)
    assert "the bake could not be armed" in rolled_back.value.why
    assert set(world.live().values()) == {before.digest}
    assert not armed(world)
    assert not world.scheduler.schedules
    assert "CONFIRMED" not in world.states()[-2:]


def test_a_missing_right_names_the_administrators_command(world, monkeypatch):
    def denied(**_):
        raise client_error("AccessDeniedException")

    monkeypatch.setattr(world.events, "put_rule", denied)
    with pytest.raises(ReleaseError) as refused:
        own(world).arm({"dashboard": "1"}, [ERRORS], world.now + timedelta(hours=1))
    assert "pulumi up --stack prod-foundation" in refused.value.next_step


def test_targets_that_eventbridge_did_not_take_are_an_error(world, monkeypatch):
    failed = {
        "FailedEntryCount": 1,
        "FailedEntries": [{"TargetId": "way-back", "ErrorCode": "X", "ErrorMessage": "no"}],
    }
    monkeypatch.setattr(world.events, "put_targets", lambda **_: failed)
    with pytest.raises(ReleaseError, match="could not be armed"):
        own(world).arm({"dashboard": "1"}, [ERRORS], world.now + timedelta(hours=1))


def test_it_is_armed_before_the_failsafe_is_removed_and_before_the_confirmation_is_written(world):
    world.confirm(1)
    calls = []

    def gate(call, act):
        calls.append(call)
        return world.straight_on(call, act)

    world.gate = gate
    promote(world.context(), world.offer(2).digest)
    (targets,) = [place for place, call in enumerate(calls) if call.startswith("events.put_targets")]
    looks = [place for place, call in enumerate(calls) if call.startswith("cloudwatch.describe_alarms")]
    failsafe = f"scheduler.delete_schedule prod-sentiment-{KEYS[0]}.safety"
    removed = max(place for place, call in enumerate(calls) if call == failsafe)
    assert targets < looks[-1] < removed
    written = [place for place, call in enumerate(calls) if call.startswith("s3.put_object") and "entries" in call]
    assert removed < written[-1]


def test_an_alarm_that_rings_between_the_last_look_and_the_arming_rolls_the_release_back(world):
    before = world.confirm(1)

    def gate(call, act):
        done = world.straight_on(call, act)
        if call == f"scheduler.create_schedule {END}":  # the watch is over, and the rule is not there yet
            ring(world)
        return done

    world.gate = gate
    with pytest.raises(RolledBack) as rolled_back:
        promote(world.context(), world.offer(2).digest)
    assert ERRORS in rolled_back.value.why
    assert set(world.live().values()) == {before.digest}
    assert not armed(world)


def test_an_alarm_that_rings_at_any_call_after_the_arming_never_leaves_users_on_the_release(world):
    """Before the confirmation is written it is rolled back; afterwards `reap` finishes what the alarm began."""
    before = world.confirm(1)
    manifest = world.offer(2)
    saved = world.save()
    ends = set()
    for moment in range(1, 200):
        world.restore(saved)
        calls = []

        def gate(call, act, moment=moment, calls=calls):
            done = world.straight_on(call, act)
            if calls or call == "events.put_targets":
                calls.append(call)
            if len(calls) == moment and world.alarms[ERRORS] == "OK":
                ring(world)
            return done

        world.gate = gate
        try:
            ends.add(promote(world.context(), manifest.digest).state)
        except RolledBack as rolled_back:
            ends.add(rolled_back.report.state)
        world.gate = world.straight_on
        if len(calls) < moment:
            break
        assert set(world.live().values()) == {before.digest}, calls[-1]
        operations.reap(world.context())
        view = world.context().ledger.view()
        assert (view.state, view.confirmed.release.digest) == (State.ROLLED_BACK, before.digest), calls[-1]
    assert moment > 20
    assert ends == {State.CONFIRMED, State.ROLLED_BACK}


# Who ends it


def test_a_newer_release_ends_the_bake_before_it_changes_anything(world, baking):
    manifest, at_change = world.offer(3), []

    def gate(call, act):
        if call.startswith("pulumi.up"):
            at_change.append(armed(world))
        return world.straight_on(call, act)

    world.gate = gate
    promote(world.context(), manifest.digest)
    assert at_change[0] is False
    view = world.context().ledger.view()
    assert view.baking.to.digest == baking[1].digest
    ring(world)
    assert set(world.live().values()) == {baking[1].digest}


def test_a_refusal_leaves_the_bake_armed(world, baking):
    operations.freeze(world.context(), "a holiday", frozen=True)
    with pytest.raises(Refused):
        promote(world.context(), world.offer(3).digest)
    assert armed(world)
    assert world.context().ledger.view().baking is not None


def test_a_release_is_refused_when_the_bake_cannot_be_ended(world, baking, monkeypatch):
    monkeypatch.setattr(world.events, "delete_rule", lambda **_: unreachable())
    with pytest.raises(ReleaseError, match="could not be ended"):
        promote(world.context(), world.offer(3).digest)
    assert set(world.live().values()) == {baking[1].digest}
    assert world.states()[-1] == State.REFUSED


def test_a_rollback_by_hand_ends_the_bake(world, baking):
    report = rollback(world.context(), "previous", "I do not like it")
    assert (report.state, report.to.manifest) == (State.ROLLED_BACK, baking[0].digest)
    assert not world.events.rules
    ring(world)
    assert set(world.live().values()) == {baking[0].digest}


def test_a_rollback_goes_on_where_the_bake_cannot_be_ended_and_says_so(world, baking, monkeypatch):
    monkeypatch.setattr(world.events, "remove_targets", lambda **_: unreachable())
    report = rollback(world.context(), "previous", "I do not like it")
    assert report.state is State.ROLLED_BACK
    assert any("could not be ended" in warning for warning in report.warnings)


def test_a_resumed_release_begins_without_the_rule_that_its_dead_run_had_armed(world):
    world.confirm(1)
    manifest = world.offer(2)

    class Killed(BaseException):
        pass

    def die(call, act):
        done = world.straight_on(call, act)
        if call.startswith("events.put_targets"):
            raise Killed
        return done

    context = world.context()
    world.gate = die
    with pytest.raises(Killed):
        promote(context, manifest.digest)
    world.gate = world.straight_on
    world.dead.add(context.run.id)
    assert armed(world)
    seen_then = []

    def gate(call, act):
        if call.startswith("pulumi.up"):
            seen_then.append(armed(world))
        return world.straight_on(call, act)

    world.gate = gate
    report = resume(world.context())
    assert (report.state, seen_then[0]) == (State.CONFIRMED, False)
    assert report.baking is not None
    assert armed(world)


def test_a_promotion_of_what_has_gone_back_is_refused_and_names_reap(world, baking):
    ring(world)
    with pytest.raises(Refused) as refused:
        promote(world.context(), world.offer(3).digest)
    assert refused.value.rule == "cannot-go-back"
    assert refused.value.next_step == "release reap --stack prod"
    for again in (lambda: promote(world.context(), baking[1].digest), lambda: confirm(world.context())):
        with pytest.raises(ReleaseError) as told:
            again()
        assert told.value.next_step == "release reap --stack prod"


# A person


def test_weights_or_another_version_set_by_hand_are_not_the_bakes(world, baking):
    world.functions.put_alias("prod-sentiment-dashboard", "live", "2", {"1": 0.1})
    assert operations.reap(world.context()).state is State.CONFIRMED
    assert world.context().ledger.view().confirmed.release.digest == baking[1].digest
    assert armed(world)


def test_a_release_that_does_not_bake_is_left_to_a_person_who_has_moved_it(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch)
    world.confirm(1, 2)
    for key in KEYS:
        world.functions.put_alias(f"prod-sentiment-{key}", "live", "1")
    assert operations.reap(world.context()).nothing_to_do
    assert world.context().ledger.view().state is State.CONFIRMED


VERSIONS = st.sampled_from(["1", "2", "3"])


@given(
    there=st.dictionaries(
        st.sampled_from(KEYS), st.builds(Alias, VERSIONS, st.sampled_from([{}, {"9": 0.1}]), st.just(""))
    )
)
def test_only_traffic_between_the_two_releases_alone_is_taken_for_the_way_back(there):
    found = gone_back(there, dict.fromkeys(KEYS, "2"), dict.fromkeys(KEYS, "1"))
    alone = set(there) == set(KEYS) and not any(alias.weights for alias in there.values())
    between = alone and {alias.version for alias in there.values()} <= {"1", "2"}
    assert set(found) == ({key for key, alias in there.items() if alias.version == "1"} if between else set())


# What AWS is asked


class Recorded:
    """A client whose calls are checked against boto3's own description of the service."""

    def __init__(self, service):
        self.calls, self._model = [], botocore.session.get_session().get_service_model(service)
        self.meta = type("Meta", (), {"region_name": "eu-west-1"})

    def __getattr__(self, name):
        operation = "".join(word.title() for word in name.split("_"))

        def call(**request):
            validate_parameters(request, self._model.operation_model(operation).input_shape)
            self.calls.append((operation, request))
            return {}

        return call


def test_the_calls_are_those_that_aws_takes():
    events, scheduler = Recorded("events"), Recorded("scheduler")
    own_bake = Bake("prod", events, scheduler, lambda: ACCOUNT)
    until = datetime.now(UTC) + timedelta(hours=1)
    stable = dict.fromkeys(KEYS, "7")
    own_bake.arm(stable, [ERRORS], until)
    own_bake.disarm()
    assert [name for name, _ in events.calls] == ["PutRule", "PutTargets", "RemoveTargets", "DeleteRule"]
    assert [name for name, _ in scheduler.calls] == ["CreateSchedule", "DeleteSchedule"]
    pattern = json.loads(events.calls[0][1]["EventPattern"])
    assert pattern["resources"] == [f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:{ERRORS}"]
    (target,) = events.calls[1][1]["Targets"]
    assert json.loads(target["Input"]) == [
        {"FunctionName": f"prod-sentiment-{key}", "FunctionVersion": "7"} for key in sorted(KEYS)
    ]
    schedule = scheduler.calls[0][1]
    assert schedule["Target"]["Arn"] == "arn:aws:scheduler:::aws-sdk:eventbridge:disableRule"
    model = botocore.session.get_session().get_service_model("events")
    validate_parameters(json.loads(schedule["Target"]["Input"]), model.operation_model("DisableRule").input_shape)


def test_a_run_that_has_lost_the_lease_changes_nothing():
    events, scheduler = Recorded("events"), Recorded("scheduler")

    def lost():
        raise LeaseLost("lost")

    lost_bake = Bake("prod", events, scheduler, lambda: ACCOUNT, lost)
    for change in (lambda: lost_bake.arm({"dashboard": "1"}, [ERRORS], datetime.now(UTC)), lost_bake.disarm):
        with pytest.raises(LeaseLost):
            change()
    assert events.calls == scheduler.calls == []


def test_a_rule_that_somebody_else_changes_at_this_moment_is_tried_again():
    tries = []

    class Busy(Recorded):
        def remove_targets(self, **_):
            tries.append(1)
            if len(tries) < 3:
                raise ClientError(
                    {"Error": {"Code": "ConcurrentModificationException", "Message": ""}}, "RemoveTargets"
                )
            return {"FailedEntryCount": 0, "FailedEntries": []}

    Bake("prod", Busy("events"), Recorded("scheduler"), lambda: ACCOUNT).disarm()
    assert len(tries) == 3
