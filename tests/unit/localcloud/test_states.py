"""State machines of the local cloud: what is read and refused, what is called, and what starts them."""

import copy
import json
from collections.abc import Callable
from concurrent.futures import Executor
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from components import way_back
from localcloud.alarms.events import Bus
from localcloud.schedules.states import DefinitionError, ExecutionError, parse, run

WAY_BACK = json.dumps(way_back.definition())
TWO = [{"FunctionName": "a", "FunctionVersion": "1"}, {"FunctionName": "b", "FunctionVersion": "7"}]
NO_WEIGHTS = {"AdditionalVersionWeights": {}}


class Lambda:
    """Takes UpdateAlias; `fails` says of each call whether and how it fails."""

    meta = SimpleNamespace(method_to_api_mapping={"update_alias": "UpdateAlias"})

    def __init__(self, fails: Callable = lambda function, number: None):
        self.fails, self.calls, self.moved = fails, [], {}

    def update_alias(self, **request):
        self.calls.append(request["FunctionName"])
        if error := self.fails(request["FunctionName"], self.calls.count(request["FunctionName"])):
            raise error
        self.moved[request["FunctionName"]] = request


def throttled():
    return ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "no"}}, "UpdateAlias")


def test_the_way_back_puts_live_of_each_function_on_its_version_without_weights():
    functions = Lambda()
    run(parse(WAY_BACK), TWO, lambda service: {"lambda": functions}[service])
    assert functions.moved == {
        "a": {"FunctionName": "a", "Name": "live", "FunctionVersion": "1", "RoutingConfig": NO_WEIGHTS},
        "b": {"FunctionName": "b", "Name": "live", "FunctionVersion": "7", "RoutingConfig": NO_WEIGHTS},
    }


def test_a_call_that_fails_is_repeated_with_longer_and_longer_waits_and_the_others_are_made_at_once():
    functions, waited = Lambda(lambda function, number: throttled() if function == "a" and number < 4 else None), []
    run(parse(WAY_BACK), TWO, lambda _: functions, scale=10, sleep=waited.append)
    assert functions.calls == ["a", "b", "a", "a", "a"]
    assert waited == [0.1, 0.2, 0.4]
    assert set(functions.moved) == {"a", "b"}


def test_an_execution_that_fails_for_good_has_moved_what_it_could_and_says_what_is_left():
    functions, waited = Lambda(lambda function, _: throttled() if function == "a" else None), []
    with pytest.raises(ExecutionError, match=r"'a'.*TooManyRequestsException"):
        run(parse(WAY_BACK), TWO, lambda _: functions, sleep=waited.append)
    assert set(functions.moved) == {"b"}
    assert (len(waited), sum(waited)) == (10, 303)


@pytest.mark.parametrize("given", [{}, "text", [{"FunctionName": "a"}], ["a"]])
def test_an_input_that_does_not_fit_is_an_error(given):
    with pytest.raises(ExecutionError):
        run(parse(WAY_BACK), given, lambda _: Lambda())


def changed(path, value=None):
    """The way back's definition with one place changed; `None`: taken out."""
    definition = copy.deepcopy(way_back.definition())
    place = definition
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(definition)


EACH = ("States", "EachFunction")
MOVE = (*EACH, "ItemProcessor", "States", "PutBack")


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        ("{", "no JSON"),
        ("[]", "must be an object"),
        (changed(("StartAt",)), "needs StartAt"),
        (changed(("StartAt",), "Other"), "one state"),
        (changed(("TimeoutSeconds",), 5), "TimeoutSeconds, which is not run"),
        (changed((*EACH, "Type"), "Parallel"), "'Parallel' are not run"),
        (changed((*EACH, "MaxConcurrency"), 1), "MaxConcurrency, which is not run"),
        (changed((*EACH, "ItemProcessor"), 5), "must be an object"),
        (changed((*EACH, "ItemProcessor", "ProcessorConfig"), {"Mode": "DISTRIBUTED"}), "only inline"),
        (changed((*EACH, "End"), False), "End: true"),
        (changed((*MOVE, "Type"), "Wait"), "only Task"),
        (changed((*MOVE, "Catch"), []), "Catch, which is not run"),
        (changed((*MOVE, "Resource"), "arn:aws:states:::lambda:invoke"), "only operations of AWS's SDK"),
        (changed((*MOVE, "Parameters", "Name.$"), "States.Format('x')"), "one field of the input"),
        (changed((*MOVE, "Retry"), []), "one retrier"),
        (changed((*MOVE, "Retry", 0, "ErrorEquals"), ["States.Timeout"]), "one retrier"),
        (changed((*MOVE, "Retry", 0, "JitterStrategy"), "FULL"), "JitterStrategy, which is not run"),
        (changed((*MOVE, "Retry", 0, "MaxAttempts"), "many"), "takes numbers"),
    ],
)
def test_whatever_is_not_run_here_is_refused_in_words(definition, why):
    with pytest.raises(DefinitionError, match=why):
        parse(definition)


# --- the bus


class AtOnce(Executor):
    """Runs what is submitted before it returns."""

    def submit(self, fn, /, *args, **kwargs):
        fn(*args, **kwargs)


class Cloud:
    """Rules with their targets, one state machine, and Lambda."""

    def __init__(self, *rules, targets=None, definition=WAY_BACK):
        self.functions = Lambda()
        machine = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
        listed = targets or [{"Id": "it", "Arn": machine, "RoleArn": "r", "Input": json.dumps(TWO)}]
        pages = SimpleNamespace(paginate=lambda: [{"Rules": [rule]} for rule in rules])
        events = SimpleNamespace(
            get_paginator=lambda _: pages,
            list_targets_by_rule=lambda Rule: {"Targets": listed},  # noqa: N803
        )
        states = SimpleNamespace(describe_state_machine=lambda stateMachineArn: {"definition": definition})  # noqa: N803
        self.clients = {"events": events, "stepfunctions": states, "lambda": self.functions}.__getitem__


def rule(state="ENABLED", **pattern):
    wanted = {"source": ["aws.cloudwatch"], "resources": ["alarm-1"], "detail": {"state": {"value": ["ALARM"]}}}
    return {"Name": "bake", "State": state, "EventPattern": json.dumps(wanted | pattern)}


EVENT = {"source": "aws.cloudwatch", "resources": ["alarm-1"], "detail": {"state": {"value": "ALARM"}}}


def test_an_event_that_a_rule_waits_for_runs_its_state_machine_with_the_constant_input():
    cloud = Cloud(rule())
    Bus(cloud.clients, executor=AtOnce()).send(EVENT)
    assert {name: request["FunctionVersion"] for name, request in cloud.functions.moved.items()} == {"a": "1", "b": "7"}


@pytest.mark.parametrize(
    ("waiting", "event"),
    [
        (rule("DISABLED"), EVENT),
        (rule(), EVENT | {"detail": {"state": {"value": "OK"}}}),
        (rule(), EVENT | {"resources": ["alarm-2"]}),
        (rule(), EVENT | {"source": "aws.s3"}),
    ],
)
def test_any_other_event_starts_nothing(waiting, event):
    cloud = Cloud(waiting)
    Bus(cloud.clients, executor=AtOnce()).send(event)
    assert cloud.functions.calls == []


@pytest.mark.parametrize(
    "cloud",
    [
        Cloud(rule(), targets=[{"Id": "it", "Arn": "arn:aws:lambda:us-east-1:123456789012:function:f"}]),
        Cloud(rule(), definition="{}"),
    ],
)
def test_a_target_that_is_not_started_here_is_an_error_in_the_log(cloud, caplog):
    Bus(cloud.clients, executor=AtOnce()).send(EVENT)
    assert cloud.functions.calls == []
    assert "bake" in caplog.text


def test_a_service_that_does_not_answer_is_told_to_who_sends():
    def away(_):
        raise EndpointConnectionError(endpoint_url="http://events.test")

    with pytest.raises(EndpointConnectionError):
        Bus(away).send(EVENT)
