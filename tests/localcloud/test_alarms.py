"""The alarm evaluator against the real local CloudWatch and SNS."""

import json
import time
from datetime import UTC, datetime

import httpx
import pytest

from tests.localcloud.parts import ACCOUNT, client, free_port, running_part, wait_until

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "made-up",
    "AWS_SECRET_ACCESS_KEY": "made-up",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with running_part("aws", tmp_path_factory.mktemp("aws") / "aws.log") as url:
        yield url


@pytest.fixture(scope="module")
def cloudwatch(aws):
    return client("cloudwatch", aws)


@pytest.fixture
def evaluator(aws, tmp_path):
    """Start an evaluator with the given clock; the fixture is the function that does so."""
    running = []

    def start(clock="x20", endpoint=aws):
        part = running_part(
            "alarms",
            tmp_path / "alarms.log",
            AWS_ENDPOINT_URL=endpoint,
            LOCALCLOUD_CLOCK=clock,
            **CREDENTIALS,
        )
        running.append(part)
        return part.__enter__()

    yield start
    for part in running:
        part.__exit__(None, None, None)


@pytest.fixture
def on_call(aws, request):
    """A topic with a queue behind it: what it was told so far."""
    sns, sqs = client("sns", aws), client("sqs", aws)
    name = f"on-call-{abs(hash(request.node.name))}"
    topic = sns.create_topic(Name=name)["TopicArn"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}")
    told = []

    def messages():
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            told.append(json.loads(json.loads(message["Body"])["Message"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return told

    messages.topic = topic
    return messages


def dimensions(function):
    return [{"Name": "FunctionName", "Value": function}, {"Name": "Resource", "Value": f"{function}:live"}]


def put_errors_alarm(cloudwatch, function, topic, **changed):
    settings = {
        "AlarmName": f"{function}-errors",
        "Namespace": "AWS/Lambda",
        "MetricName": "Errors",
        "Dimensions": list(reversed(dimensions(function))),
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": [topic],
        "OKActions": [topic],
    }
    cloudwatch.put_metric_alarm(**settings | changed)
    return f"{function}-errors"


def put_errors(cloudwatch, function, value):
    metric = {
        "MetricName": "Errors",
        "Dimensions": dimensions(function),
        "Value": value,
        "Timestamp": datetime.now(UTC),
    }
    cloudwatch.put_metric_data(Namespace="AWS/Lambda", MetricData=[metric])


def state_of(cloudwatch, name):
    return cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]


def test_a_breach_is_noticed_within_a_second_and_a_half_of_real_time(cloudwatch, evaluator, on_call):
    name = put_errors_alarm(cloudwatch, "noticed", on_call.topic)
    evaluator(clock="x1")
    wait_until(lambda: state_of(cloudwatch, name) == "OK", 5)
    put_errors(cloudwatch, "noticed", 1)
    begin = time.monotonic()
    wait_until(lambda: state_of(cloudwatch, name) == "ALARM", 5)
    assert time.monotonic() - begin < 1.5


def test_an_alarm_rings_tells_the_topic_and_calms_down_again(cloudwatch, evaluator, on_call):
    name = put_errors_alarm(cloudwatch, "ringing", on_call.topic)
    evaluator()
    wait_until(lambda: state_of(cloudwatch, name) == "OK", 5)
    put_errors(cloudwatch, "ringing", 3)
    wait_until(lambda: len(on_call()) >= 2, 5)
    wait_until(lambda: state_of(cloudwatch, name) == "OK", 20)
    wait_until(lambda: len(on_call()) >= 3, 5)

    assert [(one["OldStateValue"], one["NewStateValue"]) for one in on_call()] == [
        ("INSUFFICIENT_DATA", "OK"),
        ("OK", "ALARM"),
        ("ALARM", "OK"),
    ]
    rang = on_call()[1]
    assert rang["AlarmName"] == name
    assert rang["NewStateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [3.0 (")
    assert rang["Trigger"]["MetricName"] == "Errors"


def test_an_alarm_that_cannot_be_evaluated_does_not_stop_the_others(cloudwatch, evaluator, on_call):
    put_errors_alarm(cloudwatch, "learned", on_call.topic, ComparisonOperator="GreaterThanUpperThreshold")
    put_errors_alarm(cloudwatch, "no-topic", f"arn:aws:sns:us-east-1:{ACCOUNT}:gone")
    name = put_errors_alarm(cloudwatch, "others", on_call.topic)
    evaluator()
    for function in ("no-topic", "others"):
        put_errors(cloudwatch, function, 1)
    wait_until(lambda: state_of(cloudwatch, name) == "ALARM", 5)
    wait_until(lambda: state_of(cloudwatch, "no-topic-errors") == "ALARM", 5)
    cloudwatch.delete_alarms(AlarmNames=["learned-errors"])


def of_a_share(function, expression="IF(errors >= 2, 100 * errors / calls, 0)"):
    """What PutMetricAlarm is told instead of one metric."""
    stats = [
        {"Metric": {"Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": dimensions(function)}, "Period": 60}
        for name in ("Errors", "Invocations")
    ]
    inputs = [
        {"Id": name, "MetricStat": {**stat, "Stat": "Sum"}, "ReturnData": False}
        for name, stat in zip(("errors", "calls"), stats, strict=True)
    ]
    return [{"Id": "share", "Expression": expression, "Label": "share", "ReturnData": True}, *inputs]


def put_share_alarm(cloudwatch, name, metrics, **more):
    settings = {"EvaluationPeriods": 1, "Threshold": 10, "ComparisonOperator": "GreaterThanOrEqualToThreshold"}
    cloudwatch.put_metric_alarm(AlarmName=name, Metrics=metrics, TreatMissingData="notBreaching", **settings | more)


def count(cloudwatch, function, **values):
    data = [
        {"MetricName": name, "Dimensions": dimensions(function), "Value": value, "Timestamp": datetime.now(UTC)}
        for name, value in values.items()
    ]
    cloudwatch.put_metric_data(Namespace="AWS/Lambda", MetricData=data)


def test_an_alarm_on_an_expression_rings_by_the_share_and_is_described_as_it_was_put(cloudwatch, evaluator, on_call):
    metrics = of_a_share("share")
    put_share_alarm(cloudwatch, "share-errors", metrics, AlarmActions=[on_call.topic])
    (described,) = cloudwatch.describe_alarms(AlarmNames=["share-errors"])["MetricAlarms"]
    assert described["Metrics"] == metrics
    assert not {"MetricName", "Period", "Statistic"} & set(described)
    evaluator(clock="x60")
    wait_until(lambda: state_of(cloudwatch, "share-errors") == "OK", 5)
    for _ in range(3):
        count(cloudwatch, "share", Errors=3, Invocations=100)
        time.sleep(0.7)
    assert state_of(cloudwatch, "share-errors") == "OK"
    count(cloudwatch, "share", Errors=30, Invocations=100)
    wait_until(on_call, 10)
    (rang,) = on_call()
    assert rang["NewStateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [")
    assert rang["Trigger"]["Metrics"] == metrics


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"metrics": of_a_share("f", "SUM(METRICS())")}, "METRICS"),
        ({"metrics": of_a_share("f", "errors / people")}, "'people' in 'errors / people': no metric has this id"),
        ({"metrics": of_a_share("f")[1:]}, "one expression"),
        ({"metrics": of_a_share("f"), "Namespace": "AWS/Lambda"}, "Namespace must not be set"),
    ],
)
def test_an_alarm_that_would_not_be_evaluated_is_refused_when_it_is_put(cloudwatch, changed, why):
    with pytest.raises(cloudwatch.exceptions.ClientError) as refused:
        put_share_alarm(cloudwatch, "refused", **changed)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert why in str(refused.value)
    assert cloudwatch.describe_alarms(AlarmNames=["refused"])["MetricAlarms"] == []


def test_a_state_set_by_hand_performs_the_actions_and_is_evaluated_away(cloudwatch, evaluator, on_call):
    name = put_errors_alarm(cloudwatch, "by-hand", on_call.topic)
    evaluator()
    wait_until(lambda: state_of(cloudwatch, name) == "OK", 5)
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
    wait_until(lambda: [one for one in on_call() if one["NewStateReason"] == "a drill"], 5)
    wait_until(lambda: state_of(cloudwatch, name) == "OK", 10)


def test_actions_that_are_off_are_not_performed(cloudwatch, evaluator, on_call):
    name = put_errors_alarm(cloudwatch, "quiet", on_call.topic, ActionsEnabled=False)
    evaluator()
    put_errors(cloudwatch, "quiet", 1)
    wait_until(lambda: state_of(cloudwatch, name) == "ALARM", 5)
    time.sleep(0.3)
    assert on_call() == []


def test_a_cloudwatch_that_is_away_is_asked_again_until_it_is_back(evaluator, tmp_path):
    port = free_port()
    health = f"{evaluator(endpoint=f'http://127.0.0.1:{port}')}/_localcloud/health"
    away = wait_until(lambda: (told := httpx.get(health).json())["problem"] and told, 5)
    assert away["ok"] is True
    assert away["last_poll"] is None
    assert (tmp_path / "alarms.log").read_text().count("cannot be asked") == 1


def test_a_queue_shows_how_many_messages_wait_in_it_and_falls_silent_after_six_hours(tmp_path):
    with running_part("aws", tmp_path / "aws.log", LOCALCLOUD_CLOCK="x6000") as url:  # six hours: 3.6 s
        sqs, cloudwatch = client("sqs", url), client("cloudwatch", url)
        queue = sqs.create_queue(QueueName="waiting")["QueueUrl"]

        def values():
            query = {
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": [{"Name": "QueueName", "Value": "waiting"}],
            }
            now = time.time()
            (result,) = cloudwatch.get_metric_data(
                MetricDataQueries=[{"Id": "m", "MetricStat": {"Metric": query, "Period": 1, "Stat": "Maximum"}}],
                StartTime=datetime.fromtimestamp(now - 60, UTC),
                EndTime=datetime.fromtimestamp(now + 1, UTC),
            )["MetricDataResults"]
            return dict(zip(result["Timestamps"], result["Values"], strict=True))

        wait_until(lambda: 0 in values().values(), 10)
        for number in range(2):
            sqs.send_message(QueueUrl=queue, MessageBody=str(number))
        wait_until(lambda: 2 in values().values(), 10)
        sqs.purge_queue(QueueUrl=queue)
        wait_until(lambda: (seen := values())[max(seen)] == 0, 10)
        wait_until(lambda: time.time() - max(values()).timestamp() > 3, 30)
