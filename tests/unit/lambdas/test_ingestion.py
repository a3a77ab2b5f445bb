import contextlib
import json
import logging
import time
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest
from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.service.alarms import alarms
from components.service.functions import FUNCTIONS
from components.settings import LONGEST_TAG, SettingError, parse
from localcloud.lambdas.embedded import metrics_of
from release.analysis.probes import questions
from release.ledger.lifecycle import ReleaseId
from release.pulumi.stack_config import load, raw
from tests.examples import examples
from tests.fixtures import newsapi_responses as newsapi
from tests.fixtures.sentences import APOSTROPHES
from tests.stacks import STACK_FILES

SECRET = "preprod/sentiment-analyzer/newsapi"
MOST_TRIES = 3
SNS_BATCH_BYTES, SNS_BATCH_ENTRIES = 256 * 1024, 10


@pytest.fixture(autouse=True)
def waited(monkeypatch):
    """Seconds that urllib3 would have waited before it asked again; nobody waits for real."""
    waits = []
    monkeypatch.setattr("urllib3.util.retry.time", SimpleNamespace(sleep=waits.append, time=time.time))
    return waits


def run(ingestion, context, event=None, error=None):
    """One run; returns the error that it raised, which must have the name, or the answer."""
    if error is None:
        return ingestion.handler.handle(event or {}, context)
    # The classes are loaded afresh by each test file, and Lambda tells only their names.
    with pytest.raises(Exception) as raised:  # noqa: PT011
        ingestion.handler.handle(event or {}, context)
    assert type(raised.value).__name__ == error
    return str(raised.value)


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def events(capsys):
    return [line["event"] for line in lines(capsys)]


def items_of(table):
    return table.scan()["Items"]


def test_a_new_article_is_stored_once_with_everything_that_the_api_needs(ingestion, news, table, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.answer([newsapi.article(1)]))
    ingestion.handler.handle({}, context)
    (item,) = items_of(table)
    assert item["source_id"].startswith("news#")
    assert item["timestamp"] == newsapi.published(1)
    assert (item["status"], item["tag"], item["url"]) == ("pending", "robots", "https://news.example/articles/1")
    assert "wonderful" in item["title"]
    assert "happy" in item["text"]
    assert abs(int(item["expires_at"]) - (time.time() + 30 * 24 * 3600)) < 60


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters=","), min_size=1, max_size=120) | st.from_regex(r"\A.{99,101}\Z"))
def test_a_tag_that_the_setting_takes_is_one_for_the_probe_and_for_the_query_too(ingestion, dashboard, tag):
    values = raw("prod", STACK_FILES) | {"sentiment-pipeline:watchTags": json.dumps([tag])}
    try:
        (taken,) = parse(values, "prod").watch_tags
    except SettingError:
        return
    assert ingestion.handler._is_tag(taken)
    assert ingestion.handler._LONGEST_TAG == dashboard.handler._LONGEST_TAG == LONGEST_TAG


def test_each_watch_tag_is_asked_for_with_the_key_of_the_secret(ingestion, news, context):
    news.answers.append(newsapi.empty())
    ingestion.handler.handle({}, context)
    assert [path.split("q=")[1].split("&")[0] for path, _ in news.requests] == ["robots", "climate"]
    assert {headers["x-api-key"] for _, headers in news.requests} == {"key-of-news"}


def test_each_new_item_is_announced_and_the_second_run_announces_only_what_is_still_pending(
    ingestion, news, table, inbox, context
):
    news.answers.append(newsapi.happy_path())
    first = ingestion.handler.handle({}, context)
    # Both tags give the same three articles.
    assert (first["fetched"], first["stored"], first["known"], first["skipped"]) == (6, 3, 0, {"duplicate": 3})
    announced = [message["source_id"] for message in inbox()]
    assert sorted(announced) == sorted(item["source_id"] for item in items_of(table))
    for item in items_of(table):
        key = {"source_id": item["source_id"], "timestamp": item["timestamp"]}
        table.put_item(Item=item | {"status": "analyzed"} | key)
    second = ingestion.handler.handle({}, context)
    assert (second["stored"], second["known"], second["announced"]) == (0, 3, 0)
    assert inbox() == []


def test_an_article_that_two_tags_find_belongs_to_the_first_and_is_announced_once(
    ingestion, news, table, inbox, context
):
    news.answers += [newsapi.answer([newsapi.article(1)]), newsapi.answer([newsapi.article(2), newsapi.article(1)])]
    run(ingestion, context)
    assert {item["url"][-1]: item["tag"] for item in items_of(table)} == {"1": "robots", "2": "climate"}
    assert sorted(message["tag"] for message in inbox()) == ["climate", "robots"]


def test_an_article_that_comes_several_times_in_one_answer_is_one_item(ingestion, news, table, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.answer(newsapi.duplicates()))
    assert run(ingestion, context)["skipped"] == {"duplicate": 2}
    assert len(items_of(table)) == 2


def test_an_item_that_is_still_pending_is_announced_by_every_run_once(ingestion, news, inbox, context):
    news.answers.append(newsapi.happy_path())
    run(ingestion, context)
    inbox()
    again = run(ingestion, context)
    assert (again["stored"], again["known"], again["announced"]) == (0, 3, 3)
    assert len({message["source_id"] for message in inbox()}) == 3


def test_an_item_whose_announcement_failed_is_announced_by_the_next_run(ingestion, news, inbox, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.happy_path())

    class Refusing:
        def publish_batch(self, **question):
            entries = question["PublishBatchRequestEntries"]
            return {"Failed": [{"Id": entry["Id"], "Code": "InternalError"} for entry in entries]}

    with monkeypatch.context() as broken:
        broken.setattr(ingestion.handler, "_sns", Refusing)
        with pytest.raises(ingestion.items.AnnouncementError, match="3 of 3 items not announced"):
            ingestion.handler.handle({}, context)
    assert inbox() == []
    assert ingestion.handler.handle({}, context)["announced"] == 3
    assert len(inbox()) == 3


def test_articles_with_missing_fields_are_skipped_and_counted_by_reason(ingestion, news, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.answer(newsapi.missing_fields()))
    result = ingestion.handler.handle({}, context)
    assert result["stored"] == 2
    assert result["skipped"] == {
        "no_url": 1,
        "no_title": 1,
        "no_published_at": 1,
        "bad_published_at": 1,
        "bad_url": 1,
        "not_an_object": 1,
    }


def test_an_empty_answer_is_a_good_answer(ingestion, news, table, context):
    news.answers.append(newsapi.empty())
    assert ingestion.handler.handle({}, context)["fetched"] == 0
    assert items_of(table) == []


def test_a_hundred_articles_are_stored_and_announced(ingestion, news, inbox, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.bulk())
    result = ingestion.handler.handle({}, context)
    assert (result["fetched"], result["stored"], result["announced"]) == (100, 100, 100)
    assert len({message["source_id"] for message in inbox()}) == 100


def test_an_article_that_its_publisher_took_back_is_skipped(ingestion, news, table, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    other = newsapi.article(3, title="[Removed]"), newsapi.article(4, url="https://removed.com/")
    news.answers.append(newsapi.answer([*newsapi.removed(), *other]))
    assert run(ingestion, context)["skipped"] == {"removed": 3}
    assert [item["url"] for item in items_of(table)] == ["https://news.example/articles/1"]


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https:///path",
        "ftp://news.example",
        "//news.example",
        "https://news.example/a b",
        "a",
        "https://\x00",
    ],
)
def test_an_article_whose_url_leads_nowhere_is_skipped(ingestion, news, context, monkeypatch, url):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.answer([newsapi.article(1, url=url)]))
    assert run(ingestion, context)["skipped"] == {"bad_url": 1}


def test_texts_of_all_alphabets_survive_and_what_no_store_can_hold_is_replaced(
    ingestion, news, table, inbox, context, monkeypatch
):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.answer(newsapi.unicode_texts()))
    result = run(ingestion, context)
    assert (result["stored"], result["announced"], result["skipped"]) == (3, 3, {"bad_url": 1})
    expected = {
        "1": ("Größte Freude: 機器人獲獎 🤖🏆", "Семья 👨\u200d👩\u200d👧 рада, שלום"),
        "2": ("Robots win a [31m prize", "one two"),
        "3": ("Half a pair \N{REPLACEMENT CHARACTER}", "\N{REPLACEMENT CHARACTER} the other half"),
    }
    assert {item["url"][-1]: (item["title"], item["text"]) for item in items_of(table)} == expected
    assert sorted((message["title"], message["text"]) for message in inbox()) == sorted(expected.values())


@pytest.mark.parametrize("spelling", APOSTROPHES)
def test_a_text_is_stored_and_announced_with_one_apostrophe_however_a_feed_writes_it(
    ingestion, news, table, inbox, context, monkeypatch, spelling
):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    text = f"This plan isn{spelling}t good"
    news.answers.append(newsapi.answer([newsapi.article(1, title=text, description=text)]))
    run(ingestion, context)
    for found in (*items_of(table), *inbox()):
        assert (found["title"], found["text"]) == ("This plan isn't good", "This plan isn't good")


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Caf\u0065\u0301", "Caf\u00e9"),
        ("one\u00a0\u2009two\u3000 three&nbsp;four\u2028five", "one two three four five"),
        ("go\u00adod \ufeffnews\u200b, \u202eturned\u202c", "good news, turned"),
        ("R&D at AT&T, ?a=1&copy=2", "R&D at AT&T, ?a=1&copy=2"),
        ("&lt;b&gt; is &amp; stays a text", "<b> is & stays a text"),
        ("1\u20442 and \u00bd, \u2122 and \uff21", "1\u20442 and \u00bd, \u2122 and \uff21"),
        ("\u2018quoted\u2019 and \u201cquoted\u201d", "\u2018quoted\u2019 and \u201cquoted\u201d"),
        (
            "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("&#0;&#xD800;&#x110000;a&unknown;", "\ufffd\ufffd\ufffda&unknown;"),
    ],
)
def test_each_text_has_one_form_that_keeps_what_a_person_sees(ingestion, written, stored):
    assert ingestion.text.one_form(written) == stored


@pytest.mark.parametrize("unseen", ["\u200b", "&nbsp;", "\ufeff\u00ad", "&#8203;", "&amp;#160;"])
def test_a_title_that_nobody_can_see_is_none(ingestion, news, context, monkeypatch, unseen):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.answer([newsapi.article(1, title=unseen)]))
    assert run(ingestion, context)["skipped"] == {"no_title": 1}


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters() | st.sampled_from(" &#39;x'`\u2019\u200b\u00a0\u0301"), max_size=60))
@example("a\u00ad&\u200b#39;")
def test_a_text_in_its_one_form_stays_as_it_is(ingestion, text):
    once = ingestion.text.one_form(text)
    assert ingestion.text.one_form(once) == once
    assert once.encode().decode() == once


def test_the_longest_texts_in_the_widest_characters_are_announced_in_one_piece(
    ingestion, news, table, inbox, context, monkeypatch
):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.answer(newsapi.very_long()))
    published = published_by(ingestion, monkeypatch)
    result = run(ingestion, context)
    assert (result["stored"], result["announced"], result["skipped"]) == (20, 20, {"bad_url": 1})
    assert {(len(item["title"]), len(item["text"])) for item in items_of(table)} == {(500, 2000)}
    assert_sns_takes(published)
    assert len(inbox()) == 20


def published_by(ingestion, monkeypatch):
    """The batches that the function publishes from now on, as it hands them to SNS."""
    client, batches = boto3.client("sns"), []

    class Recording:
        def publish_batch(self, **question):
            batches.append(question["PublishBatchRequestEntries"])
            return client.publish_batch(**question)

    monkeypatch.setattr(ingestion.handler, "_sns", Recording)
    return batches


def assert_sns_takes(batches):
    for batch in batches:
        assert 1 <= len(batch) <= SNS_BATCH_ENTRIES
        assert len({entry["Id"] for entry in batch}) == len(batch)
        assert sum(len(entry["Message"].encode()) for entry in batch) <= SNS_BATCH_BYTES


NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def items_out_of(ingestion, *articles):
    return ingestion.items.to_items(articles, "robots", NOW, seen=set())


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("2026-11-25T10:00:00Z", "2026-11-25T10:00:00Z"),
        ("2026-11-25T10:00:00z", "2026-11-25T10:00:00Z"),
        ("2026-11-25t10:00:00z", "2026-11-25T10:00:00Z"),
        ("2026-11-25 10:00:00Z", "2026-11-25T10:00:00Z"),
        ("2026-11-25T10:00:00", "2026-11-25T10:00:00Z"),
        ("2026-11-25T10:00Z", "2026-11-25T10:00:00Z"),
        ("2026-11-25T10:00:00.5Z", "2026-11-25T10:00:00Z"),
        ("2026-11-25T10:00:00,123456789+00:00", "2026-11-25T10:00:00Z"),
        ("2026-11-25T23:00:00+14:00", "2026-11-25T09:00:00Z"),
        ("2026-11-24T22:00:00-1200", "2026-11-25T10:00:00Z"),
        ("20261125T100000Z", "2026-11-25T10:00:00Z"),
        ("2026-06-30T23:59:60Z", "2026-06-30T23:59:59Z"),
        ("2026-06-30T23:59:60.9z", "2026-06-30T23:59:59Z"),
        ("2026-07-01T01:59:60+02:00", "2026-06-30T23:59:59Z"),
        ("20260630T235960Z", "2026-06-30T23:59:59Z"),
        ("2026-11-25", "2026-11-25T00:00:00Z"),
        ("2026-11-25T12:10:00Z", "2026-11-25T12:10:00Z"),
        ("2025-11-24T12:00:00Z", "2025-11-24T12:00:00Z"),
    ],
)
def test_each_spelling_of_a_time_is_stored_as_the_one_of_utc(ingestion, written, stored):
    ((item,), skipped) = items_out_of(ingestion, newsapi.article(1, publishedAt=written))
    assert (item["timestamp"], skipped) == (stored, {})


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("2099-01-01T00:00:00Z", "published_in_future"),
        ("2026-11-25T12:10:01Z", "published_in_future"),
        ("9999-12-31T23:59:59Z", "published_in_future"),
        ("2025-11-24T11:59:59Z", "published_long_ago"),
        ("1970-01-01T00:00:00Z", "published_long_ago"),
        ("0001-01-01T00:00:00Z", "published_long_ago"),
        ("9999-12-31T23:59:59-12:00", "bad_published_at"),
        ("0001-01-01T00:00:00+14:00", "bad_published_at"),
        ("0000-01-01T00:00:00Z", "bad_published_at"),
        ("\uff12\uff10\uff12\uff16-11-25T10:00:00Z", "bad_published_at"),
        ("2026-11-25T1\u0660:00:00Z", "bad_published_at"),
        ("2026-11-25T10:00:61Z", "bad_published_at"),
        ("2026-11-25T10:30:60Z", "bad_published_at"),
        ("2026-02-30T10:00:00Z", "bad_published_at"),
        ("Wed, 25 Nov 2026 10:00:00 GMT", "bad_published_at"),
        ("1795600800", "bad_published_at"),
        (1795600800, "no_published_at"),
        ("", "no_published_at"),
    ],
)
def test_an_article_of_an_impossible_time_is_skipped_and_counted_by_reason(ingestion, written, reason):
    assert items_out_of(ingestion, newsapi.article(1, publishedAt=written)) == ([], {reason: 1})


def test_an_article_that_is_dated_ahead_is_stored_once_its_time_has_come(ingestion):
    ahead = newsapi.article(1, publishedAt="2026-11-25T15:00:00Z")
    assert items_out_of(ingestion, ahead)[0] == []
    (item,), _ = ingestion.items.to_items([ahead], "robots", NOW + timedelta(hours=3), seen=set())
    assert item["timestamp"] == "2026-11-25T15:00:00Z"


# Whatever the news service answers

SIGNS = st.characters()
TEXTS = st.one_of(
    st.text(SIGNS, max_size=40),
    st.builds(lambda sign, count: sign * count, SIGNS, st.integers(0, 3000)),
    st.sampled_from(["🤖" * 3000, '"\\' * 3000, "\ud800" * 3000, "[Removed]", "\ufffe\uffff", ""]),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
MOMENTS = st.one_of(
    st.integers(0, 366 * 24).map(newsapi.published),
    st.datetimes(timezones=st.timezones() | st.none()).map(lambda moment: moment.isoformat()),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-11-02T10:00:00.5Z", "2026-11-02"]),
)
URLS = st.one_of(
    st.integers(1, 30).map("https://news.example/{}".format),
    st.tuples(st.sampled_from(["https://", "http://", "https://news.example/", ""]), TEXTS).map("".join),
)
ARTICLES = (
    st.fixed_dictionaries(
        {},
        optional={"url": URLS | ANYTHING, "title": TEXTS | ANYTHING, "publishedAt": MOMENTS | ANYTHING}
        | dict.fromkeys(("description", "content"), TEXTS | ANYTHING),
    )
    | ANYTHING
)
SOUND = st.builds(newsapi.article, st.integers(1, 100), title=TEXTS, description=TEXTS, url=URLS, publishedAt=MOMENTS)
BODIES = st.one_of(
    st.lists(SOUND | ARTICLES, max_size=25).map(lambda articles: newsapi.answer(articles).body),
    ANYTHING.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=200),
)
STATUSES = st.sampled_from([200] * 8 + [204, 302, 400, 401, 403, 404, 426, 429, 500, 503, 599])
HEADERS = st.dictionaries(st.just("Retry-After"), st.sampled_from(["0", "1", "9" * 5000, "soon", "", "-1"]))
REQUIRED = {"source_id", "timestamp", "status", "tag", "title", "text", "url", "expires_at"}


def test_whatever_the_news_service_answers_is_stored_whole_announced_within_limits_or_an_error_with_a_name(
    ingestion, context, monkeypatch
):
    answers, table, batches = [], [], []

    def put_item(**question):
        TypeSerializer().serialize(question["Item"])
        table.append(question["Item"])

    def publish_batch(**question):
        batches.append(question["PublishBatchRequestEntries"])
        return {}

    monkeypatch.setattr(ingestion.handler, "_table", lambda: SimpleNamespace(put_item=put_item))
    monkeypatch.setattr(ingestion.handler, "_sns", lambda: SimpleNamespace(publish_batch=publish_batch))
    monkeypatch.setattr(ingestion.news, "_HTTP", SimpleNamespace(request=lambda *_, **__: answers.pop(0)))

    @settings(max_examples=examples(200))
    @given(st.lists(st.builds(newsapi.Answer, STATUSES, BODIES, HEADERS), min_size=2, max_size=2))
    @example([newsapi.answer(newsapi.very_long()), newsapi.answer(newsapi.unicode_texts())])
    @example([newsapi.nested(), newsapi.answer(newsapi.missing_fields())])
    def holds(given_answers):
        table.clear(), batches.clear()
        answers[:] = [SimpleNamespace(status=one.status, data=one.body, headers=one.headers) for one in given_answers]
        with contextlib.suppress(ingestion.news.NewsError):
            result = ingestion.handler.handle({}, context)
            assert result["fetched"] == result["stored"] + result["known"] + sum(result["skipped"].values())
            assert len(table) == result["stored"] == result["announced"]
        for item in table:
            assert set(item) == REQUIRED
            assert all(str(value).encode() for name, value in item.items() if name != "text")
            assert len(json.dumps(item, ensure_ascii=False).encode()) < 25_000  # it is read a hundred at a time
            assert len(item["timestamp"]) == len("2026-11-02T10:01:00Z")
        assert len({item["source_id"] for item in table}) == len(table)
        assert_sns_takes(batches)
        messages = [json.loads(entry["Message"]) for batch in batches for entry in batch]
        assert [message["source_id"] for message in messages] == [item["source_id"] for item in table]

    holds()


# The news service fails


@pytest.mark.parametrize(
    ("answer", "error", "tries"),
    [
        (newsapi.parameter_missing(), "NewsAnswerError", 1),
        (newsapi.parameter_invalid(), "NewsAnswerError", 1),
        (newsapi.upgrade_required(), "NewsAnswerError", 1),
        (newsapi.redirect(), "NewsAnswerError", 1),
        (newsapi.not_json(), "NewsAnswerError", 1),
        (newsapi.malformed(), "NewsAnswerError", 1),
        (newsapi.nested(), "NewsAnswerError", 1),
        (newsapi.error_as_success(), "NewsAnswerError", 1),
        (newsapi.key_missing(), "NewsKeyRefusedError", 1),
        (newsapi.key_refused(), "NewsKeyRefusedError", 1),
        (newsapi.error(403, "apiKeyDisabled"), "NewsKeyRefusedError", 1),
        (newsapi.key_exhausted(), "NewsRateLimitedError", 1),
        (newsapi.rate_limited(), "NewsRateLimitedError", MOST_TRIES),
        (newsapi.server_error(), "NewsUnavailableError", MOST_TRIES),
        (newsapi.bad_gateway(), "NewsUnavailableError", MOST_TRIES),
        (newsapi.unavailable(), "NewsUnavailableError", MOST_TRIES),
        (newsapi.unavailable(600), "NewsUnavailableError", 1),
        (newsapi.cut_off(), "NewsUnavailableError", MOST_TRIES),
    ],
    ids=lambda value: f"{value.status}-{value.body[:40]!r}" if isinstance(value, newsapi.Answer) else str(value),
)
def test_each_failure_raises_under_its_name_and_only_what_may_pass_is_asked_again(
    ingestion, news, context, monkeypatch, answer, error, tries
):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(answer)
    run(ingestion, context, error=error)
    assert len(news.requests) == tries


@pytest.mark.parametrize(
    "failure", [newsapi.server_error(), newsapi.bad_gateway(), newsapi.rate_limited(), newsapi.cut_off()]
)
def test_a_failure_that_passes_is_no_failure(ingestion, news, context, waited, capsys, monkeypatch, failure):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers += [failure, failure, newsapi.happy_path()]
    assert run(ingestion, context)["stored"] == 3
    assert waited == [1.0], "the first repeat comes at once"
    said = lines(capsys)
    assert [line["event"] for line in said] == ["news_asked_again", "news_asked_again", "news_asked", "ingested"]
    assert said[0]["reason"] in {"status 500", "status 502", "status 429", "ProtocolError"}
    assert said[2]["NewsFailures"] == 0


@pytest.mark.parametrize("failure", [newsapi.rate_limited, newsapi.unavailable])
def test_a_short_retry_after_is_waited_for(ingestion, news, context, waited, monkeypatch, failure):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers += [failure(2), newsapi.happy_path()]
    assert run(ingestion, context)["stored"] == 3
    assert waited == [2]


def test_a_retry_after_may_be_a_date(ingestion, news, context, waited, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers += [newsapi.rate_limited_until(time.time() + 5), newsapi.happy_path()]
    assert run(ingestion, context)["stored"] == 3
    (seconds,) = waited
    assert 0 < seconds <= 5


@pytest.mark.parametrize("told", [7, 3600, 43200])
def test_a_long_retry_after_is_an_error_at_once_that_says_how_long(ingestion, news, context, waited, monkeypatch, told):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.rate_limited(told))
    said = run(ingestion, context, error="NewsRateLimitedError")
    assert said == f"status 429, code rateLimited, to be asked again in {told} s"
    assert (waited, len(news.requests)) == ([], 1)


def test_a_date_far_away_is_an_error_at_once(ingestion, news, context, waited, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.rate_limited_until(time.time() + 3600))
    assert "to be asked again in 3" in run(ingestion, context, error="NewsRateLimitedError")
    assert (waited, len(news.requests)) == ([], 1)


@pytest.mark.parametrize("nonsense", ["soon", "-1", "0", "9" * 5000, "Mon, 99 Nov 99999 10:00:00 GMT"])
def test_a_retry_after_that_cannot_be_read_counts_as_none(ingestion, news, context, waited, monkeypatch, nonsense):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers += [newsapi.rate_limited(nonsense), newsapi.happy_path()]
    assert run(ingestion, context)["stored"] == 3
    assert waited == []


def test_a_service_that_never_answers_is_left_before_the_time_is_over(ingestion, news, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    monkeypatch.setattr(ingestion.handler, "_LONGEST_REQUEST_SECONDS", 0.25)
    service, limits = ingestion.news._HTTP, []

    def request(*question, **more):
        limits.append(more["timeout"].total)
        return service.request(*question, **more)

    monkeypatch.setattr(ingestion.news, "_HTTP", SimpleNamespace(request=request))
    news.answers.append(newsapi.never())
    assert "TimeoutError" in run(ingestion, context, error="NewsUnavailableError")
    assert limits == [pytest.approx(0.1)], "of one try: two that nobody answers fit"
    assert len(news.requests) < MOST_TRIES, "a third one would not end in time"


def test_nobody_there_is_asked_again_and_neither_error_nor_log_says_the_address(
    ingestion, context, monkeypatch, capsys, caplog
):
    # Port 9 of loopback: nobody listens.
    monkeypatch.setenv("NEWS_ENDPOINT", "http://127.0.0.1:9/v2/everything")
    monkeypatch.setenv("WATCH_TAGS", "robots")
    with caplog.at_level(logging.WARNING):  # as Lambda's runtime sets it
        said = run(ingestion, context, error="NewsUnavailableError")
    assert said == "no answer from the news service (NewConnectionError)"
    logged = capsys.readouterr().out
    assert logged.count("news_asked_again") == MOST_TRIES - 1
    for secret in ("key-of-news", "/v2/everything", "q=robots"):
        assert secret not in logged + caplog.text


def test_each_tag_gets_its_share_of_the_time_that_is_left(ingestion, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "a,b,c,d")
    left = iter([30_000, 29_000, 1_500, -5])
    context.get_remaining_time_in_millis = lambda: next(left)
    shares = []
    monkeypatch.setattr(ingestion.handler, "fetch_articles", lambda *_, seconds, **__: shares.append(seconds) or [])
    run(ingestion, context)
    assert shares == [6.0, 7.25, 0.5, 0.1]


def test_a_request_never_takes_more_than_ten_seconds_however_much_time_there_is(ingestion, context, monkeypatch):
    context.get_remaining_time_in_millis = lambda: 900_000
    shares = []
    monkeypatch.setattr(ingestion.handler, "fetch_articles", lambda *_, seconds, **__: shares.append(seconds) or [])
    run(ingestion, context)
    assert shares == [10, 10]


# Some tags fail


@pytest.mark.parametrize("broken_first", [True, False])
def test_a_tag_that_fails_does_not_lose_the_other_and_the_run_fails_all_the_same(
    ingestion, news, table, inbox, context, capsys, broken_first
):
    answers = [newsapi.parameter_invalid(), newsapi.happy_path()]
    news.answers += answers if broken_first else answers[::-1]
    assert run(ingestion, context, error="NewsAnswerError") == "status 400, code parameterInvalid"
    assert len(items_of(table)) == len(inbox()) == 3
    failed, ended, counted = lines(capsys)
    assert (failed["event"], failed["tag"]) == ("tag_failed", "robots" if broken_first else "climate")
    assert (ended["event"], ended["error"], ended["stored"]) == ("ingestion_failed", "NewsAnswerError", 3)
    assert (counted["event"], counted["NewsFailures"]) == ("news_asked", 1)


def test_when_several_tags_fail_each_is_logged_and_the_first_is_raised(ingestion, news, context, capsys):
    news.answers += [newsapi.key_exhausted(), newsapi.parameter_invalid()]
    run(ingestion, context, error="NewsRateLimitedError")
    said = lines(capsys)
    failed = [(line["tag"], line["error"]) for line in said if line["event"] == "tag_failed"]
    assert failed == [("robots", "NewsRateLimitedError"), ("climate", "NewsAnswerError")]
    assert [line["NewsFailures"] for line in said if "_aws" in line] == [2]


def test_a_refused_key_ends_the_run_at_once(ingestion, news, table, context):
    news.answers += [newsapi.happy_path(), newsapi.key_refused()]
    run(ingestion, context, error="NewsKeyRefusedError")
    assert len(items_of(table)) == 3
    news.requests.clear()
    run(ingestion, context, error="NewsKeyRefusedError")
    assert len(news.requests) == 1


def test_a_refused_key_is_raised_even_after_another_failure(ingestion, news, context):
    news.answers += [newsapi.parameter_invalid(), newsapi.key_refused()]
    run(ingestion, context, error="NewsKeyRefusedError")


def test_a_topic_that_fails_does_not_lose_the_tags_that_follow(ingestion, news, table, context, monkeypatch, capsys):
    news.answers += [newsapi.answer([newsapi.article(1)]), newsapi.answer([newsapi.article(2)])]
    refusing = SimpleNamespace(publish_batch=lambda **_: {"Failed": [{"Id": "0"}]})
    monkeypatch.setattr(ingestion.handler, "_sns", lambda: refusing)
    assert run(ingestion, context, error="AnnouncementError") == "1 of 1 items not announced: {'unknown': 1}"
    assert len(items_of(table)) == 2
    assert [line["NewsFailures"] for line in lines(capsys) if "_aws" in line] == [0], "the news service did not fail"


def test_a_table_that_fails_ends_the_run_at_once(ingestion, news, context, monkeypatch, capsys):
    def put_item(**question):
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "PutItem")

    monkeypatch.setattr(ingestion.handler, "_table", lambda: SimpleNamespace(put_item=put_item))
    news.answers.append(newsapi.happy_path())
    run(ingestion, context, error="ClientError")
    assert len(news.requests) == 1
    assert events(capsys) == ["ingestion_failed", "news_asked"]


def test_a_rotated_key_is_read_again_after_the_old_one_was_refused(ingestion, news, context, set_secret):
    news.answers += [newsapi.key_refused(), newsapi.empty()]
    with pytest.raises(ingestion.news.NewsKeyRefusedError):
        ingestion.handler.handle({}, context)
    set_secret(SECRET, '{"api_key": "new-key"}')
    ingestion.handler.handle({}, context)
    assert news.requests[-1][1]["x-api-key"] == "new-key"


@pytest.mark.parametrize(
    "value", [" ", "key", "{}", '{"api_key": " "}', '{"api_key": 7}', "[]", r'{"api_key": "a\nb"}']
)
def test_a_secret_without_a_key_raises_instead_of_asking_without_one(ingestion, news, context, set_secret, value):
    set_secret(SECRET, value)
    with pytest.raises(ingestion.handler.SecretError):
        ingestion.handler.handle({}, context)
    assert news.requests == []


def test_a_probe_is_marked_expires_in_an_hour_and_announces_nothing(ingestion, news, table, inbox, context):
    news.answers.append(newsapi.bulk())
    result = ingestion.handler.handle({"probe": True}, context)
    assert (result["stored"], result["announced"], result["probe"]) == (5, 0, True)
    assert all(item["probe"] is True and item["source_id"].startswith("probe#") for item in items_of(table))
    assert all(abs(int(item["expires_at"]) - (time.time() + 3600)) < 60 for item in items_of(table))
    assert inbox() == []


def brought(**changes):
    return {"probe": True, "tags": [], "articles": [newsapi.article(1) | changes]}


def test_a_probe_that_brings_articles_says_as_what_a_run_would_store_them(ingestion, news, table, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "probe")
    news.answers.append(newsapi.answer([newsapi.article(1)]))
    ingestion.handler.handle({}, context)
    (real,) = items_of(table)
    answer = ingestion.handler.handle(brought(), context)
    (told,) = answer["items"]
    assert {name: told[name] for name in real if name != "expires_at"} == {
        name: value for name, value in real.items() if name != "expires_at"
    }
    assert told["kept_days"] == 30
    assert (answer["stored"], answer["announced"]) == (1, 0)


def test_a_probes_article_is_announced_on_request_until_it_is_analyzed(ingestion, table, inbox, context):
    for stored, known in ((1, 0), (0, 1)):
        answer = ingestion.handler.handle(brought() | {"announce": True}, context)
        assert (answer["stored"], answer["known"], answer["announced"]) == (stored, known, 1)
    (item,) = items_of(table)
    message = {name: item[name] for name in ("source_id", "timestamp", "tag", "title", "text")}
    assert inbox() == [message | {"probe": True, "stored": True}] * 2
    table.put_item(Item=item | {"status": "analyzed"})
    assert ingestion.handler.handle(brought() | {"announce": True}, context)["announced"] == 0


@pytest.mark.parametrize("event", [{"probe": True}, {"probe": True, "tags": ["moon"]}])
def test_a_probe_never_announces_what_the_news_service_answers(ingestion, news, inbox, context, event):
    news.answers.append(newsapi.bulk())
    assert ingestion.handler.handle(event | {"announce": True}, context)["announced"] == 0
    assert inbox() == []


@given(day=st.dates(date(2026, 1, 1), date(2126, 12, 31)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_articles_of_the_canary_are_no_old_news_on_any_day_of_their_year(ingestion, day):
    """It says `{year}`: what is older than 366 days is skipped, and a year's number in the table would run out."""
    spec = next(spec for spec in FUNCTIONS if spec.key == "ingestion")
    for probe in (*spec.probes, *spec.sample, *spec.live):
        for article in probe.event.get("articles", ()):
            published = article["publishedAt"].replace("{year}", str(day.year))
            now = datetime(day.year, day.month, day.day, tzinfo=UTC)
            _, skipped = ingestion.items.to_items([article | {"publishedAt": published}], "probe", now, seen=set())
            assert set(skipped) <= {"no_title"}


def test_the_canary_knows_the_id_that_an_article_gets(ingestion):
    release = ReleaseId(digest="d" * 64, sha="5" * 40)
    (asked,) = [one for one in questions(release, "") if one.probe.name.startswith("scores a stored item")]
    announced = json.loads(asked.event["Records"][0]["Sns"]["Message"])
    (stores,) = [one for one in questions(release, "") if one.probe.name.startswith("stores an article once")]
    items, _ = ingestion.items.to_items(stores.event["articles"], "probe", datetime.now(UTC), seen=set(), probe=True)
    assert [(item["source_id"], item["timestamp"], item["title"]) for item in items] == [
        (announced["source_id"], announced["timestamp"], announced["title"])
    ]


def test_a_probe_does_not_keep_the_real_run_from_finding_the_article_new(ingestion, news, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.happy_path())
    ingestion.handler.handle({"probe": True}, context)
    assert ingestion.handler.handle({}, context)["stored"] == 3


def test_the_answer_says_which_build_gave_it(ingestion, news, context):
    news.answers.append(newsapi.empty())
    result = ingestion.handler.handle({}, context)
    assert (result["release"], result["digest"], result["version"]) == ("a" * 40, "d" * 64, "7")


# A probe names its tags


def test_a_probe_may_name_its_tags_and_asks_for_these_alone(ingestion, news, table, context):
    news.answers += [newsapi.bulk(), newsapi.answer([newsapi.article(200)])]
    result = run(ingestion, context, {"probe": True, "tags": ["moon", " Mars AND (ice) "]})
    assert [path.split("q=")[1].split("&")[0] for path, _ in news.requests] == ["moon", "+Mars+AND+%28ice%29+"]
    assert (result["stored"], result["announced"]) == (6, 0)
    assert {item["tag"] for item in items_of(table)} == {"moon", " Mars AND (ice) "}
    assert all(item["probe"] is True for item in items_of(table))


def test_an_empty_tag_of_a_probe_is_passed_on_so_that_a_failure_of_the_news_can_be_seen_anywhere(
    ingestion, news, context
):
    news.answers.append(newsapi.parameter_missing())
    assert run(ingestion, context, {"probe": True, "tags": [""]}, error="NewsAnswerError") == (
        "status 400, code parametersMissing"
    )
    assert "q=&" in news.requests[0][0]


@pytest.mark.parametrize(
    "tags", ["robots", [], ["a", "b", "c", "d"], [7], [None], ["a" * 501], ["\ud800"], ["a\nb"], None, {"a": 1}]
)
def test_tags_of_a_probe_that_make_no_sense_are_an_error_with_a_name(ingestion, news, context, tags):
    assert "must be a list of 1 to 3 texts" in run(ingestion, context, {"probe": True, "tags": tags}, "ProbeError")
    assert news.requests == []


@pytest.mark.parametrize("probe", [False, None, "true", 1])
def test_no_run_but_a_probe_can_be_given_other_tags(ingestion, news, context, probe):
    news.answers.append(newsapi.empty())
    run(ingestion, context, {"probe": probe, "tags": ["moon"]})
    assert [path.split("q=")[1].split("&")[0] for path, _ in news.requests] == ["robots", "climate"]


# What is logged and counted


def test_each_run_counts_whether_the_news_service_failed(ingestion, news, context, capsys):
    news.answers += [newsapi.empty(), newsapi.empty(), newsapi.key_exhausted(), newsapi.empty()]
    ingestion.handler.handle({}, context)
    with pytest.raises(ingestion.news.NewsRateLimitedError):
        ingestion.handler.handle({}, context)
    counted = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line]
    assert [line["NewsFailures"] for line in counted] == [0, 1]
    assert {line["FunctionName"] for line in counted} == {"preprod-sentiment-x"}
    assert all(abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 60 for line in counted)


def test_what_a_run_counts_is_exactly_what_the_alarm_looks_at(ingestion, news, context, capsys):
    (row,) = [row for row in alarms(load("preprod", STACK_FILES, {})) if row.metric == "NewsFailures"]
    context.function_name = "preprod-sentiment-ingestion"
    news.answers += [newsapi.key_exhausted(), newsapi.empty()]
    run(ingestion, context, error="NewsRateLimitedError")
    ((namespace, point),) = [one for line in capsys.readouterr().out.splitlines() for one in metrics_of(line)]
    assert (namespace, point["MetricName"]) == (row.namespace, row.metric)
    assert {one["Name"]: one["Value"] for one in point["Dimensions"]} == row.dimensions
    assert sum(point["Values"]) >= row.threshold


def test_a_run_without_a_key_counts_too(ingestion, context, capsys, set_secret):
    set_secret(SECRET, "{}")
    run(ingestion, context, error="SecretError")
    assert [line["NewsFailures"] for line in lines(capsys) if "_aws" in line] == [0]


@pytest.mark.parametrize("answer", [newsapi.empty(), newsapi.rate_limited()])
def test_a_probe_counts_nothing(ingestion, news, context, capsys, answer):
    news.answers.append(answer)
    with contextlib.suppress(ingestion.news.NewsError):
        ingestion.handler.handle({"probe": True}, context)
    assert "_aws" not in capsys.readouterr().out


def test_logs_are_json_lines_and_never_hold_the_key(ingestion, news, context, capsys):
    news.answers += [newsapi.happy_path(), newsapi.error(401, "apiKeyInvalid", "key-of-news is wrong")]
    with pytest.raises(ingestion.news.NewsKeyRefusedError):
        ingestion.handler.handle({}, context)
    logged = capsys.readouterr().out
    told = [json.loads(line)["event"] for line in logged.splitlines()]
    assert told == ["tag_failed", "ingestion_failed", "news_asked"]
    assert "key-of-news" not in logged
