"""The dashboard as it is deployed: what holders of the key see, and what nobody sees."""

import json
import re
import uuid
from decimal import Decimal

import pytest

pytestmark = pytest.mark.deployed

HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
TIMES = ("2001-01-03T00:00:00Z", "2001-01-02T00:00:00Z", "2001-01-02T00:00:00Z", "2001-01-01T00:00:00Z")


@pytest.fixture
def five(make_item):
    """Five analyzed items of this test, newest first but for two of the same time, and a probe between them."""
    make_item(source_id=f"probe#{uuid.uuid4().hex}", timestamp=TIMES[1], probe=True, **scored("positive"))
    items = [make_item(timestamp=time, **scored("positive")) for time in TIMES]
    return [*items, make_item(timestamp="2000-01-01T00:00:00Z", **scored("negative"))]


def scored(sentiment):
    return {"status": "analyzed", "sentiment": sentiment, "score": Decimal("0.5"), "analyzed_at": TIMES[0]}


def ids(items) -> list[str]:
    return [item["source_id"] for item in items]


def test_items_are_found_by_tag_and_sentiment_newest_first_and_probes_are_not(five, tag, read_api, eventually):
    eventually("the indexes follow", lambda: read_api("/api/items", tag=tag)["count"] == 5)
    found = read_api("/api/items", tag=tag)["items"]
    assert sorted(ids(found)) == sorted(ids(five))
    assert [item["timestamp"] for item in found] == [item["timestamp"] for item in five]
    assert ids(read_api("/api/items", tag=tag, sentiment="negative")["items"]) == ids(five[4:])
    assert read_api("/api/items", tag=tag, sentiment="neutral")["items"] == []
    assert {"title", "url", "sentiment", "score", "status", "tag"} <= set(found[0])


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_pages_hold_every_item_once(five, tag, read_api, eventually, limit):
    eventually("the indexes follow", lambda: read_api("/api/items", tag=tag)["count"] == 5)
    found, cursor = [], {}
    for _ in range(10):
        page = read_api("/api/items", tag=tag, limit=limit, **cursor)
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            break
        cursor = {"after": page["next"]}
    assert sorted(ids(found)) == sorted(ids(five))


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"sentiment": "angry"}, {"tag": "x" * 101}, {"after": "?"}],
)
def test_a_question_that_makes_no_sense_is_400(dashboard, api_key, query):
    answer = dashboard.get("/api/items", params=query, headers={"X-API-Key": api_key})
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_metrics_count_what_is_there_without_probes(make_item, now, tag, read_api, eventually):
    for sentiment in ("positive", "positive", "negative"):
        make_item(timestamp=now, **scored(sentiment))
    make_item(timestamp=now, source_id=f"probe#{uuid.uuid4().hex}", probe=True, **scored("positive"))
    eventually("the items are counted", lambda: read_api("/api/metrics")["by_tag"].get(tag) == 3)
    metrics = read_api("/api/metrics")
    assert set(metrics["by_sentiment"]) == {"positive", "neutral", "negative"}
    assert metrics["total"] == sum(metrics["by_sentiment"].values())
    assert metrics["pending"] >= 0


def test_the_page_shows_the_release_and_escapes_what_the_news_wrote(
    dashboard, api_key, release, make_item, now, eventually
):
    title = "<b onclick=alert(1)>made up</b>"
    make_item(title=title, url="javascript:alert(1)", timestamp=now, **scored("neutral"))

    def page():
        answer = dashboard.get("/", headers={"X-API-Key": api_key})
        assert answer.status_code == 200
        return answer if "made up" in answer.text else None

    answer = eventually("the page shows the newest item", page)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert release["release"][:7] in answer.text
    assert "<b onclick" not in answer.text
    assert "&lt;b onclick" in answer.text
    assert 'href="javascript:' not in answer.text
    assert not re.search(r"<script|<link|<iframe|@import|\ssrc=", answer.text), "the page needs nothing from elsewhere"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]


ANSWERS = [
    ("GET", "/health", False, 200),
    ("GET", "/", True, 200),
    ("GET", "/api/metrics", True, 200),
    ("GET", "/api/items", True, 200),
    ("GET", "/api/items?limit=x", True, 400),
    ("GET", "/api/items", False, 401),
    ("GET", "/api/secrets", False, 404),
    ("GET", "/api/items/../../etc/passwd", True, 404),
    ("POST", "/health", False, 405),
]


@pytest.mark.parametrize(("method", "path", "with_key", "status"), ANSWERS)
def test_every_answer_is_guarded_names_its_release_and_tells_no_secret(
    dashboard, api_key, outputs, release, method, path, with_key, status
):
    answer = dashboard.request(method, path, headers={"X-API-Key": api_key} if with_key else {})
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "content-security-policy" in answer.headers
    assert answer.headers["x-release-digest"] == release["digest"]
    account = outputs["new_items_topic"].split(":")[4]
    told = answer.text + json.dumps(dict(answer.headers))
    for secret in (api_key, outputs["items_table"], "sentiment-analyzer/", "arn:aws", account, "Traceback"):
        assert secret not in told
