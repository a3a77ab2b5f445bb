"""The made-up NewsAPI over HTTP."""

from datetime import UTC, datetime

import httpx
import pytest

from localcloud.news.plan import VARIABLE, DeveloperPlan
from tests.fixtures import newsapi_responses as newsapi
from tests.localcloud.parts import running_part


@pytest.fixture(scope="module")
def news(tmp_path_factory):
    with (
        running_part("news", tmp_path_factory.mktemp("news") / "news.log", **{VARIABLE: "unlimited"}) as url,
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
    titles = " ".join(one["title"] for day in range(20) for one in ask(news, f"day {day}").json()["articles"])
    for word in ("delights", "disappoints", "calendar"):
        assert word in titles


def test_the_key_is_asked_for_and_may_come_as_header_or_parameter(news):
    url = f"{news.base_url}/v2/everything"
    refused = httpx.get(url, params={"q": "climate"})
    assert (refused.status_code, refused.json()["status"], refused.json()["code"]) == (401, "error", "apiKeyMissing")
    assert httpx.get(url, params={"q": "climate", "apiKey": "made-up"}).status_code == 200


FAILURES = {
    "401": newsapi.key_refused(),
    "426": newsapi.upgrade_required(),
    "429_later": newsapi.rate_limited(3600),
    "500": newsapi.server_error(),
    "502": newsapi.bad_gateway(),
    "malformed": newsapi.malformed(),
}


@pytest.mark.parametrize("word", FAILURES)
def test_a_magic_word_gives_the_failure_that_the_functions_are_tested_with(news, word):
    answer, expected = ask(news, f"a__{word}"), FAILURES[word]
    assert (answer.status_code, answer.content) == (expected.status, expected.body)
    assert answer.headers.get("retry-after") == expected.headers.get("retry-after")


def test_parameters_are_obeyed_and_nonsense_is_refused(news):
    assert len(ask(news, "a", pageSize=8).json()["articles"]) == 8
    for nonsense in ({"pageSize": 0}, {"pageSize": "many"}, {"form": "yesterday"}, {"q": ""}):
        answer = news.get("/v2/everything", params={"q": "a"} | nonsense)
        assert (answer.status_code, answer.json()["status"]) == (400, "error")


def test_a_key_that_has_used_up_its_plan_is_refused_and_another_one_is_not(tmp_path):
    with running_part("news", tmp_path / "news.log", LOCALCLOUD_CLOCK="x1") as url:

        def asked(key):
            return httpx.get(f"{url}/v2/everything", params={"q": "climate"}, headers={"X-Api-Key": key})

        assert {asked("one").status_code for _ in range(50)} == {200}
        refused = asked("one")
        assert (refused.status_code, refused.json()["code"]) == (429, "rateLimited")
        assert asked("another").status_code == 200
        assert httpx.get(f"{url}/_localcloud/requests").json() == {"requests": 52}


def test_a_plan_counts_the_requests_of_the_last_twelve_hours_of_the_clock():
    plan = DeveloperPlan.from_environment({VARIABLE: "2", "LOCALCLOUD_CLOCK": "x60"})
    asked = {0: True, 300: True, 719: False, 721: True, 722: False, 1019: False, 1021: True}
    assert {second: plan.takes("key", second) for second in asked} == asked
    assert all(DeveloperPlan.from_environment({VARIABLE: "unlimited"}).takes("key", 0) for _ in range(1000))
