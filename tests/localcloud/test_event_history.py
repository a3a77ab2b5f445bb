"""LookupEvents over HTTP: a session of a role is found by its name, and nobody else's calls are."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest

from release.reporting import audit
from tests.localcloud.parts import client, running_part


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running_part("aws", tmp_path_factory.mktemp("history") / "aws.log") as address:
        yield address


def session(url, name):
    """Clients with the credentials of a session of that name."""
    iam = client("iam", url)
    role = f"role-of-{name}"
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    given = client("sts", url).assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"]
    credentials = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }
    return lambda service: boto3.client(service, endpoint_url=url, region_name="us-east-1", **credentials)


def test_the_calls_of_a_session_are_found_by_its_name_over_all_pages(url):
    own, other = session(url, "77-2"), session(url, "78-1")
    for number in range(60):
        own("sns").create_topic(Name=f"topic-{number}") if number else own("sns").list_topics()
    other("sqs").create_queue(QueueName="theirs")
    now = datetime.now(UTC)
    context = SimpleNamespace(
        aws=SimpleNamespace(trail=client("cloudtrail", url)),
        clock=SimpleNamespace(now=lambda: now, sleep=lambda _: None),
    )
    written = [SimpleNamespace(at=(now - timedelta(seconds=30)).isoformat())]
    calls, why = audit._calls_of(context, "77-2", written)
    assert why == ""
    assert [call.operation for call in calls] == ["ListTopics", *["CreateTopic"] * 59]
    assert [call.changes for call in calls] == [False, *[True] * 59]
