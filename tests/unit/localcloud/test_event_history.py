"""The local cloud's event history: management calls alone, one attribute, a window, pages that lose nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.aws import cloudtrail
from localcloud.faults.history import CallHistory, access_key
from localcloud.faults.names import operations


@pytest.fixture(autouse=True)
def no_lambda_part(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_LAMBDA", raising=False)


def call(number, key="A", operation="PutRule", at=None):
    return {
        "id": f"e{number}",
        "at": number if at is None else at,
        "service": "events",
        "operation": operation,
        "key": key,
    }


def asked(seen, **question):
    answer = cloudtrail.lookup(seen, json.dumps(question).encode())
    return answer.status, json.loads(answer.body)


def everything(seen, **question):
    found, more = [], {}
    while True:
        status, page = asked(seen, **question, **more)
        assert status == 200
        found += page["Events"]
        if "NextToken" not in page:
            return [event["EventId"] for event in found]
        more = {"NextToken": page["NextToken"]}


def by(attribute, value):
    return [{"AttributeKey": attribute, "AttributeValue": value}]


@given(
    st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 9)), max_size=40),
    st.integers(1, 50),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_the_pages_hold_exactly_what_was_asked_for_newest_first(calls, size, one, other):
    since, until = sorted((one, other))
    seen = [call(number, key, at=at) for number, (key, at) in enumerate(calls)]
    wanted = [event for event in seen if event["key"] == "A" and since <= event["at"] <= until]
    question = {"LookupAttributes": by("AccessKeyId", "A"), "StartTime": since, "EndTime": until, "MaxResults": size}
    expected = [event["id"] for event in sorted(wanted, key=lambda event: event["at"], reverse=True)]
    assert everything(seen, **question) == expected


def test_a_call_that_comes_between_two_pages_shifts_nothing():
    seen = [call(number) for number in range(3)]
    _, first = asked(seen, MaxResults=2)
    _, second = asked([*seen, call(9)], MaxResults=2, NextToken=first["NextToken"])
    assert [event["EventId"] for event in (*first["Events"], *second["Events"])] == ["e2", "e1", "e0"]


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"MaxResults": 51}, "InvalidMaxResultsException"),
        ({"MaxResults": 0}, "InvalidMaxResultsException"),
        ({"StartTime": 2, "EndTime": 1}, "InvalidTimeRangeException"),
        ({"LookupAttributes": by("Colour", "red")}, "InvalidLookupAttributesException"),
        ({"LookupAttributes": by("EventId", "e1") * 2}, "InvalidLookupAttributesException"),
        ({"NextToken": "x"}, "InvalidNextTokenException"),
    ],
)
def test_a_question_that_cloudtrail_refuses_is_refused(question, code):
    status, answer = asked([call(1)], **question)
    assert (status, answer["__type"]) == (400, code)


def test_an_event_says_whether_it_only_read_and_who_called():
    _, page = asked([call(1, operation="DescribeRule"), call(2)])
    assert [(one["EventName"], one["ReadOnly"], one["Username"]) for one in page["Events"]] == [
        ("PutRule", "false", "root"),
        ("DescribeRule", "true", "root"),
    ]


def kept(service):
    history = CallHistory()
    for operation in operations(service):
        history.note(service, operation, "A")
    return {one["operation"] for one in history.listed()}


def test_calls_on_data_are_in_no_event_history():
    assert {"CreateBucket", "PutBucketPolicy", "ListBuckets"} <= kept("s3")
    assert kept("s3").isdisjoint(
        {"PutObject", "GetObject", "HeadObject", "DeleteObject", "UploadPart", "CreateMultipartUpload"}
    )
    assert {"UpdateAlias", "PublishVersion"} <= kept("lambda")
    assert "Invoke" not in kept("lambda")
    assert {"CreateTable", "UpdateTable"} <= kept("dynamodb")
    assert kept("dynamodb").isdisjoint({"PutItem", "Query", "BatchGetItem", "TransactWriteItems"})
    assert "CreateTopic" in kept("sns")
    assert "Publish" not in kept("sns")


def test_the_key_is_that_of_the_signature():
    assert access_key("AWS4-HMAC-SHA256 Credential=ASIAX/20261129/us-east-1/sns/aws4_request, Signature=x") == "ASIAX"
    assert access_key(None) == access_key("Bearer x") == ""
