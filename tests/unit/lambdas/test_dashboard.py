import base64
import hashlib
import json
import re
from decimal import Decimal

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

SECRET = "preprod/sentiment-analyzer/dashboard-api-key"
KEY = {"x-api-key": "right-key"}
PRIVATE = ["/", "/api/metrics", "/api/items"]


def event_of(path, headers=None, query=None, method="GET"):
    event = {"version": "2.0", "rawPath": path, "headers": headers or {}}
    return event | {"queryStringParameters": query, "requestContext": {"http": {"method": method, "path": path}}}


@pytest.fixture
def ask(dashboard, context):
    def asking(path, headers=None, query=None, method="GET"):
        answer = dashboard.handler.handle(event_of(path, headers, query, method), context)
        is_json = answer["headers"]["content-type"] == "application/json"
        return answer["statusCode"], json.loads(answer["body"]) if is_json else answer["body"], answer["headers"]

    return asking


@pytest.fixture
def items(table):
    rows = [
        ("news#1", "2026-11-23T01:00:00Z", "robots", "positive"),
        ("news#2", "2026-11-23T02:00:00Z", "robots", "negative"),
        ("news#3", "2026-11-23T03:00:00Z", "climate", "positive"),
    ]
    for source_id, timestamp, tag, sentiment in rows:
        item = {"source_id": source_id, "timestamp": timestamp, "tag": tag, "status": "analyzed", "title": "T"}
        table.put_item(Item=item | {"sentiment": sentiment, "score": Decimal("0.5"), "url": "https://news.example/1"})
    pending = {"source_id": "news#4", "timestamp": "2026-11-23T04:00:00Z", "tag": "robots", "status": "pending"}
    table.put_item(Item=pending | {"title": "<script>alert(1)</script>", "url": "javascript:alert(1)"})
    probe = {"timestamp": "2026-11-23T05:00:00Z", "tag": "robots", "status": "analyzed", "sentiment": "positive"}
    table.put_item(Item=probe | {"source_id": "probe#5", "title": "probe", "probe": True})
    # Each mark alone is enough: an index may not hold the attribute, and a mark may stand on any id.
    table.put_item(Item=probe | {"source_id": "probe#6", "title": "probe"})
    table.put_item(Item=probe | {"source_id": "news#7", "title": "probe", "probe": True})


def test_health_is_public_and_says_which_build_answers(ask):
    status, body, headers = ask("/health")
    assert status == 200
    assert body == {"status": "ok", "release": "a" * 40, "digest": "d" * 64, "version": "7"}
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetItem"), "denied"),
        (ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetItem"), "missing"),
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "GetItem"), "throttled"),
        (ClientError({"Error": {"Code": "InternalServerError"}}, "GetItem"), "unreadable"),
        (ConnectTimeoutError(endpoint_url="x"), "timeout"),
    ],
)
def test_health_without_its_table_is_503_with_the_reason_in_one_word(ask, dashboard, monkeypatch, error, word):
    def fails():
        raise error

    monkeypatch.setattr(dashboard.handler, "read_one", fails)
    status, body, _ = ask("/health")
    assert (status, body["status"], body["digest"]) == (503, word, "d" * 64)


def test_health_asks_the_table_itself(ask, dashboard, monkeypatch, needed):
    nowhere = boto3.resource("dynamodb").Table("no-such-table")
    monkeypatch.setattr(dashboard.store, "_table", lambda: nowhere)
    status, body, _ = ask("/health")
    assert (status, body["status"]) == (503, "missing")
    needed.clear()  # no role gives a right to such a table


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": "wrong"},
        {"x-api-key": "right-key-and-more"},
        {"x-api-key": "schlüssel"},
        {"x-api-key": "\udcff"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"authorization": "right-key"},
        {"authorization": "Basic right-key"},
    ],
)
def test_without_the_right_key_everything_but_health_is_401(ask, headers):
    for path in PRIVATE:
        status, body, answered = ask(path, headers)
        assert (status, body) == (401, {"error": "an API key is needed"})
        assert answered["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("headers", [KEY, {"X-API-Key": "right-key"}, {"Authorization": "bearer right-key"}])
def test_both_headers_open_with_the_right_key(ask, headers):
    assert ask("/api/metrics", headers)[0] == 200


@pytest.mark.parametrize(
    "value", [" ", "{}", '{"api_key": ""}', '{"api_key": "  "}', '{"api_key": null}', "text", "[1]"]
)
def test_an_empty_configured_key_is_closed_never_open(ask, set_secret, value):
    set_secret(SECRET, value)
    for offered in ("", " ", "null", "None", "{}"):
        assert ask("/api/metrics", {"x-api-key": offered})[0] == 401


def test_a_secret_that_does_not_exist_is_closed(ask, set_secret):
    set_secret(SECRET, None)
    assert ask("/api/metrics", KEY)[0] == 401


def test_an_unset_secret_name_is_closed(ask, monkeypatch):
    monkeypatch.delenv("DASHBOARD_KEY_SECRET")
    assert ask("/api/metrics", KEY)[0] == 401


def test_another_failure_of_the_secret_store_raises(ask, dashboard, monkeypatch):
    class Store:
        def get_secret_value(self, **_):
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")

    monkeypatch.setattr(dashboard.auth.boto3, "client", lambda *_, **__: Store())
    with pytest.raises(ClientError):
        ask("/api/metrics", KEY)


def test_a_rotated_key_is_honoured_and_the_old_one_refused(ask, dashboard, set_secret):
    assert ask("/api/metrics", KEY)[0] == 200
    set_secret(SECRET, '{"api_key": "new"}')
    assert ask("/api/metrics", KEY)[0] == 200
    dashboard.auth.forget_key()
    assert ask("/api/metrics", KEY)[0] == 401
    assert ask("/api/metrics", {"x-api-key": "new"})[0] == 200


def test_metrics_count_by_sentiment_and_tag_and_leave_probes_out(ask, items):
    assert ask("/api/metrics", KEY)[1] == {
        "total": 3,
        "by_sentiment": {"positive": 2, "neutral": 0, "negative": 1},
        "by_tag": {"climate": 1, "robots": 2},
        "pending": 1,
        "truncated": False,
    }


def test_metrics_say_when_they_stopped_counting(ask, items, dashboard, monkeypatch):
    monkeypatch.setattr(dashboard.store, "_COUNTED_AT_MOST", 1)
    body = ask("/api/metrics", KEY)[1]
    assert body["by_sentiment"] == {"positive": 1, "neutral": 0, "negative": 1}
    assert body["truncated"] is True


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (None, ["news#4", "news#3", "news#2", "news#1"]),
        ({"limit": "2"}, ["news#4", "news#3"]),
        ({"tag": "robots"}, ["news#4", "news#2", "news#1"]),
        ({"sentiment": "positive"}, ["news#3", "news#1"]),
        ({"tag": "robots", "sentiment": "positive"}, ["news#1"]),
        ({"tag": "unknown"}, []),
    ],
)
def test_items_are_newest_first_filtered_bounded_and_without_probes(ask, items, query, expected):
    status, body, _ = ask("/api/items", KEY, query)
    assert status == 200
    assert [item["source_id"] for item in body["items"]] == expected
    assert body["count"] == len(expected)


def test_items_are_found_behind_many_pages_of_probes(ask, items, table, dashboard, monkeypatch):
    monkeypatch.setattr(dashboard.store, "_PAGE", 1)
    body = ask("/api/items", KEY, {"sentiment": "positive", "limit": "2"})[1]
    assert [item["source_id"] for item in body["items"]] == ["news#3", "news#1"]


@pytest.mark.parametrize("query", [{"limit": value} for value in ("0", "101", "-1", "x", "", "1.5", "٣", "1,2")])
def test_a_bad_limit_is_400(ask, query):
    assert ask("/api/items", KEY, query)[0] == 400


def test_an_unknown_sentiment_and_a_tag_without_end_are_400(ask):
    assert ask("/api/items", KEY, {"sentiment": "angry"})[0] == 400
    assert ask("/api/items", KEY, {"tag": "x" * 101})[0] == 400


def test_an_unknown_path_is_404_and_a_wrong_method_405(ask):
    assert ask("/admin", KEY)[0] == 404
    status, _, headers = ask("/api/items", KEY, method="POST")
    assert (status, headers["allow"]) == (405, "GET")


def test_the_page_escapes_what_the_news_wrote_and_links_only_to_the_web(ask, items):
    status, html, headers = ask("/", KEY)
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "javascript:" not in html
    assert 'href="https://news.example/1"' in html


def test_the_page_allows_exactly_its_own_style(ask, items):
    _, html, headers = ask("/", KEY)
    style = re.search("<style>(.*)</style>", html)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/health", "/", "/api/items", "/nowhere"])
def test_every_answer_carries_the_security_headers(ask, path):
    _, _, headers = ask(path, KEY)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "content-security-policy" in headers


def test_no_key_reaches_the_logs(ask, capsys):
    ask("/api/items", KEY)
    ask("/api/items", {"authorization": "Bearer something-else"})
    ask("/right-key", KEY)
    logged = capsys.readouterr().out
    assert [json.loads(line)["status"] for line in logged.splitlines()] == [200, 401, 404]
    assert "right-key" not in logged
    assert "something-else" not in logged
