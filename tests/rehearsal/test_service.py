"""The sound service in a deployed preprod: what nobody can process, what comes twice, and two validations at a time."""

import json
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.news_plan import RELEASE_REQUESTS
from tests.preprod import NAMES, until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]  # production may be made for it


@pytest.fixture
def announce(preprod):
    sns = preprod.cloud.client("sns")
    topic = next(
        one["TopicArn"] for one in sns.list_topics()["Topics"] if one["TopicArn"].endswith(f":{NAMES.new_items_topic}")
    )
    return lambda message: sns.publish(TopicArn=topic, Message=message)


@pytest.fixture
def dead_letters(preprod):
    """Takes the messages out of the dead-letter queue; nothing is left in it afterwards, or its alarm would ring."""
    sqs = preprod.cloud.client("sqs")
    queue = sqs.get_queue_url(QueueName=NAMES.dead_letters_queue)["QueueUrl"]

    def take():
        messages = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"]).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return messages

    while take():
        pass
    return take


@pytest.mark.timeout(600)  # the release that it counts may be made for it
def test_a_release_asks_the_news_service_as_often_as_its_plan_is_counted_with(production):
    # Fewer are as wrong as more: docs and schedule are made for this number.
    assert production.news_requests == RELEASE_REQUESTS


def an_item(number):
    key = {"source_id": f"news#{uuid.uuid4().hex}", "timestamp": f"2001-01-01T00:00:{number:02d}Z"}
    return key | {
        "status": "pending",
        "tag": "test-rehearsal",
        "title": "A wonderful day",
        "text": "",
        "url": "https://x.example",
    }


def message(item):
    return json.dumps({name: item[name] for name in ("source_id", "timestamp", "tag", "title", "text")})


def test_poison_ends_in_the_dead_letter_queue_and_what_came_with_it_is_analyzed(preprod, announce, dead_letters):
    before, after = an_item(1), an_item(2)
    for item in (before, after):
        preprod.table().put_item(Item=item)
    poison = f"no json {uuid.uuid4().hex}"
    for text in (message(before), poison, message(after)):
        announce(text)
    (letter,) = until("the message is in the dead-letter queue", dead_letters)
    assert json.loads(letter["Body"])["Records"][0]["Sns"]["Message"] == poison
    for item in (before, after):
        key = {name: item[name] for name in ("source_id", "timestamp")}
        until("the item is analyzed", lambda k=key: preprod.table().get_item(Key=k)["Item"]["status"] == "analyzed")


def test_a_run_of_ingestion_that_fails_for_good_ends_in_the_dead_letter_queue(preprod, dead_letters):
    event = {"probe": True, "tags": [""]}  # the news service refuses an empty question
    preprod.cloud.client("lambda").invoke(
        FunctionName=NAMES.function("ingestion").function,
        Qualifier="candidate",
        InvocationType="Event",
        Payload=json.dumps(event).encode(),
    )
    (letter,) = until("the event is in the dead-letter queue", dead_letters)
    assert json.loads(letter["Body"]) == event
    assert "status 400" in letter["MessageAttributes"]["ErrorMessage"]["StringValue"]


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("401", "NewsKeyRefusedError"),
        ("426", "NewsAnswerError"),
        ("429_later", "NewsRateLimitedError"),
        ("500", "NewsUnavailableError"),
        ("502", "NewsUnavailableError"),
        ("malformed", "NewsAnswerError"),
    ],
)
def test_a_failure_of_the_news_service_raises_under_its_name_and_loses_nothing_of_the_other_tags(preprod, word, error):
    first, last = (f"test-{uuid.uuid4().hex}" for _ in range(2))
    answer = preprod.cloud.client("lambda").invoke(
        FunctionName=NAMES.function("ingestion").function,
        Qualifier="candidate",
        Payload=json.dumps({"probe": True, "tags": [first, f"{last}__{word}", last]}).encode(),
    )
    assert json.loads(answer["Payload"].read())["errorType"] == error
    stored = {item["tag"] for item in preprod.table().scan()["Items"]}
    assert first in stored
    # With a key that is refused nobody would be served.
    assert (last in stored) is (error != "NewsKeyRefusedError")


def test_messages_that_come_three_times_and_in_any_order_are_each_analyzed_once(preprod, announce, dead_letters):
    items = [an_item(number) for number in range(20)]
    for item in items:
        preprod.table().put_item(Item=item)
    deliveries = items * 3
    random.Random(5).shuffle(deliveries)
    with ThreadPoolExecutor(4) as senders:
        list(senders.map(lambda item: announce(message(item)), deliveries))

    def analyzed():
        keys = {item["source_id"] for item in items}
        found = [item for item in preprod.table().scan()["Items"] if item["source_id"] in keys]
        return found if all(item["status"] == "analyzed" for item in found) else None

    first = until("all items are analyzed", analyzed)
    assert len(first) == len(items)
    assert {(item["sentiment"], item["title"]) for item in first} == {("positive", "A wonderful day")}
    for item in items[:3]:
        answer = preprod.invoke("analysis", {"Records": [{"Sns": {"Message": message(item)}}]})
        assert (answer["analyzed"], answer["already_analyzed"]) == (0, 1)
    assert sorted(analyzed(), key=str) == sorted(first, key=str)
    assert dead_letters() == []


def test_the_tests_of_preprod_pass_twice_at_the_same_time(production, preprod, tmp_path):
    words = ("release", "validate", "--stack", "preprod", "--digest", production.digest, "--no-record", "--json")
    with ThreadPoolExecutor() as both:
        ended = list(
            both.map(lambda run: preprod.cloud.run(*words, "--junit", str(tmp_path / f"{run}.xml")).json(), range(2))
        )
    assert ended[0]["tests"] == ended[1]["tests"] > 0
