"""The HTTP edge of the made-up NewsAPI: `GET /v2/everything`.

A key that has asked too often is refused as NewsAPI's developer plan refuses it (`plan.py`). What follows two
underscores in a question asks for an answer that a reader must bear: `robots__429`. All shapes are those
of `tests/fixtures/newsapi_responses.py`, with which the functions are tested as well.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import Response

from localcloud.news import articles
from localcloud.news.plan import DeveloperPlan
from tests.fixtures import newsapi_responses as newsapi
from tests.fixtures.newsapi_responses import Answer, Article, Make

_USUAL_COUNT: Final = 12
_RETRY_AFTER_SECONDS: Final = 1
_RETRY_LATER_SECONDS: Final = 3600
_FAILURES: Final[dict[str, Callable[[], Answer]]] = {
    "401": newsapi.key_refused,
    "426": newsapi.upgrade_required,
    "429": newsapi.rate_limited,
    "429_soon": lambda: newsapi.rate_limited(_RETRY_AFTER_SECONDS),
    "429_later": lambda: newsapi.rate_limited(_RETRY_LATER_SECONDS),
    "500": newsapi.server_error,
    "502": newsapi.bad_gateway,
    "503": newsapi.unavailable,
    "malformed": newsapi.malformed,
}
_ODD_ARTICLES: Final[dict[str, Callable[[Make], list[Any]]]] = {
    "missing": newsapi.missing_fields,
    "duplicates": newsapi.duplicates,
    "removed": newsapi.removed,
    "unicode": newsapi.unicode_texts,
    "long": newsapi.very_long,
}
_COUNTS: Final = {"empty": 0, "bulk": newsapi.BULK}


def make_app() -> FastAPI:
    """Return the application."""
    app = FastAPI(title="News of the local cloud", openapi_url=None)
    plan = DeveloperPlan.from_environment()

    @app.get("/_localcloud/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/_localcloud/requests")
    async def requests() -> dict[str, int]:
        return {"requests": plan.asked}

    @app.get("/v2/everything")
    async def everything(request: Request) -> Response:
        given = request.query_params
        key = request.headers.get("x-api-key") or request.headers.get("authorization") or given.get("apiKey")
        answer = _answer(given) if key else newsapi.key_missing()
        if key and not plan.takes(key):
            answer = newsapi.rate_limited()
        # JSON is what NewsAPI speaks; an answer of something before it says itself what it is.
        headers = {"content-type": "application/json; charset=utf-8", **answer.headers}
        return Response(answer.body, answer.status, headers)

    return app


def _answer(given: Mapping[str, str]) -> Answer:
    query = given.get("q", "")
    if not query:
        return newsapi.parameter_missing()
    word = query.partition("__")[2]
    if word in _FAILURES:
        return _FAILURES[word]()
    try:
        size = int(given.get("pageSize", newsapi.BULK))
        page = int(given.get("page", 1))
        earliest = _moment(given.get("from"))
    except ValueError as error:
        return newsapi.parameter_invalid(f"A parameter cannot be read: {error}.")
    if not (1 <= size <= newsapi.BULK and page >= 1):
        return newsapi.parameter_invalid("pageSize must be from 1 to 100, page at least 1.")
    found = _found(query, word, earliest)
    return newsapi.answer(found[(page - 1) * size : page * size], total=len(found))


def _found(query: str, word: str, earliest: datetime | None) -> list[Any]:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    if word in _ODD_ARTICLES:
        complete = articles.made_up(query, hour, newsapi.BULK)
        return _ODD_ARTICLES[word](lambda number: dict(complete[number]))
    known = articles.made_up(query, hour, _COUNTS.get(word, _USUAL_COUNT))
    return [one for one in known if earliest is None or _published(one) >= earliest]


def _published(article: Article) -> datetime:
    return datetime.fromisoformat(article["publishedAt"])


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
