"""Ingestion as it is deployed: started as its schedule starts it, seen by what it leaves in the table and the API."""

import json
import re
import time

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key

pytestmark = pytest.mark.deployed

A_MONTH_S, AN_HOUR_S = 30 * 24 * 3600, 3600
TAG = "technology"
"""Something that there is always news about; only probes ask for it here."""


@pytest.fixture(scope="module")
def schedule(outputs):
    return boto3.client("scheduler").get_schedule(Name=outputs["ingestion_schedule"])


def probe(*tags: str) -> dict:
    return {"probe": True, "tags": list(tags)}


def listed(read_api) -> list[dict]:
    """The newest items, without what tests have made."""
    return [item for item in read_api("/api/items", limit=100)["items"] if not item["tag"].startswith("test-")]


def test_the_schedule_is_on_and_starts_live_of_the_deployed_function(schedule, outputs):
    assert schedule["State"] == "ENABLED"
    assert schedule["Target"]["Arn"].endswith(f":function:{outputs['functions']['ingestion']}:live")
    assert schedule["Target"]["DeadLetterConfig"]["Arn"]
    assert json.loads(schedule["Target"].get("Input") or "{}") == {}, "the tests start their runs with this event"


def test_a_run_finds_news_and_stores_items_with_all_that_the_api_and_the_analysis_need(
    first_run, read_api, read_item, eventually
):
    error, answer = first_run
    assert error is None, answer
    assert answer["fetched"] > 0
    assert answer["stored"] + answer["known"] > 0
    now = time.time()
    for shown in eventually("the API lists news", lambda: listed(read_api))[:20]:
        item = read_item(shown)
        assert item["source_id"].startswith("news#")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item["timestamp"])
        assert item["status"] in {"pending", "analyzed"}
        assert item["url"].startswith(("https://", "http://"))
        assert all(isinstance(item[name], str) for name in ("tag", "title", "text"))
        assert item["title"]
        assert now < item["expires_at"] <= now + A_MONTH_S + AN_HOUR_S


def test_a_second_run_stores_nothing_twice_and_touches_no_item_that_is_analyzed(
    first_run, invoke, read_api, read_item, eventually
):
    assert first_run[0] is None, first_run[1]

    def done():
        return [item for item in listed(read_api) if item["status"] == "analyzed"]

    before = [read_item(item) for item in eventually("items are analyzed", done)]
    error, again = invoke("ingestion", {})
    assert error is None, again
    assert again["known"] > 0
    assert [read_item(item) for item in before] == before
    seen = [(item["url"], item["timestamp"]) for item in listed(read_api)]
    assert len(seen) == len(set(seen))


def test_a_probe_stores_a_few_marked_items_that_go_in_an_hour_and_announces_nothing(invoke, table, read_api):
    error, answer = invoke("ingestion", probe(TAG))
    assert error is None, answer
    assert answer["probe"] is True
    assert 0 < answer["fetched"] <= 5
    assert answer["announced"] == 0
    found = table.query(
        IndexName="by_tag",
        KeyConditionExpression=Key("tag").eq(TAG),
        FilterExpression=Attr("source_id").begins_with("probe#"),
    )["Items"]
    assert found
    for item in found:
        assert item["probe"] is True
        assert item["expires_at"] <= time.time() + AN_HOUR_S + 60
    shown = read_api("/api/items", tag=TAG, limit=100)["items"]
    assert [item for item in shown if item["source_id"].startswith("probe#")] == []


def test_a_refusal_of_the_news_service_is_an_error_and_not_hidden_in_an_answer(invoke):
    assert invoke("ingestion", probe(TAG), alias="candidate")[0] is None
    # Without a search term NewsAPI answers 400, on AWS as on the local cloud.
    assert invoke("ingestion", probe(""), alias="candidate")[0] == "NewsAnswerError"
