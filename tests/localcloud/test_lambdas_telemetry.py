"""What CloudWatch gets of invocations, and that nothing outlives the service."""

import os
import signal
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.localcloud.lambdas_cloud import Cloud, Service, cloud_fixture, moto_url, start_moto  # noqa: F401
from tests.localcloud.parts import free_port, wait_until

SOMETIMES = """
import os
def handle(event, context):
    print("seen", event.get("id"))
    if event.get("fail"):
        raise ValueError("asked to")
    return os.getpid()
"""
EMBEDDED = """
import json, time
def handle(event, context):
    print(json.dumps({
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [
            {"Namespace": event["namespace"], "Dimensions": [["FunctionName"]], "Metrics": [{"Name": "Found"}]}]},
        "FunctionName": context.function_name, "Found": event["found"]}))
"""
CHILDREN = """
import os, subprocess, time
child = subprocess.Popen(["sleep", "60"])
def handle(event, context):
    if event.get("stay"):
        time.sleep(60)
    return [os.getpid(), child.pid]
"""


def value(
    cloud: Cloud, metric: str, statistic: str = "Sum", namespace: str = "AWS/Lambda", **dimensions: str
) -> float | None:
    """The metric's value over the last minutes, or None when no point has these very dimensions."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    stat = {
        "Metric": {
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": [{"Name": key, "Value": dimensions[key]} for key in sorted(dimensions)],
        },
        "Period": 3600,
        "Stat": statistic,
    }
    answer = cloud.client("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": stat}],
        StartTime=now - timedelta(minutes=30),
        EndTime=now + timedelta(minutes=5),
    )
    values = answer["MetricDataResults"][0]["Values"]
    return sum(values) if values else None


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_invocations_are_counted_for_the_function_the_alias_and_the_version_that_ran(cloud: Cloud):
    name = cloud.make(SOMETIMES)
    cloud.lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for number in range(4):
        cloud.invoke(name, {"id": number, "fail": number == 3}, Qualifier="live")
    cloud.invoke(name, Qualifier="1")
    cloud.invoke(name)
    cloud.flush()
    alias = {"FunctionName": name, "Resource": f"{name}:live"}
    assert value(cloud, "Invocations", FunctionName=name) == 6
    assert value(cloud, "Errors", FunctionName=name) == 1
    for dimensions in (alias, alias | {"ExecutedVersion": "1"}):
        assert value(cloud, "Invocations", **dimensions) == 4
        assert value(cloud, "Invocations", "SampleCount", **dimensions) == 4
        assert value(cloud, "Errors", **dimensions) == 1
        assert value(cloud, "Throttles", **dimensions) == 0
        assert 0 < (value(cloud, "Duration", "Average", **dimensions) or 0) < 3000
    assert value(cloud, "Invocations", FunctionName=name, Resource=f"{name}:1") == 1
    assert value(cloud, "Invocations", FunctionName=name, Resource=name) == 1
    assert value(cloud, "Invocations", FunctionName=name, Resource=f"{name}:1", ExecutedVersion="1") is None


def test_a_healthy_function_has_errors_of_zero_and_an_uncalled_one_has_none_at_all(cloud: Cloud):
    called, uncalled = cloud.make(), cloud.make()
    cloud.invoke(called)
    cloud.flush()
    assert value(cloud, "Errors", FunctionName=called) == 0
    assert value(cloud, "Errors", FunctionName=uncalled) is None


def test_a_throttled_call_counts_as_throttle_and_not_as_invocation(cloud: Cloud):
    name = cloud.make()
    cloud.lambdas.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert httpx.post(f"{cloud.service.url}/2015-03-31/functions/{name}/invocations").status_code == 429
    cloud.flush()
    assert value(cloud, "Throttles", FunctionName=name) == 1
    assert value(cloud, "Invocations", FunctionName=name) is None


def test_a_metric_embedded_in_a_log_line_becomes_a_data_point(cloud: Cloud):
    name = cloud.make(EMBEDDED)
    for found in (2, 3, "many"):  # the last is none, and CloudWatch makes nothing of it
        cloud.invoke(name, {"namespace": "Mine", "found": found})
    cloud.invoke(name, {"namespace": "AWS/Mine", "found": 4})
    cloud.flush()
    assert value(cloud, "Found", namespace="Mine", FunctionName=name) == 5
    assert value(cloud, "Found", "SampleCount", namespace="Mine", FunctionName=name) == 2
    assert value(cloud, "Found", namespace="Mine", FunctionName=name, Resource=name) is None
    assert "Found must be a number" in cloud.service.logged()
    assert "'AWS/Mine' is no text, or belongs to AWS" in cloud.service.logged()


def test_metrics_arrive_by_themselves(cloud: Cloud):
    name = cloud.make()
    cloud.invoke(name)
    wait_until(lambda: value(cloud, "Invocations", FunctionName=name) == 1, 5)


@pytest.mark.parametrize("made_before", [True, False])
def test_logs_arrive_in_the_group_of_the_function(cloud: Cloud, made_before: bool):
    logs = cloud.client("logs")
    name = cloud.make(SOMETIMES)
    group = f"/aws/lambda/{name}"
    if made_before:
        logs.create_log_group(logGroupName=group)
    request = cloud.invoke(name, {"id": "one"})[1]["ResponseMetadata"]["RequestId"]
    cloud.invoke(name, {"id": "two", "fail": True})
    cloud.flush()
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert len(streams) == 1
    assert "[$LATEST]" in streams[0]["logStreamName"]
    messages = [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
    assert messages[:3] == [f"START RequestId: {request} Version: $LATEST", "seen one", f"END RequestId: {request}"]
    assert messages[3].startswith(f"REPORT RequestId: {request}")
    assert any("[ERROR] ValueError: asked to" in message and "\n" in message for message in messages)


def test_logs_go_on_after_somebody_deleted_the_group(cloud: Cloud):
    logs = cloud.client("logs")
    name = cloud.make(SOMETIMES)
    for number in range(2):
        cloud.invoke(name, {"id": number})
        cloud.flush()
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        assert f"seen {number}" in [event["message"] for event in events]
        logs.delete_log_group(logGroupName=f"/aws/lambda/{name}")


def test_calls_are_answered_while_cloudwatch_is_away_and_are_counted_when_it_is_back():
    port = free_port()
    gone = f"http://127.0.0.1:{port}"
    service = Service(moto_url(), AWS_ENDPOINT_URL_CLOUDWATCH=gone, AWS_ENDPOINT_URL_LOGS=gone)
    try:
        cloud = Cloud(moto_url(), service)
        name = cloud.make()
        assert cloud.invoke(name)[1]["StatusCode"] == 200
        assert httpx.post(f"{service.url}/_localcloud/flush", timeout=30).json() == {"ok": False}
        assert "CloudWatch did not take" in service.logged()
        assert cloud.invoke(name)[1]["StatusCode"] == 200
        start_moto(port)
        cloud.flush()
        cloud.moto = gone
        assert value(cloud, "Invocations", FunctionName=name) == 2
    finally:
        service.stop()


@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM", "lifeline"])
def test_no_sandbox_outlives_the_service(end: str, tmp_path):
    service = Service(moto_url())
    try:
        cloud = Cloud(moto_url(), service)
        name = cloud.make(CHILDREN)
        pids, _ = cloud.invoke(name)
        cloud.invoke(name, {"stay": True}, InvocationType="Event")
        assert all(alive(pid) for pid in pids)
        if end == "lifeline":
            service.cut_lifeline()
        else:
            service.process.send_signal(getattr(signal, end))
        service.process.wait(10)
        wait_until(lambda: not any(alive(pid) for pid in pids), 30)
    finally:
        service.stop()
