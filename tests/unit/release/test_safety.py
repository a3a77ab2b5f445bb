# ruff: noqa: N803 -- the arguments are named as boto3 names them
"""The traffic safety net: what is set, replaced and removed, and what happens when AWS refuses."""

import json
from datetime import UTC, datetime, timedelta, timezone

import botocore.session
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.validate import validate_parameters
from hypothesis import given
from hypothesis import strategies as st

from components.service.functions import KEYS
from release.clients.aws import Aws
from release.errors import ReleaseError
from release.traffic.failsafe import Failsafe

ACCOUNT = "123456789012"
MODEL = botocore.session.get_session().get_service_model("scheduler")
STABLE = {key: str(version) for version, key in enumerate(sorted(KEYS), 4)}


class MemoryScheduler:
    """Schedules by name. Every call is checked against boto3's own description of the service."""

    def __init__(self):
        self.schedules = {}
        self.calls = []
        self.before = lambda operation, name: None

    def _ask(self, operation, request):
        validate_parameters(request, MODEL.operation_model(operation).input_shape)
        self.calls.append((operation, request["Name"]))
        self.before(operation, request["Name"])
        return request["Name"]

    def create_schedule(self, **request):
        if self._ask("CreateSchedule", request) in self.schedules:
            raise refusal("ConflictException", "CreateSchedule")
        self.schedules[request["Name"]] = request
        return {"ScheduleArn": "arn"}

    def update_schedule(self, **request):
        if self._ask("UpdateSchedule", request) not in self.schedules:
            raise refusal("ResourceNotFoundException", "UpdateSchedule")
        self.schedules[request["Name"]] = request
        return {"ScheduleArn": "arn"}

    def get_schedule(self, *, Name, GroupName):
        if self._ask("GetSchedule", {"Name": Name, "GroupName": GroupName}) not in self.schedules:
            raise refusal("ResourceNotFoundException", "GetSchedule")
        return self.schedules[Name]

    def delete_schedule(self, *, Name, GroupName):
        if self._ask("DeleteSchedule", {"Name": Name, "GroupName": GroupName}) not in self.schedules:
            raise refusal("ResourceNotFoundException", "DeleteSchedule")
        del self.schedules[Name]
        return {}


def refusal(code, operation, message="no"):
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.fixture
def scheduler():
    return MemoryScheduler()


@pytest.fixture
def safety(scheduler):
    return Failsafe("prod", scheduler, lambda: ACCOUNT)


def soon(**more):
    return datetime.now(UTC) + timedelta(hours=1, **more)


def name_of(function):
    return f"prod-sentiment-{function}.safety"


def test_each_function_gets_one_schedule_that_moves_live_to_stable_without_weights_and_then_goes(safety, scheduler):
    deadline = soon().replace(microsecond=0)
    safety.set(STABLE, deadline)
    assert set(scheduler.schedules) == {name_of(function) for function in STABLE}
    for function, version in STABLE.items():
        schedule = scheduler.schedules[name_of(function)]
        target = schedule["Target"]
        assert target["Arn"] == "arn:aws:scheduler:::aws-sdk:lambda:updateAlias"
        assert target["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/prod-sentiment-safety"
        assert json.loads(target["Input"]) == {
            "FunctionName": f"prod-sentiment-{function}",
            "Name": "live",
            "FunctionVersion": version,
            "RoutingConfig": {"AdditionalVersionWeights": {}},
        }
        assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
        assert schedule["ActionAfterCompletion"] == "DELETE"
        assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
        assert schedule["ScheduleExpressionTimezone"] == "UTC"
        assert schedule["State"] == "ENABLED"


def test_the_input_is_a_call_that_lambda_takes(safety, scheduler):
    safety.set(STABLE, soon())
    model = botocore.session.get_session().get_service_model("lambda")
    for schedule in scheduler.schedules.values():
        validate_parameters(json.loads(schedule["Target"]["Input"]), model.operation_model("UpdateAlias").input_shape)


def test_setting_again_replaces_version_and_deadline_and_may_be_repeated(safety, scheduler):
    later = soon(minutes=5).replace(microsecond=0)
    safety.set(STABLE, soon())
    for _ in range(2):
        safety.set(STABLE | {"analysis": "9"}, later)
        assert json.loads(scheduler.schedules[name_of("analysis")]["Target"]["Input"])["FunctionVersion"] == "9"
        assert safety.pending(STABLE) == dict.fromkeys(STABLE, later)


@given(
    offset=st.timedeltas(min_value=timedelta(minutes=1), max_value=timedelta(days=300)),
    zone=st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_a_deadline_in_any_time_zone_is_kept_to_the_second_and_never_early(offset, zone):
    safety = Failsafe("prod", MemoryScheduler(), lambda: ACCOUNT)
    deadline = (datetime.now(UTC) + offset).astimezone(zone)
    safety.set({"analysis": "4"}, deadline)
    found = safety.pending(["analysis"])["analysis"]
    assert found.tzinfo is UTC
    assert timedelta(0) <= found - deadline < timedelta(seconds=1)


@pytest.mark.parametrize("ago", [timedelta(seconds=2), timedelta(days=1)])
def test_a_deadline_that_has_passed_is_refused_before_anything_is_set(safety, scheduler, ago):
    with pytest.raises(ReleaseError, match="lie in the past") as caught:
        safety.set(STABLE, datetime.now(UTC) - ago)
    assert "UTC" in caught.value.why
    assert scheduler.calls == []


def test_a_deadline_without_a_time_zone_is_no_deadline(safety, scheduler):
    with pytest.raises(ValueError, match="needs a time zone"):
        safety.set(STABLE, datetime.now())  # noqa: DTZ005 - that is the point
    assert scheduler.calls == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "ValidationException",
            "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
        ),
        ("AccessDeniedException", "not authorized to perform: iam:PassRole"),
    ],
)
def test_a_lacking_role_or_right_names_the_administrators_command(safety, scheduler, code, message):
    def refuse(operation, name):
        raise refusal(code, operation, message)

    scheduler.before = refuse
    with pytest.raises(ReleaseError, match="must not be moved") as caught:
        safety.set(STABLE, soon())
    assert message in caught.value.why
    assert "prod-sentiment-safety" in caught.value.next_step
    assert "pulumi up --stack prod-foundation" in caught.value.next_step


def test_a_scheduler_that_cannot_be_reached_is_an_error_for_every_call(safety, scheduler):
    def away(operation, name):
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    scheduler.before = away
    for call in (
        lambda: safety.set(STABLE, soon()),
        lambda: safety.remove(STABLE),
        lambda: safety.pending(STABLE),
    ):
        with pytest.raises(ReleaseError, match="could not be") as caught:
            call()
        assert "127.0.0.1" in caught.value.why


def test_a_schedule_that_fires_while_it_is_replaced_is_made_anew(safety, scheduler):
    safety.set({"analysis": "4"}, soon())

    def fire(operation, name):
        if operation == "UpdateSchedule":
            scheduler.schedules.pop(name, None)

    scheduler.before = fire
    deadline = soon(minutes=1).replace(microsecond=0)
    safety.set({"analysis": "5"}, deadline)
    assert safety.pending(["analysis"]) == {"analysis": deadline}


def test_a_schedule_that_keeps_being_changed_is_an_error_and_no_endless_loop(safety, scheduler):
    def busy(operation, name):
        raise refusal("ConflictException", operation)

    scheduler.before = busy
    for call in (lambda: safety.set({"analysis": "4"}, soon()), lambda: safety.remove(["analysis"])):
        scheduler.calls.clear()
        with pytest.raises(ReleaseError, match="could not be"):
            call()
        assert 1 < len(scheduler.calls) < 10


def test_removing_takes_what_is_there_and_does_not_miss_what_is_not(safety, scheduler):
    safety.set({"analysis": "4", "dashboard": "5"}, soon())
    safety.remove(STABLE)
    safety.remove(STABLE)
    assert scheduler.schedules == {}
    assert safety.pending(STABLE) == {}


def test_removing_goes_on_after_a_failure_and_names_what_would_still_fire(safety, scheduler):
    safety.set(STABLE, soon())

    def refuse(operation, name):
        if operation == "DeleteSchedule" and name == name_of("analysis"):
            raise refusal("AccessDeniedException", operation)

    scheduler.before = refuse
    with pytest.raises(ReleaseError, match=r"prod-sentiment-analysis\.safety could not be removed"):
        safety.remove(STABLE)
    assert list(scheduler.schedules) == [name_of("analysis")]


def test_what_would_not_fire_is_not_pending(safety, scheduler):
    safety.set(STABLE, soon())
    scheduler.schedules[name_of("analysis")]["State"] = "DISABLED"
    assert set(safety.pending(STABLE)) == {"dashboard", "ingestion"}


@pytest.mark.parametrize(
    "changed",
    [
        {"ScheduleExpression": "rate(1 minute)"},
        {"ScheduleExpression": "at(tomorrow)"},
        {"ScheduleExpressionTimezone": "Europe/Berlin"},
    ],
)
def test_a_schedule_of_somebody_else_under_our_name_is_named_and_not_read_as_a_deadline(safety, scheduler, changed):
    safety.set(STABLE, soon())
    scheduler.schedules[name_of("dashboard")] |= changed
    with pytest.raises(ReleaseError, match=r"prod-sentiment-dashboard\.safety is not the one-time schedule"):
        safety.pending(STABLE)


def test_the_account_is_asked_of_aws_and_a_silence_is_explained(monkeypatch):
    class Identity:
        def get_caller_identity(self):
            raise refusal("ExpiredToken", "GetCallerIdentity", "the token has expired")

    aws = Aws()
    monkeypatch.setattr(aws, "identity", Identity())
    with pytest.raises(ReleaseError, match="which account") as caught:
        aws.account()
    assert "the token has expired" in caught.value.why
