"""The Lambda service behind the local cloud's own AWS part, as the supervisor runs the two."""

import json

import pytest

from tests.localcloud.lambdas_cloud import Cloud, Service
from tests.localcloud.parts import free_port, running_part, wait_until

KEEP = """
import json
def handle(event, context):
    print("got " + json.dumps([context.invoked_function_arn, context.function_version, event]))
"""


@pytest.fixture
def both(tmp_path):
    port = free_port()
    with running_part("aws", tmp_path / "aws.log", AWS_ENDPOINT_URL_LAMBDA=f"http://127.0.0.1:{port}") as aws:
        service = Service(aws, port)
        try:
            yield Cloud(aws, service)
        finally:
            service.stop()


def test_a_message_to_a_topic_reaches_the_subscribed_alias(both: Cloud):
    name = both.make(KEEP)
    alias = both.lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="1")["AliasArn"]
    both.update(name, KEEP + "# newer, and not live\n")
    sns, logs = both.client("sns"), both.client("logs")
    topic = sns.create_topic(Name="new-items")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=alias)
    sns.publish(TopicArn=topic, Message='{"source_id": "a"}')

    def arrived():
        both.flush()
        groups = [one["logGroupName"] for one in logs.describe_log_groups()["logGroups"]]
        if f"/aws/lambda/{name}" not in groups:
            return None
        messages = [event["message"] for event in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]]
        return next((message for message in messages if message.startswith("got ")), None)

    arn, version, event = json.loads(wait_until(arrived, 20, both.service.logged).removeprefix("got "))
    assert (arn, version) == (alias, "1")
    assert event["Records"][0]["EventSource"] == "aws:sns"
    assert event["Records"][0]["Sns"]["Message"] == '{"source_id": "a"}'
