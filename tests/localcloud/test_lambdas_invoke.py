"""Invocations: the sandbox, its limits and errors, events with retries and dead letters, concurrency."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.localcloud.lambdas_cloud import Cloud, cloud_fixture, zipped  # noqa: F401
from tests.localcloud.parts import ROOT, wait_until

LOOK = """
import os, sys, time

def handle(event, context):
    print("looked")
    return {
        "environment": dict(os.environ),
        "path": sys.path,
        "pid": os.getpid(),
        "arn": context.invoked_function_arn,
        "left": context.get_remaining_time_in_millis(),
        "request": context.aws_request_id,
        "memory": context.memory_limit_in_mb,
        "stdin": sys.stdin.read(),
    }
"""
FAIL = """
def handle(event, context):
    raise ValueError("no good: " + event.get("id", ""))
"""
COUNT = """
import os, pathlib

def handle(event, context):
    with open(event["file"], "a") as file:
        file.write(context.function_version + "\\n")
    if len(open(event["file"]).readlines()) <= event["failures"]:
        raise ValueError("not yet")
"""


def attempts(path) -> int:
    return len(path.read_text().split()) if path.exists() else 0


def dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# The sandbox


def test_a_sandbox_sees_its_own_settings_and_the_local_cloud_and_nothing_of_the_host(cloud: Cloud):
    name = cloud.make(LOOK, Environment={"Variables": {"STAGE": "preprod"}}, MemorySize=256, Timeout=9)
    cloud.lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    seen, response = cloud.invoke(name, Qualifier="live")
    environment = seen["environment"]
    assert environment["STAGE"] == "preprod"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert environment["AWS_LAMBDA_FUNCTION_VERSION"] == "1"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["AWS_ENDPOINT_URL"] == cloud.moto
    assert environment["AWS_ENDPOINT_URL_LAMBDA"] == cloud.service.url
    assert environment["AWS_REGION"] == "us-east-1"
    assert not {"HOST_SECRET", "HOME", "VIRTUAL_ENV", "LOCALCLOUD_PARENT_WATCH"} & environment.keys()
    assert not [one for one in seen["path"] if "site-packages" in one or one == "" or one.startswith(str(ROOT))]
    assert seen["path"][0] == environment["LAMBDA_TASK_ROOT"]
    assert seen["arn"].endswith(f"{name}:live")
    assert seen["request"] == response["ResponseMetadata"]["RequestId"]
    assert 8000 < seen["left"] <= 9000
    assert seen["memory"] in (256, "256")
    assert seen["stdin"] == ""
    assert response["ExecutedVersion"] == "1"


@pytest.mark.parametrize("module", ["boto3", "fastapi", "moto", "localcloud"])
def test_packages_of_the_project_are_not_importable(cloud: Cloud, module: str):
    answer, response = cloud.invoke(cloud.make(f"import {module}\ndef handle(e, c): pass"))
    assert response["FunctionError"] == "Unhandled"
    assert answer["errorType"] == "Runtime.ImportModuleError"
    assert f"No module named '{module}'" in answer["errorMessage"]


def test_modules_of_the_package_are_importable_and_the_same_sandbox_is_used_again(cloud: Cloud):
    name = cloud.make()
    cloud.lambdas.update_function_code(
        FunctionName=name,
        ZipFile=zipped("import os, own\ndef handle(e, c): return [own.VALUE, os.getpid()]", own="VALUE = 7"),
    )
    first, second = cloud.invoke(name)[0], cloud.invoke(name)[0]
    assert first == second
    assert first[0] == 7


def test_versions_settings_and_functions_never_share_a_sandbox(cloud: Cloud):
    name = cloud.make(LOOK, Environment={"Variables": {"STAGE": "1"}})
    latest, one = cloud.invoke(name)[0], cloud.invoke(name, Qualifier="1")[0]
    assert latest["pid"] != one["pid"]
    cloud.lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": {"STAGE": "2"}})
    changed = cloud.invoke(name)[0]
    assert (changed["environment"]["STAGE"], changed["pid"] != latest["pid"]) == ("2", True)
    wait_until(lambda: dead(latest["pid"]), 5)
    assert cloud.invoke(name, Qualifier="1")[0]["pid"] == one["pid"]
    cloud.lambdas.delete_function(FunctionName=name)
    wait_until(lambda: dead(one["pid"]) and dead(changed["pid"]), 5)


def test_a_name_with_a_qualifier_and_an_arn_reach_the_version(cloud: Cloud):
    name = cloud.make()
    arn = cloud.lambdas.get_function_configuration(FunctionName=name)["FunctionArn"]
    for reference in (f"{name}:1", f"{arn}:1", f"123456789012:function:{name}:1"):
        assert cloud.invoke(reference)[1]["ExecutedVersion"] == "1"
    assert cloud.invoke(arn)[1]["ExecutedVersion"] == "$LATEST"
    with pytest.raises(ClientError, match="does not match the specified qualifier"):
        cloud.invoke(f"{name}:1", Qualifier="2")
    for missing in ({"FunctionName": "nobody"}, {"FunctionName": name, "Qualifier": "live"}):
        for kind in ("RequestResponse", "Event"):
            with pytest.raises(ClientError, match="ResourceNotFoundException"):
                cloud.lambdas.invoke(InvocationType=kind, **missing)


@pytest.mark.parametrize("unknown", [{"InvocationType": "DryRun"}, {"LogType": "Tail"}, {"ClientContext": "e30="}])
def test_what_this_service_does_not_know_of_a_call_is_refused(cloud: Cloud, unknown):
    with pytest.raises(ClientError, match=r"ValidationException|InvalidParameterValueException"):
        cloud.invoke(cloud.make(), **unknown)


def test_several_calls_run_at_the_same_time(cloud: Cloud):
    name = cloud.make("import time, os\ndef handle(e, c):\n    time.sleep(0.5)\n    return os.getpid()\n")
    started = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        pids = set(threads.map(lambda _: cloud.invoke(name)[0], range(4)))
    assert len(pids) == 4
    assert time.monotonic() - started < 1.9


# Errors


def test_an_exception_is_a_function_error_and_the_sandbox_stays(cloud: Cloud):
    name = cloud.make(FAIL.replace('"no good: "', '"no good: " + str(__import__("os").getpid())'))
    first, response = cloud.invoke(name)
    assert (response["StatusCode"], response["FunctionError"]) == (200, "Unhandled")
    assert first["errorType"] == "ValueError"
    assert cloud.invoke(name)[0]["errorMessage"] == first["errorMessage"]


def test_a_call_that_takes_too_long_is_ended_with_all_its_processes(cloud: Cloud, tmp_path):
    source = f"""
    import os, subprocess, time
    def handle(event, context):
        if event.get("hang"):
            child = subprocess.Popen(["sleep", "60"])
            open({str(tmp_path / "pids")!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
            time.sleep(60)
        return "quick"
    """
    name = cloud.make(source, Timeout=1)
    assert cloud.invoke(name)[0] == "quick"
    started = time.monotonic()
    answer, response = cloud.invoke(name, {"hang": True})
    assert 1 <= time.monotonic() - started < 2.5
    assert response["FunctionError"] == "Unhandled"
    assert answer["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert any("Task timed out after 1.00 seconds" in line for line in cloud.log_of(name))
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    wait_until(lambda: all(dead(pid) for pid in pids), 5)
    assert cloud.invoke(name)[0] == "quick"


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("import nothing_like_it", "Runtime.ImportModuleError", "Unable to import module 'handler'"),
        ("def other(e, c): pass", "Runtime.HandlerNotFound", "handle"),
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        ("def handle(e, c", "Runtime.UserCodeSyntaxError", "Syntax error"),
        ("import sys; sys.exit(3)", "Runtime.ExitError", "exit status 3"),
        ("import os\ndef handle(e, c): os._exit(1)", "Runtime.ExitError", "exit status 1"),
        ("import os\ndef handle(e, c): os.kill(os.getpid(), 9)", "Runtime.ExitError", "signal: killed"),
        ("def handle(e, c): return {1, 2}", "Runtime.MarshalError", "not JSON serializable"),
        ("def handle(e, c): return 'x' * (6 * 1024 * 1024 + 1)", "Function.ResponseSizeTooLarge", "exceeded maximum"),
    ],
)
def test_what_goes_wrong_is_named_as_aws_names_it(cloud: Cloud, source, kind, message):
    answer, response = cloud.invoke(cloud.make(source))
    assert response["FunctionError"] == "Unhandled"
    assert answer["errorType"] == kind
    assert message in answer["errorMessage"]


def test_another_python_is_refused_by_name(cloud: Cloud):
    answer, response = cloud.invoke(cloud.make(Runtime="python3.13"))
    assert (response["FunctionError"], answer["errorType"]) == ("Unhandled", "Runtime.InvalidRuntime")


def test_large_payloads_pass_up_to_the_limit(cloud: Cloud):
    name = cloud.make("def handle(event, context):\n    return event\n")
    text = "x" * (5 * 1024 * 1024)
    assert cloud.invoke(name, {"text": text})[0] == {"text": text}
    with pytest.raises(ClientError, match="RequestTooLargeException"):
        cloud.invoke(name, {"text": "x" * (6 * 1024 * 1024)})
    with pytest.raises(ClientError, match="RequestTooLargeException"):
        cloud.invoke(name, {"text": "x" * (1024 * 1024)}, InvocationType="Event")
    with pytest.raises(ClientError, match="InvalidRequestContentException"):
        cloud.lambdas.invoke(FunctionName=name, Payload=b"no json")
    assert cloud.lambdas.invoke(FunctionName=name)["Payload"].read() == b"{}"


def test_the_log_holds_start_output_and_report(cloud: Cloud):
    name = cloud.make('import logging\ndef handle(e, c):\n    print("printed")\n    logging.error("logged")\n')
    cloud.invoke(name)
    lines = cloud.log_of(name)
    assert lines[0].startswith("START RequestId: ")
    assert lines[1] == "printed"
    assert "[ERROR]" in lines[2]
    assert lines[2].endswith("logged")
    assert "Init Duration" in lines[-1]
    cloud.invoke(name)
    assert "Init Duration" not in cloud.log_of(name)[-1]


# Events


def test_an_event_is_delivered_once_when_it_succeeds(cloud: Cloud, tmp_path):
    name = cloud.make(COUNT)
    cloud.lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    event = {"file": str(tmp_path / "n"), "failures": 0}
    _, response = cloud.invoke(name, event, InvocationType="Event", Qualifier="live")
    assert response["StatusCode"] == 202
    wait_until(lambda: attempts(tmp_path / "n") == 1, 5)
    time.sleep(0.4)
    assert (tmp_path / "n").read_text() == "1\n"


def test_a_failed_event_is_tried_three_times_and_then_lies_in_the_dead_letter_queue(cloud: Cloud):
    url, arn = cloud.queue()
    name = cloud.make(FAIL, DeadLetterConfig={"TargetArn": arn})
    _, response = cloud.invoke(name, {"id": "e1"}, InvocationType="Event")
    message = cloud.take_message(url)
    assert json.loads(message["Body"]) == {"id": "e1"}
    attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
    assert attributes["RequestID"] == response["ResponseMetadata"]["RequestId"]
    assert (attributes["ErrorCode"], attributes["ErrorMessage"]) == ("200", "no good: e1")


def test_a_retry_that_succeeds_ends_the_story(cloud: Cloud, tmp_path):
    url, arn = cloud.queue()
    name = cloud.make(COUNT, DeadLetterConfig={"TargetArn": arn})
    cloud.invoke(name, {"file": str(tmp_path / "n"), "failures": 1}, InvocationType="Event")
    wait_until(lambda: attempts(tmp_path / "n") == 2, 5)
    time.sleep(0.4)
    assert attempts(tmp_path / "n") == 2
    assert not cloud.client("sqs").receive_message(QueueUrl=url).get("Messages")


def test_a_dead_letter_topic_is_published_to(cloud: Cloud):
    url, queue = cloud.queue()
    sns = cloud.client("sns")
    topic = sns.create_topic(Name="dead-letters")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    name = cloud.make(FAIL, DeadLetterConfig={"TargetArn": topic})
    cloud.invoke(name, {"id": "e3"}, InvocationType="Event")
    assert json.loads(cloud.take_message(url)["Body"]) == {"id": "e3"}


# Concurrency


def test_reserved_concurrency_throttles_what_is_beyond_it(cloud: Cloud):
    name = cloud.make("import time\ndef handle(e, c):\n    time.sleep(1)\n")
    cloud.lambdas.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    address = f"{cloud.service.url}/2015-03-31/functions/{name}/invocations"
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: httpx.post(address, timeout=10), range(3)))
    assert sorted(one.status_code for one in answers) == [200, 429, 429]
    throttled = next(one for one in answers if one.status_code == 429)
    assert throttled.headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert throttled.json()["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_a_reservation_of_zero_stops_calls_and_sends_events_to_the_dead_letter_queue(cloud: Cloud):
    url, arn = cloud.queue()
    name = cloud.make(DeadLetterConfig={"TargetArn": arn})
    cloud.lambdas.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        cloud.invoke(name)
    cloud.invoke(name, {"id": "e4"}, InvocationType="Event")
    message = cloud.take_message(url)
    assert json.loads(message["Body"]) == {"id": "e4"}
    assert message["MessageAttributes"]["ErrorCode"]["StringValue"] == "429"
    cloud.lambdas.delete_function_concurrency(FunctionName=name)
    assert cloud.invoke(name)[1]["StatusCode"] == 200


def test_a_throttled_event_waits_for_its_turn(cloud: Cloud, tmp_path):
    name = cloud.make(
        COUNT.replace("def handle(event, context):", "import time\ndef handle(event, context):\n    time.sleep(0.3)")
    )
    cloud.lambdas.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for _ in range(3):
        cloud.invoke(name, {"file": str(tmp_path / "n"), "failures": 0}, InvocationType="Event")
    wait_until(lambda: attempts(tmp_path / "n") == 3, 10)
