import ast
import functools
import hmac
import inspect
import itertools
import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from components.settings import FUNCTION_TIMEOUT_SECONDS
from release.settings import ReleaseSettings as Judging
from tests.unit.lambdas import asking
from tests.unit.lambdas.asking import KEY

SECRET = "preprod/sentiment-analyzer/dashboard-api-key"
PRIVATE = ["/", "/api/metrics", "/api/items"]
NOW = datetime(2026, 11, 23, 6, 0, 30, tzinfo=UTC)


@pytest.fixture
def ask(dashboard, context):
    return functools.partial(asking.ask, dashboard, context)


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
    body = ask("/api/metrics", KEY)[1]
    assert body.pop("by_day").keys()
    assert body == {
        "total": 3,
        "by_sentiment": {"positive": 2, "neutral": 0, "negative": 1},
        "by_tag": {"climate": 1, "robots": 2},
        "counted_from": "",
        "pending": 1,
        "pending_counted_from": "",
        "truncated": False,
    }


def test_metrics_by_day_are_the_last_fourteen_in_order_with_the_empty_ones(dashboard, items, table):
    for number, (timestamp, sentiment) in enumerate(
        [
            ("2026-11-22T23:59:59Z", "neutral"),
            ("2026-11-10T00:00:00Z", "negative"),
            ("2026-11-09T23:59:59Z", "negative"),
            ("2026-11-24T00:00:00Z", "positive"),
        ]
    ):
        item = {"source_id": f"news#1{number}", "timestamp": timestamp, "status": "analyzed", "sentiment": sentiment}
        table.put_item(Item=item)
    by_day = dashboard.store.metrics(NOW.date(), arrived=time.monotonic())["by_day"]
    assert list(by_day) == [f"2026-11-{day}" for day in range(10, 24)]
    assert {day: counts for day, counts in by_day.items() if any(counts.values())} == {
        "2026-11-10": {"positive": 0, "neutral": 0, "negative": 1},
        "2026-11-22": {"positive": 0, "neutral": 1, "negative": 0},
        "2026-11-23": {"positive": 2, "neutral": 0, "negative": 1},
    }


def test_metrics_ask_an_index_twice_and_for_no_texts(dashboard, table, monkeypatch):
    asked = []

    def query(**question):
        asked.append((question["IndexName"], set(question["ExpressionAttributeNames"].values())))
        return {"Items": []}

    monkeypatch.setattr(dashboard.store, "_table", lambda: SimpleNamespace(query=query))
    dashboard.store.metrics(NOW.date(), arrived=time.monotonic())
    assert [index for index, _ in asked] == ["by_status"] * 2
    assert all(fields == {"source_id", "timestamp", "tag", "sentiment", "probe"} for _, fields in asked)


def test_metrics_say_down_to_when_they_counted(ask, items, dashboard, monkeypatch):
    monkeypatch.setattr(dashboard.store, "_PAGE", 1)
    monkeypatch.setattr(dashboard.store, "_COUNTED_AT_MOST", 4)  # the three probes, and one item
    body = ask("/api/metrics", KEY)[1]
    assert body["by_sentiment"] == {"positive": 1, "neutral": 0, "negative": 0}
    assert (body["counted_from"], body["pending_counted_from"]) == ("2026-11-23T03:00:00Z", "")
    assert body["truncated"] is True


class Store:
    """A table without end that takes `seconds` of a made-up clock for each answer."""

    def __init__(self, dashboard, monkeypatch, seconds):
        self.now, self.questions = 1000.0, []
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(dashboard.store, "time", clock)
        monkeypatch.setattr(dashboard.handler, "time", clock)
        monkeypatch.setattr(dashboard.store, "_table", lambda: SimpleNamespace(query=self.query))
        self._seconds = seconds

    def query(self, **question):
        self.now += self._seconds
        self.questions.append(question)
        second = NOW - timedelta(seconds=len(self.questions))
        item = {"timestamp": f"{second:%Y-%m-%dT%H:%M:%SZ}", "status": "analyzed", "sentiment": "neutral"}
        items = [item | {"source_id": f"news#{number}"} for number in range(question["Limit"])]
        return {"Items": items, "LastEvaluatedKey": {"source_id": "x", "timestamp": "x"}}


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 10_000), (1.0, 1000), (5.0, 500)])
def test_counting_ends_at_its_bound_or_after_some_seconds_and_says_so(ask, dashboard, monkeypatch, seconds, expected):
    store = Store(dashboard, monkeypatch, seconds)
    if seconds < 4:  # otherwise there is no time left to count what waits
        status, body, _ = ask("/api/metrics", KEY)
        assert (status, body["total"], body["truncated"]) == (200, expected, True)
        assert body["counted_from"]
    found, reached = dashboard.store._counted("analyzed", store.now, until=dashboard.store._ANALYZED_UNTIL)
    assert len(found) == expected
    assert reached == found[-1]["timestamp"]


@pytest.mark.parametrize("path", PRIVATE)
def test_no_read_begins_when_another_one_could_not_end_in_time(ask, dashboard, monkeypatch, path, capsys):
    store = Store(dashboard, monkeypatch, 9.0)
    monkeypatch.setattr(dashboard.store, "_LOOKED_AT_MOST", 10_000)
    status, body, headers = ask(path, KEY, {"sentiment": "positive"} if path == "/api/items" else None)
    assert (status, int(headers["retry-after"]) > 0) == (503, True)
    assert "could not be read in time" in body["error"]
    assert len(store.questions) == 1
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line.get("reason")) for line in logged] == [("too_slow", "timeout"), ("answered", None)]


PASSING = {
    "slow": (ReadTimeoutError(endpoint_url="https://dynamodb"), "could not be read in time"),
    "unconnected": (ConnectTimeoutError(endpoint_url="https://dynamodb"), "could not be read in time"),
    "throttled": (ClientError({"Error": {"Code": "ThrottlingException"}}, "Query"), "too much is asked for"),
}


@pytest.mark.parametrize(("error", "reason"), PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize("store", ["table", "secrets"])
def test_a_store_that_is_too_slow_or_refuses_by_load_is_503_with_a_reason(
    ask, dashboard, monkeypatch, store, path, error, reason
):
    def fails(**_):
        raise error

    if store == "table":
        monkeypatch.setattr(dashboard.store, "_table", lambda: SimpleNamespace(query=fails))
    else:
        client = SimpleNamespace(get_secret_value=fails)
        monkeypatch.setattr(dashboard.auth.boto3, "client", lambda *_, **__: client)
    status, body, headers = ask(path, KEY)
    assert (status, headers["retry-after"]) == (503, "30")
    assert reason in body["error"]
    assert headers["x-release-digest"] == "d" * 64


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "InternalServerError"])
def test_a_failure_that_does_not_pass_by_itself_raises_so_that_the_alarm_sees_it(ask, dashboard, monkeypatch, code):
    def fails(**_):
        raise ClientError({"Error": {"Code": code}}, "Query")

    monkeypatch.setattr(dashboard.store, "_table", lambda: SimpleNamespace(query=fails))
    for path in PRIVATE:
        with pytest.raises(ClientError):
            ask(path, KEY)


def test_counts_of_many_items_end_before_the_releaser_and_the_alarm_take_the_answer_for_slow(dashboard):
    assert dashboard.store._ANALYZED_UNTIL < dashboard.store._PENDING_UNTIL < Judging().answer_limit_s


def test_the_slowest_answer_ends_within_the_shortest_time_limit_that_the_settings_allow(dashboard):
    def longest(config):
        tries = config.retries["total_max_attempts"]
        pauses = sum(2**number for number in range(tries - 1))  # "standard" retries: a random part of 1 s, 2 s, 4 s...
        return tries * (config.connect_timeout + config.read_timeout) + pauses

    key = longest(dashboard.auth._AWS)
    read = longest(dashboard.store._AWS)
    for_code = 2
    assert max(key, dashboard.store._BEGUN_UNTIL + read) + for_code <= min(FUNCTION_TIMEOUT_SECONDS)


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
    assert ask("/api/items", KEY, {"tag": "robots\ud83e"})[0] == 400


def test_an_unknown_path_is_404_and_a_wrong_method_405(ask):
    assert ask("/admin", KEY)[0] == 404
    status, _, headers = ask("/api/items", KEY, method="POST")
    assert (status, headers["allow"]) == (405, "GET")


ANSWERS = {
    "ok": ("/health", {}, None, "GET", 200),
    "page": ("/", KEY, None, "GET", 200),
    "metrics": ("/api/metrics", KEY, None, "GET", 200),
    "items": ("/api/items", KEY, None, "GET", 200),
    "limit": ("/api/items", KEY, {"limit": "x"}, "GET", 400),
    "sentiment": ("/api/items", KEY, {"sentiment": "x"}, "GET", 400),
    "tag": ("/api/items", KEY, {"tag": "x" * 101}, "GET", 400),
    "cursor": ("/api/items", KEY, {"after": "x"}, "GET", 400),
    "parameter": ("/api/metrics", KEY, {"right-key": "right-key"}, "GET", 400),
    "no key": ("/", {}, None, "GET", 401),
    "wrong key": ("/api/items", {"x-api-key": "wrong"}, None, "GET", 401),
    "path": ("/right-key", KEY, None, "GET", 404),
    "method": ("/api/items", KEY, None, "POST", 405),
}


@pytest.mark.parametrize(("path", "headers", "query", "method", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_every_answer_carries_the_security_headers_and_names_its_release(
    ask, items, path, headers, query, method, expected
):
    status, _, answered = ask(path, headers, query, method)
    assert status == expected
    assert {
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "strict-transport-security": "max-age=31536000; includeSubDomains",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "x-release-digest": "d" * 64,
    }.items() <= answered.items()
    assert answered["content-security-policy"].startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in answered["content-security-policy"]


def _refused(operation):
    """What AWS says when a right is missing: names, account and role stand in it."""
    message = (
        "User: arn:aws:sts::123456789012:assumed-role/preprod-sentiment-dashboard/x is not authorized on resource: "
        "arn:aws:dynamodb:us-east-1:123456789012:table/preprod-sentiment-items"
    )
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, operation)


FAILURES = {
    "nothing": {},
    "the table refuses": {"table": _refused("Query")},
    "the table is too slow": {"table": ReadTimeoutError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")},
    "the secret store refuses": {"secrets": _refused("GetSecretValue")},
    "there is no secret": {"secret": None},
    "the secret is no JSON": {"secret": "right-key"},
    "the secret is half a surrogate pair": {"secret": '{"api_key": "right-key\\ud800"}'},
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_no_answer_tells_a_secret_a_name_of_ours_or_an_exception(
    ask, items, dashboard, context, monkeypatch, set_secret, failure
):
    def fails(kind):
        def failing(**_):
            raise failure[kind]

        return failing

    if "table" in failure:
        broken = SimpleNamespace(get_item=fails("table"), query=fails("table"))
        monkeypatch.setattr(dashboard.store, "_table", lambda: broken)
    if "secrets" in failure:
        store = SimpleNamespace(get_secret_value=fails("secrets"))
        monkeypatch.setattr(dashboard.auth.boto3, "client", lambda *_, **__: store)
    if "secret" in failure:
        set_secret(SECRET, failure["secret"])
    answers = []
    for path, headers, query, method, _ in ANSWERS.values():
        try:
            answers.append(ask(path, headers, query, method))
        except ClientError:
            # No answer of ours: the function URL says 502 and nothing else.
            assert {"table", "secrets"} & set(failure)
    assert len(answers) >= 4
    told = json.dumps(answers)
    assert {status for status, *_ in answers} <= {200, 400, 401, 404, 405, 503}
    private = ["preprod-sentiment", "sentiment-analyzer", "right-key", "123456789012", "arn:", "amazonaws"]
    for word in [*private, "Error(", "Exception", "Traceback", "assumed-role", "by_status"]:
        assert word not in told


def test_the_key_is_compared_by_the_constant_time_function_on_bytes_and_by_nothing_else(ask, dashboard, monkeypatch):
    compared = []

    def comparing(verdict):
        def compare_digest(offered, configured):
            assert (type(offered), configured) == (bytes, b"right-key")
            compared.append(offered)
            return verdict(offered, configured)

        return SimpleNamespace(compare_digest=compare_digest)

    wrong = ["r", "x" * 9, "right-ke", "right-key2", "RIGHT-KEY", "é", "x" * 5000]
    # Whatever is offered reaches the function, and its word alone decides.
    for verdict, expected in [
        (hmac.compare_digest, lambda key: 200 if key == "right-key" else 401),
        (lambda *_: True, lambda key: 200),
        (lambda *_: False, lambda key: 401),
    ]:
        compared.clear()
        monkeypatch.setattr(dashboard.auth, "hmac", comparing(verdict))
        for key in [*wrong, "right-key"]:
            assert ask("/api/metrics", {"x-api-key": key})[0] == expected(key)
        assert compared == [key.encode() for key in [*wrong, "right-key"]]


def test_no_comparison_in_the_key_check_is_about_a_key_but_for_closed(dashboard):
    compared = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(inspect.getsource(dashboard.auth)))
        if isinstance(node, ast.Compare)
    ]
    assert [text for text in compared if "offered" in text or "configured" in text] == ["configured != _CLOSED"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        *itertools.product(["/api/items", "/api/metrics"], [{"sentimnet": "positive"}, {"Limit": "5"}, {"": ""}]),
        ("/api/metrics", {"tag": "robots"}),
    ],
)
def test_an_unknown_parameter_of_the_api_is_400_and_says_which_there_are(ask, path, query):
    status, body, _ = ask(path, KEY, query)
    known = {"/api/items": "after, limit, sentiment, tag", "/api/metrics": "none"}[path]
    assert (status, body) == (400, {"error": f"parameters of this path: {known}"})


@pytest.mark.parametrize("path", ["/", "/health"])
def test_page_and_health_do_not_mind_parameters(ask, path):
    assert ask(path, KEY, {"utm_source": "mail"})[0] == 200


def test_no_key_reaches_the_logs(ask, capsys):
    ask("/api/items", KEY)
    ask("/api/items", {"authorization": "Bearer something-else"})
    ask("/right-key", KEY)
    logged = capsys.readouterr().out
    assert [json.loads(line)["status"] for line in logged.splitlines()] == [200, 401, 404]
    assert "right-key" not in logged
    assert "something-else" not in logged
