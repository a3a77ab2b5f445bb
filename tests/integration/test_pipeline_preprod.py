"""The way of an item through the deployed functions: news, table, topic, analysis, API."""

import json
import uuid
from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.deployed

# Years ago, so that a made-up item never stands among the newest that people see.
LONG_AGO = "2001-01-01T00:00:00Z"


@pytest.fixture
def pending_item(items_table):
    """A made-up item as ingestion stores it; removed afterwards."""
    item = {
        "source_id": f"news#test-{uuid.uuid4().hex}",
        "timestamp": LONG_AGO,
        "status": "pending",
        "tag": "integration-test",
        "title": "A wonderful day: everybody is happy",
        "text": "The best results ever, and people love them.",
        "url": "https://example.com/integration-test",
        "expires_at": int(datetime.now(UTC).timestamp()) + 3600,
    }
    items_table.put_item(Item=item)
    yield item
    items_table.delete_item(Key={key: item[key] for key in ("source_id", "timestamp")})


def message(item):
    return json.dumps({field: item[field] for field in ("source_id", "timestamp", "tag", "title", "text")})


def announce(topic, item):
    topic.publish(Message=message(item))


def read(items_table, item):
    key = {name: item[name] for name in ("source_id", "timestamp")}
    return items_table.get_item(Key=key, ConsistentRead=True).get("Item", {})


def analyzed(items_table, item):
    found = read(items_table, item)
    return found if found.get("status") == "analyzed" else None


def test_an_announced_item_is_analyzed_by_this_release(items_table, new_items_topic, pending_item, eventually):
    announce(new_items_topic, pending_item)
    found = eventually("the item is analyzed", lambda: analyzed(items_table, pending_item))
    assert found["sentiment"] == "positive"
    assert found["score"] > 0
    assert found["title"] == pending_item["title"], "analysis adds to the item and changes nothing else"


def test_a_second_announcement_changes_nothing(items_table, new_items_topic, invoke, pending_item, eventually):
    announce(new_items_topic, pending_item)
    first = eventually("the item is analyzed", lambda: analyzed(items_table, pending_item))
    error, answer = invoke("analysis", {"Records": [{"Sns": {"Message": message(pending_item)}}]})
    assert error is None
    assert (answer["analyzed"], answer["already_analyzed"]) == (0, 1)
    assert read(items_table, pending_item) == first


def test_an_analyzed_item_is_found_by_its_tag(items_table, new_items_topic, pending_item, read_api, eventually):
    announce(new_items_topic, pending_item)
    eventually("the item is analyzed", lambda: analyzed(items_table, pending_item))

    def listed():
        items = read_api("/api/items", tag="integration-test")["items"]
        return [item for item in items if item["source_id"] == pending_item["source_id"]]

    (item,) = eventually("the API lists it (indexes follow the table)", listed)
    assert item["sentiment"] == "positive"


def test_one_run_of_ingestion_ends_as_analyzed_items_in_the_api(invoke, read_api, release_digest, eventually):
    error, answer = invoke("ingestion", {})
    assert error is None, answer
    assert answer["digest"] == release_digest
    assert answer["fetched"] > 0
    assert answer["stored"] + answer["known"] > 0

    def some():
        return [item for item in read_api("/api/items")["items"] if item.get("status") == "analyzed"]

    for item in eventually("the API shows analyzed items", some):
        assert item["sentiment"] in {"positive", "neutral", "negative"}
    metrics = read_api("/api/metrics")
    assert metrics["total"] > 0
    assert metrics["total"] == sum(metrics["by_sentiment"].values())


@pytest.mark.parametrize("function", ["analysis", "ingestion"])
def test_probes_of_the_canary_leave_no_trace_in_the_api(invoke, read_api, function, release_digest):
    probe = {
        "source_id": f"probe#{uuid.uuid4().hex}",
        "timestamp": LONG_AGO,
        "tag": "probe",
        "title": "A good day",
        "text": "Everything works.",
        "probe": True,
    }
    events = {"ingestion": {"probe": True}, "analysis": {"Records": [{"Sns": {"Message": json.dumps(probe)}}]}}
    error, answer = invoke(function, events[function])
    assert error is None, answer
    assert answer["digest"] == release_digest
    listed = read_api("/api/items", limit="100")["items"]
    assert not [item for item in listed if item["source_id"].startswith("probe#")]


def test_a_malformed_announcement_is_an_error_and_not_hidden_in_an_answer(invoke):
    # Through `candidate`, so that the alarm of `live` does not ring for a test.
    error, answer = invoke("analysis", {"Records": [{}]}, alias="candidate")
    assert error == "Unhandled"
    assert answer["errorType"] == "MalformedRecordError"
