"""The made-up NewsAPI over HTTP."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from parts import running_part


@pytest.fixture(scope="module")
def news(tmp_path_factory):
    with (
        running_part("news", tmp_path_factory.mktemp("news") / "news.log") as url,
        httpx.Client(base_url=url, headers={"X-Api-Key": "made-up"}) as http,
    ):
        yield http


def ask(news, query, **more):
    return news.get("/v2/everything", params={"q": query} | more)


def test_articles_have_newsapis_shape_and_are_the_same_for_everybody(news):
    answer = ask(news, "climate", pageSize=10).json()
    assert answer["status"] == "ok"
    assert (answer["totalResults"], len(answer["articles"])) == (12, 10)
    fields = {"source", "author", "title", "description", "url", "urlToImage", "publishedAt", "content"}
    for article in answer["articles"]:
        assert set(article) == fields
        assert set(article["source"]) == {"id", "name"}
        assert "climate" in article["title"]
        assert datetime.fromisoformat(article["publishedAt"]) < datetime.now(UTC)
    assert len({one["url"] for one in answer["articles"]}) == 10
    assert ask(news, "climate", pageSize=10).json() == answer
    assert ask(news, "economy", pageSize=10).json() != answer


def test_articles_sound_glad_sad_and_neither(news):
    titles = " ".join(one["title"] for one in ask(news, "tech__bulk").json()["articles"])
    for word in ("delights", "disappoints", "calendar"):
        assert word in titles


def test_the_key_is_asked_for_and_may_come_as_header_or_parameter(news):
    url = f"{news.base_url}/v2/everything"
    refused = httpx.get(url, params={"q": "climate"})
    assert (refused.status_code, refused.json()["status"], refused.json()["code"]) == (401, "error", "apiKeyMissing")
    assert httpx.get(url, params={"q": "climate", "apiKey": "made-up"}).status_code == 200


def test_magic_queries_give_the_answers_that_a_reader_must_bear(news):
    for query, status, code in (("a__429", 429, "rateLimited"), ("a__500", 500, "unexpectedError")):
        answer = ask(news, query)
        assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (status, "error", code)
    assert ask(news, "a__empty").json() == {"status": "ok", "totalResults": 0, "articles": []}
    assert len(ask(news, "a__bulk").json()["articles"]) == 100
    incomplete = ask(news, "a__missing").json()["articles"]
    assert {name for one in incomplete for name, value in one.items() if value is None} >= {
        "title",
        "url",
        "publishedAt",
    }
    assert any("description" not in one for one in incomplete)


def test_parameters_are_obeyed_and_nonsense_is_refused(news):
    recent = (datetime.now(UTC) - timedelta(hours=6)).isoformat()
    some, every = (ask(news, "a__bulk", **{"from": since}).json()["articles"] for since in (recent, "2020-01-01"))
    assert 0 < len(some) < len(every) == 100
    assert all(one["publishedAt"] >= recent[:19] for one in some)
    second = ask(news, "a__bulk", pageSize=60, page=2).json()["articles"]
    assert second == every[60:]
    for nonsense in ({"pageSize": 0}, {"pageSize": "many"}, {"from": "yesterday"}, {"q": ""}):
        answer = news.get("/v2/everything", params={"q": "a"} | nonsense)
        assert (answer.status_code, answer.json()["status"]) == (400, "error")
