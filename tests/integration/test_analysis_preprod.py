"""Analysis as it is deployed: called by the topic, seen by what it writes into the table."""

import json

import pytest

pytestmark = pytest.mark.deployed

SAMPLES = {
    "positive": ("A wonderful day: everybody is happy", "The best results ever, and people love them."),
    "negative": ("A horrible disaster: many are dead", "The worst failure ever, and people are angry and sad."),
    "neutral": ("The council meets on Tuesday", "The agenda has four items."),
}


def event(*messages: str) -> dict:
    return {"Records": [{"Sns": {"Message": message}} for message in messages]}


def test_announced_items_are_scored_by_what_they_say_and_keep_everything_else(
    make_item, topic, announcement, analyzed, eventually
):
    items = {label: make_item(title=title, text=text) for label, (title, text) in SAMPLES.items()}
    for item in items.values():
        topic.publish(Message=announcement(item))
    found = {
        label: eventually(f"the {label} item is analyzed", lambda i=item: analyzed(i)) for label, item in items.items()
    }
    assert {label: item["sentiment"] for label, item in found.items()} == {label: label for label in SAMPLES}
    assert found["negative"]["score"] < found["neutral"]["score"] < found["positive"]["score"]
    for label, item in found.items():
        assert {name: item[name] for name in items[label]} == items[label] | {"status": "analyzed"}


def test_a_second_delivery_changes_nothing(make_item, topic, announcement, analyzed, eventually, invoke, read_item):
    item = make_item()
    topic.publish(Message=announcement(item))
    first = eventually("the item is analyzed", lambda: analyzed(item))
    error, answer = invoke("analysis", event(announcement(item)))
    assert error is None, answer
    assert (answer["analyzed"], answer["already_analyzed"]) == (0, 1)
    # A message about the same item that says something else comes too late as well.
    error, answer = invoke("analysis", event(announcement(item | {"title": SAMPLES["negative"][0], "text": ""})))
    assert error is None, answer
    assert (answer["analyzed"], answer["already_analyzed"]) == (0, 1)
    assert read_item(item) == first


def test_what_one_call_scores_is_in_the_table_when_it_answers(make_item, announcement, invoke, analyzed):
    item = make_item()
    error, answer = invoke("analysis", event(announcement(item)))
    assert error is None, answer
    assert (answer["analyzed"], answer["already_analyzed"]) == (1, 0)
    assert analyzed(item)["sentiment"] == answer["items"][0]["sentiment"] == "positive"


def test_an_announced_item_that_does_not_exist_is_an_error_and_is_not_made(
    make_item, table, announcement, invoke, read_item
):
    item = make_item()
    table.delete_item(Key={name: item[name] for name in ("source_id", "timestamp")})
    assert invoke("analysis", event(announcement(item)), alias="candidate")[0] == "ItemMissingError"
    assert read_item(item) == {}


@pytest.mark.parametrize(
    "broken",
    [
        {"Records": [{}]},
        event("no json"),
        event(json.dumps({"source_id": "news#x"})),
    ],
    ids=["no message", "no json", "no fields"],
)
def test_a_malformed_announcement_is_an_error_and_not_hidden_in_an_answer(invoke, broken):
    assert invoke("analysis", broken, alias="candidate")[0] == "MalformedRecordError"


def test_beside_a_malformed_record_nothing_is_written(make_item, announcement, invoke, read_item):
    item = make_item()
    assert invoke("analysis", event(announcement(item), "{}"), alias="candidate")[0] == "MalformedRecordError"
    assert read_item(item) == item
