"""The way of the news through all three deployed functions, by nothing but what connects them."""

import pytest

pytestmark = pytest.mark.deployed


def test_news_of_one_run_are_analyzed_and_shown(first_run, read_api, eventually):
    error, answer = first_run
    assert error is None, answer
    assert answer["fetched"] > 0

    def all_analyzed():
        # Another run of these tests may have its own items here.
        items = [item for item in read_api("/api/items", limit=100)["items"] if not item["tag"].startswith("test-")]
        return items if items and all(item["status"] == "analyzed" for item in items) else None

    for item in eventually("every item that the API lists is analyzed", all_analyzed):
        assert item["sentiment"] in {"positive", "neutral", "negative"}
        assert -1 <= item["score"] <= 1
    assert read_api("/api/metrics")["total"] > 0


def test_an_item_goes_from_the_topic_through_the_table_to_the_api_and_the_counts(
    make_item, now, tag, topic, announcement, read_api, eventually
):
    item = make_item(timestamp=now)
    eventually("it waits for its analysis", lambda: read_api("/api/items", tag=tag)["count"] == 1)
    assert read_api("/api/items", tag=tag)["items"][0]["status"] == "pending"
    assert tag not in read_api("/api/metrics")["by_tag"]
    topic.publish(Message=announcement(item))

    def shown():
        return [one for one in read_api("/api/items", tag=tag, sentiment="positive")["items"] if one["score"] > 0]

    (found,) = eventually("the API shows it as positive", shown)
    assert found["source_id"] == item["source_id"]
    eventually("it is counted", lambda: read_api("/api/metrics")["by_tag"].get(tag) == 1)


def test_an_item_is_never_shown_twice_however_often_it_is_announced(
    make_item, now, tag, topic, announcement, read_api, eventually
):
    item = make_item(timestamp=now)
    for _ in range(5):
        topic.publish(Message=announcement(item))
    eventually("it is shown", lambda: read_api("/api/items", tag=tag, sentiment="positive")["count"] == 1)
    assert read_api("/api/items", tag=tag)["count"] == 1
    assert read_api("/api/metrics")["by_tag"][tag] == 1
