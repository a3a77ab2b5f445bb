import contextlib
import json
import time

import pytest

from tests.fixtures import newsapi_responses as newsapi

SECRET = "preprod/sentiment-analyzer/newsapi"


def items_of(table):
    return table.scan()["Items"]


def test_a_new_article_is_stored_once_with_everything_that_the_api_needs(ingestion, news, table, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.answer([newsapi.article(1)]))
    ingestion.handler.handle({}, context)
    (item,) = items_of(table)
    assert item["source_id"].startswith("news#")
    assert item["timestamp"] == "2026-11-02T10:01:00Z"
    assert (item["status"], item["tag"], item["url"]) == ("pending", "robots", "https://news.example/articles/1")
    assert "wonderful" in item["title"]
    assert "happy" in item["text"]
    assert abs(int(item["expires_at"]) - (time.time() + 30 * 24 * 3600)) < 60


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
    # Both tags give the same three articles: known at the second tag, but still pending, so announced again.
    assert (first["fetched"], first["stored"], first["known"]) == (6, 3, 3)
    assert {message["source_id"] for message in inbox()} == {item["source_id"] for item in items_of(table)}
    for item in items_of(table):
        key = {"source_id": item["source_id"], "timestamp": item["timestamp"]}
        table.put_item(Item=item | {"status": "analyzed"} | key)
    second = ingestion.handler.handle({}, context)
    assert (second["stored"], second["known"], second["announced"]) == (0, 6, 0)
    assert inbox() == []


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
    news.answers.append(newsapi.missing_fields())
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


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (newsapi.key_refused(), "NewsKeyRefusedError"),
        (newsapi.rate_limited(), "NewsRateLimitedError"),
        (newsapi.server_error(), "NewsUnavailableError"),
        (newsapi.bad_gateway(), "NewsUnavailableError"),
        (newsapi.not_json(), "NewsAnswerError"),
        (newsapi.error_as_success(), "NewsAnswerError"),
        ((302, b""), "NewsAnswerError"),
    ],
)
def test_each_failure_of_the_news_service_raises_under_its_name(ingestion, news, context, answer, error):
    news.answers.append(answer)
    with pytest.raises(getattr(ingestion.news, error)):
        ingestion.handler.handle({}, context)
    assert len(news.requests) == 1


def test_no_answer_at_all_raises_as_unavailable(ingestion, context, monkeypatch):
    # Port 9 of loopback: nobody listens.
    monkeypatch.setenv("NEWS_ENDPOINT", "http://127.0.0.1:9/v2/everything")
    with pytest.raises(ingestion.news.NewsUnavailableError):
        ingestion.handler.handle({}, context)


def test_a_failure_at_the_second_tag_keeps_what_the_first_one_brought(ingestion, news, table, inbox, context):
    news.answers += [newsapi.happy_path(), newsapi.rate_limited()]
    with pytest.raises(ingestion.news.NewsRateLimitedError):
        ingestion.handler.handle({}, context)
    assert len(items_of(table)) == len(inbox()) == 3


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


def test_a_probe_does_not_keep_the_real_run_from_finding_the_article_new(ingestion, news, context, monkeypatch):
    monkeypatch.setenv("WATCH_TAGS", "robots")
    news.answers.append(newsapi.happy_path())
    ingestion.handler.handle({"probe": True}, context)
    assert ingestion.handler.handle({}, context)["stored"] == 3


def test_the_answer_says_which_build_gave_it(ingestion, news, context):
    news.answers.append(newsapi.empty())
    result = ingestion.handler.handle({}, context)
    assert (result["release"], result["digest"], result["version"]) == ("a" * 40, "d" * 64, "7")


def test_each_run_counts_whether_the_news_service_failed(ingestion, news, context, capsys):
    news.answers += [newsapi.empty(), newsapi.empty(), newsapi.rate_limited()]
    ingestion.handler.handle({}, context)
    with pytest.raises(ingestion.news.NewsRateLimitedError):
        ingestion.handler.handle({}, context)
    counted = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line]
    assert [line["NewsFailures"] for line in counted] == [0, 1]
    assert {line["FunctionName"] for line in counted} == {"preprod-sentiment-x"}
    assert all(abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 60 for line in counted)


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
    assert [json.loads(line)["event"] for line in logged.splitlines()] == ["ingestion_failed", "news_asked"]
    assert "key-of-news" not in logged
