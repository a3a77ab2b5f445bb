import json
import time
from decimal import Decimal

import pytest

ITEM = {"source_id": "news#1", "timestamp": "2026-11-23T05:52:00Z", "tag": "robots"}
GOOD, BAD, DULL = "What a wonderful, happy success", "A horrible, tragic disaster", "The council meets on Tuesday"


def event_of(*messages):
    return {"Records": [{"Sns": {"Message": json.dumps(message)}} for message in messages]}


def message(title=GOOD, text="", **changes):
    return ITEM | {"title": title, "text": text} | changes


@pytest.fixture
def pending(table):
    table.put_item(Item=ITEM | {"status": "pending", "title": GOOD})


def stored(table, source_id="news#1"):
    return table.get_item(Key={"source_id": source_id, "timestamp": ITEM["timestamp"]})["Item"]


@pytest.mark.parametrize(("title", "sentiment"), [(GOOD, "positive"), (BAD, "negative"), (DULL, "neutral")])
@pytest.mark.usefixtures("pending")
def test_a_pending_item_becomes_analyzed_with_sentiment_and_score(analysis, table, context, title, sentiment):
    result = analysis.handler.handle(event_of(message(title)), context)
    item = stored(table)
    assert (item["status"], item["sentiment"]) == ("analyzed", sentiment)
    assert -1 <= item["score"] <= 1
    assert (result["analyzed"], result["items"][0]["sentiment"]) == (1, sentiment)


def test_the_text_counts_beside_the_title(analysis, pending, context):
    result = analysis.handler.handle(event_of(message(DULL, BAD)), context)
    assert result["items"][0]["sentiment"] == "negative"


def test_a_second_delivery_changes_nothing_and_is_no_error(analysis, table, pending, context):
    analysis.handler.handle(event_of(message(GOOD)), context)
    before = stored(table)
    again = analysis.handler.handle(event_of(message(BAD)), context)
    assert (again["analyzed"], again["already_analyzed"]) == (0, 1)
    assert stored(table) == before


def test_an_item_that_is_not_in_the_table_raises_and_is_not_made(analysis, table, context):
    with pytest.raises(analysis.handler.ItemMissingError, match="news#1"):
        analysis.handler.handle(event_of(message()), context)
    assert table.scan()["Items"] == []


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Records": []},
        {"Records": [{"Sns": {}}]},
        {"Records": [{"Sns": {"Message": "not json"}}]},
        {"Records": [{"Sns": {"Message": "[]"}}]},
        event_of(message(source_id="")),
        event_of(message(title=None)),
        event_of(message(timestamp=5)),
        event_of(message(probe="yes")),
        event_of(message(probe=True)),
        event_of(message(source_id="probe#1")),
    ],
)
def test_a_malformed_record_raises(analysis, pending, table, context, event):
    with pytest.raises(analysis.messages.MalformedRecordError):
        analysis.handler.handle(event, context)
    assert stored(table)["status"] == "pending"


def test_one_malformed_record_keeps_its_whole_event_from_being_written(analysis, pending, table, context):
    with pytest.raises(analysis.messages.MalformedRecordError):
        analysis.handler.handle(event_of(message(), {}), context)
    assert stored(table)["status"] == "pending"


def test_a_probe_needs_no_item_is_marked_and_expires_in_an_hour(analysis, table, context):
    for analyzed in (1, 0):
        result = analysis.handler.handle(event_of(message(source_id="probe#1", probe=True)), context)
        assert result["analyzed"] == analyzed
    item = stored(table, "probe#1")
    assert item["probe"] is True
    assert abs(int(item["expires_at"]) - (time.time() + 3600)) < 60


def test_the_bounds_of_neutral_are_those_of_the_library(analysis, monkeypatch):
    for compound, sentiment in ((0.05, "positive"), (0.0499, "neutral"), (-0.05, "negative"), (-0.0499, "neutral")):
        fake = type("Fake", (), {"polarity_scores": lambda self, text, value=compound: {"compound": value}})()
        monkeypatch.setattr(analysis.sentiment, "_ANALYZER", fake)
        assert analysis.sentiment.score("x") == (sentiment, Decimal(str(compound)))


def test_the_answer_says_which_build_gave_it(analysis, pending, context):
    result = analysis.handler.handle(event_of(message()), context)
    assert (result["release"], result["digest"], result["version"]) == ("a" * 40, "d" * 64, "7")
