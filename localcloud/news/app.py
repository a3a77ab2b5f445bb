"""The HTTP edge of the made-up NewsAPI: `GET /v2/everything`.

A key that has asked too often is refused as NewsAPI's developer plan refuses it (`plan.py`). What follows two
underscores in a question asks for a failure: `robots__401`. All shapes are those of
`tests/fixtures/newsapi_responses.py`, with which the functions are tested as well.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response

from localcloud.news import articles
from localcloud.news.plan import DeveloperPlan
from tests.fixtures import newsapi_responses as newsapi
from tests.fixtures.newsapi_responses import Answer

_COUNT: Final = 12
_PARAMETERS: Final = frozenset({"apiKey", "language", "pageSize", "q", "sortBy"})
_RETRY_LATER_SECONDS: Final = 3600
_FAILURES: Final[dict[str, Callable[[], Answer]]] = {
    "401": newsapi.key_refused,
    "426": newsapi.upgrade_required,
    "429_later": lambda: newsapi.rate_limited(_RETRY_LATER_SECONDS),
    "500": newsapi.server_error,
    "502": newsapi.bad_gateway,
    "malformed": newsapi.malformed,
}


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
    unknown = given.keys() - _PARAMETERS
    size = given.get("pageSize", str(newsapi.BULK))
    if unknown or not size.isdecimal() or not 1 <= int(size) <= newsapi.BULK:
        return newsapi.parameter_invalid(f"pageSize must be from 1 to 100, and {sorted(unknown)} is unknown here.")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    found = articles.made_up(query, hour, _COUNT)
    return newsapi.answer(found[: int(size)], total=len(found))
