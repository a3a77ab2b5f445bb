"""Schedules: what an expression means, what is called, and when. The clock and the cloud are plain objects here."""

import json
import logging
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import assume, given
from hypothesis import strategies as st

from localcloud.schedules.expressions import At, Cron, ExpressionError, Rate, parse
from localcloud.schedules.runner import Runner
from localcloud.schedules.targets import Firing

ARN = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/{}"
LIVE = "arn:aws:lambda:us-east-1:123456789012:function:f:live"
START = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


# --- expressions -----------------------------------------------------------------------------------------------------


@given(st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2090, 1, 1)))  # noqa: DTZ001 - hypothesis's way
def test_a_one_time_schedule_is_a_moment(moment):
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    assert parse(f"at({moment:%Y-%m-%dT%H:%M:%S})") == At(moment)


@pytest.mark.parametrize(
    ("expression", "interval"),
    [
        ("rate(1 minute)", timedelta(minutes=1)),
        ("rate(15 minutes)", timedelta(minutes=15)),
        ("rate(2 hours)", timedelta(hours=2)),
        ("rate(7 days)", timedelta(days=7)),
    ],
)
def test_a_rate_is_an_interval(expression, interval):
    assert parse(expression) == Rate(interval)


def test_a_calendar_expression_is_known_as_one():
    assert parse("cron(0 6 * * ? *)") == Cron("cron(0 6 * * ? *)")


@given(st.text(max_size=40))
def test_any_other_text_is_refused_in_words(text):
    assume(not text.startswith(("rate(", "cron(")))
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert text in str(caught.value)


# --- payloads --------------------------------------------------------------------------------------------------------


def described(name="s", expression="rate(1 minute)", target=None, **more):
    return {
        "Arn": ARN.format(name),
        "Name": name,
        "GroupName": "default",
        "State": "ENABLED",
        "ScheduleExpression": expression,
        "ScheduleExpressionTimezone": "UTC",
        "LastModificationDate": START,
        "Target": {"Arn": LIVE, **(target or {})},
        **more,
    }


def test_without_an_input_a_function_gets_the_schedulers_own_event():
    event = json.loads(Firing(described(), START, 1).payload)
    assert event["source"] == "aws.scheduler"
    assert event["detail-type"] == "Scheduled Event"
    assert event["resources"] == [ARN.format("s")]
    assert (event["account"], event["region"], event["time"]) == ("123456789012", "us-east-1", "2026-05-01T12:00:00Z")


def test_context_attributes_are_filled_in():
    given_input = '{"at": "<aws.scheduler.scheduled-time>", "try": <aws.scheduler.attempt-number>}'
    firing = Firing(described(target={"Input": given_input}), START, 2)
    assert json.loads(firing.payload) == {"at": "2026-05-01T12:00:00Z", "try": 2}


# --- the runner ------------------------------------------------------------------------------------------------------


class AtOnce(Executor):
    """Runs what is submitted before it returns."""

    def submit(self, fn, /, *args, **kwargs):
        fn(*args, **kwargs)


class World:
    """A clock, schedules, and everything that was called."""

    def __init__(self):
        self.now = START.timestamp()
        self.schedules = {}
        self.invoked, self.aliases, self.buried = [], [], []
        self.failures = []
        self.before_call = lambda: None
        scheduler = SimpleNamespace(
            get_paginator=lambda _: SimpleNamespace(
                paginate=lambda: [{"Schedules": [dict(one) for one in self.schedules.values()]}]
            ),
            get_schedule=self.get_schedule,
            delete_schedule=lambda GroupName, Name: self.schedules.pop(Name),  # noqa: N803 - boto3's names
        )
        functions = SimpleNamespace(
            meta=SimpleNamespace(method_to_api_mapping={"update_alias": "UpdateAlias", "invoke": "Invoke"}),
            invoke=self.target(self.invoked),
            update_alias=self.target(self.aliases),
        )
        queues = SimpleNamespace(
            get_queue_url=lambda QueueName: {"QueueUrl": f"url-of-{QueueName}"},  # noqa: N803 - boto3's names
            send_message=lambda **message: self.buried.append(message),
        )
        self.clients = {"scheduler": scheduler, "lambda": functions, "sqs": queues}

    def target(self, calls):
        def take(**request):
            self.before_call()
            if self.failures:
                raise self.failures.pop(0)
            calls.append((self.now, request))

        return take

    def get_schedule(self, GroupName, Name):  # noqa: N803 - boto3's names
        if Name not in self.schedules:
            raise failure("ResourceNotFoundException", 404)
        return dict(self.schedules[Name])

    def put(self, name="s", **settings):
        self.schedules[name] = described(name, **settings)

    def runner(self, scale=1.0, tries=3):
        return Runner(self.clients.__getitem__, scale, lambda: self.now, [0.0] * tries, AtOnce())

    def pass_at(self, runner, *seconds):
        """Make a pass at each of these moments after the start."""
        for second in seconds:
            self.now = START.timestamp() + second
            runner.run_once()


@pytest.fixture
def world():
    return World()


def failure(code, status=500):
    return ClientError(
        {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Call"
    )


def safety(**more):
    """A schedule as the releaser sets it, due 10 seconds after the start."""
    target = {"Arn": "arn:aws:scheduler:::aws-sdk:lambda:updateAlias", "Input": '{"Name": "live"}'}
    return {"expression": "at(2026-05-01T12:00:10)", "target": target, "ActionAfterCompletion": "DELETE", **more}


def test_a_one_time_schedule_fires_once_at_its_time_and_goes(world):
    world.put(**safety())
    runner = world.runner()
    world.pass_at(runner, 0, 9.9)
    assert world.aliases == []
    world.pass_at(runner, 10, 10.5, 60)
    assert [request for _, request in world.aliases] == [{"Name": "live"}]
    assert world.schedules == {}


def test_a_one_time_schedule_that_wants_to_stay_stays_and_does_not_fire_again(world):
    world.put(**safety(ActionAfterCompletion="NONE"))
    world.pass_at(world.runner(), 0, 10, 20, 30)
    assert len(world.aliases) == 1
    assert list(world.schedules) == ["s"]


def test_the_time_of_a_one_time_schedule_is_not_scaled(world):
    world.put(**safety())
    world.pass_at(world.runner(scale=60), 0, 1, 9)
    assert world.aliases == []


def test_a_pause_ends_when_the_next_schedule_is_due(world):
    world.put(**safety())
    runner = world.runner()
    assert runner.pause(0.5) == 0.5
    world.pass_at(runner, 0)
    assert runner.pause(60) == pytest.approx(10)
    world.now += 9.8
    assert runner.pause(0.5) == pytest.approx(0.2)


def test_a_schedule_that_is_removed_between_the_look_and_its_time_does_nothing(world):
    world.put(**safety())
    runner = world.runner()
    world.pass_at(runner, 0)
    listed = world.clients["scheduler"].get_paginator

    def lists_then_it_goes(operation):
        pages = listed(operation).paginate()
        world.schedules.clear()
        return SimpleNamespace(paginate=lambda: pages)

    world.clients["scheduler"].get_paginator = lists_then_it_goes
    world.pass_at(runner, 10)
    assert world.aliases == []


def test_a_schedule_that_is_set_anew_fires_at_its_new_time_with_its_new_input(world):
    world.put(**safety())
    runner = world.runner()
    world.pass_at(runner, 0)
    later = safety(expression="at(2026-05-01T12:00:20)", LastModificationDate=START + timedelta(seconds=5))
    later["target"]["Input"] = '{"Name": "other"}'
    world.put(**later)
    world.pass_at(runner, 10)
    assert world.aliases == []
    world.pass_at(runner, 20)
    assert [request for _, request in world.aliases] == [{"Name": "other"}]


def test_a_schedule_that_is_set_anew_while_it_fires_is_not_removed(world):
    world.put(**safety())
    anew = safety(expression="at(2026-05-01T13:00:00)", LastModificationDate=START + timedelta(seconds=10))
    world.before_call = lambda: world.put(**anew)
    world.pass_at(world.runner(), 0, 10, 11)
    assert len(world.aliases) == 1
    assert world.schedules["s"]["ScheduleExpression"] == "at(2026-05-01T13:00:00)"


def test_a_one_time_schedule_whose_time_came_while_nobody_looked_still_fires(world):
    world.put(**safety())
    world.pass_at(world.runner(), 300)
    assert len(world.aliases) == 1


def test_a_rate_fires_after_a_whole_interval_and_then_at_every_one(world):
    world.put(expression="rate(1 minute)")
    world.pass_at(world.runner(), 0, 59, 60, 61, 119, 120, 180)
    assert [at - START.timestamp() for at, _ in world.invoked] == [60, 120, 180]
    assert all(request["FunctionName"] == LIVE for _, request in world.invoked)
    assert all(request["InvocationType"] == "Event" for _, request in world.invoked)


def test_the_clock_divides_the_interval_of_a_rate(world):
    world.put(expression="rate(15 minutes)")
    world.pass_at(world.runner(scale=60), 0, 14, 15, 29, 30)
    assert [at - START.timestamp() for at, _ in world.invoked] == [15, 30]


def test_one_run_makes_up_for_all_that_were_missed(world):
    world.put(expression="rate(1 minute)")
    world.pass_at(world.runner(), 0, 605, 606, 659, 660)
    assert [at - START.timestamp() for at, _ in world.invoked] == [605, 660]


def test_a_disabled_schedule_does_not_fire(world):
    world.put(State="DISABLED")
    world.put("once", **safety(State="DISABLED"))
    world.pass_at(world.runner(), 0, 60, 120)
    assert (world.invoked, world.aliases) == ([], [])


@pytest.mark.parametrize("expression", ["cron(0 6 * * ? *)", "whenever"])
def test_a_schedule_that_cannot_be_fired_here_is_named_once(world, caplog, expression):
    world.put(expression=expression)
    world.pass_at(world.runner(), 0, 60, 120)
    assert world.invoked == []
    assert [record.message for record in caplog.records].count(caplog.records[0].message) == 1
    assert f"default/s is not fired: {expression}" in caplog.text.replace("Invalid Schedule Expression ", "")


@pytest.mark.parametrize(
    "error",
    [failure("ServiceException"), failure("ResourceConflictException", 409), EndpointConnectionError(endpoint_url="x")],
)
def test_a_call_that_fails_is_made_again_and_the_log_says_so(world, caplog, error):
    caplog.set_level(logging.INFO)
    world.put(**safety())
    world.failures = [error, error]
    world.pass_at(world.runner(), 0, 10)
    assert len(world.aliases) == 1
    assert world.schedules == {}
    assert "call 1 failed" in caplog.text
    assert "call 2 failed" in caplog.text


def test_after_the_last_try_it_is_given_up_and_left_in_the_dead_letter_queue(world, caplog):
    once = safety()
    once["target"] |= {"DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:123456789012:letters"}}
    world.put(**once)
    world.failures = [failure("ServiceException")] * 9
    world.pass_at(world.runner(tries=2), 0, 10, 11)
    assert len(world.failures) == 6
    assert world.aliases == []
    assert world.schedules == {}
    assert "gave up after 3 calls" in caplog.text
    (letter,) = world.buried
    assert letter["QueueUrl"] == "url-of-letters"
    assert letter["MessageBody"] == '{"Name": "live"}'
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "ServiceException"


def test_a_retry_policy_may_allow_fewer_tries(world):
    once = safety()
    once["target"] |= {"RetryPolicy": {"MaximumRetryAttempts": 0}}
    world.put(**once)
    world.failures = [failure("ServiceException")] * 9
    world.pass_at(world.runner(tries=3), 0, 10)
    assert len(world.failures) == 8


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({"Arn": "arn:aws:sqs:us-east-1:123456789012:queue"}, "calls functions and aws-sdk operations"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:lambda:moveAlias"}, "lambda has no operation moveAlias"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:lambda:updateAlias", "Input": "{"}, "the input is no JSON"),
    ],
)
def test_a_target_that_can_never_be_called_is_tried_once_and_named(world, caplog, target, says):
    world.put(**safety(target=target))
    world.pass_at(world.runner(), 0, 10)
    assert f"gave up after 1 calls: {says}" in caplog.text.replace("the local scheduler ", "")


def test_a_refusal_for_good_is_not_tried_again(world):
    world.put(**safety())
    world.failures = [failure("ResourceNotFoundException", 404)] * 5
    world.pass_at(world.runner(), 0, 10)
    assert len(world.failures) == 4


def test_one_broken_schedule_does_not_keep_the_others_from_firing(world):
    world.put("broken", **safety(target={"Arn": "nonsense"}))
    world.put("whole", **safety())
    world.pass_at(world.runner(), 0, 10)
    assert len(world.aliases) == 1
