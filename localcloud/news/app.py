"""The HTTP edge of the made-up NewsAPI: `GET /v2/everything`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from localcloud.faults.asgi import Droppable, Faulty, news_call
from localcloud.lifeline import exit_when_parent_is_gone
from localcloud.news import articles

_USUAL_COUNT = 12
_BULK_COUNT = 100
_MAX_PAGE_SIZE = 100


def make_app() -> FastAPI:
    """Return the application."""
    app = FastAPI(title="News of the local cloud", openapi_url=None)

    @app.get("/_localcloud/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/v2/everything")
    async def everything(request: Request) -> JSONResponse:
        given = request.query_params
        key = request.headers.get("x-api-key") or request.headers.get("authorization") or given.get("apiKey")
        if not key:
            return _error(
                401,
                "apiKeyMissing",
                "Your API key is missing. Append this to the URL with the apiKey param, or use the x-api-key header.",
            )
        query = given.get("q", "")
        refused = _refusal(query)
        if refused:
            return refused
        try:
            size = int(given.get("pageSize", _MAX_PAGE_SIZE))
            page = int(given.get("page", 1))
            earliest = _moment(given.get("from"))
        except ValueError as error:
            return _error(400, "parameterInvalid", f"A parameter cannot be read: {error}.")
        if not (1 <= size <= _MAX_PAGE_SIZE and page >= 1):
            return _error(400, "parameterInvalid", "pageSize must be from 1 to 100, page at least 1.")
        found = [one for one in _articles(query) if earliest is None or _is_since(one, earliest)]
        some = found[(page - 1) * size : page * size]
        return JSONResponse({"status": "ok", "totalResults": len(found), "articles": some})

    return app


def _refusal(query: str) -> JSONResponse | None:
    """Return the error that the query asks for by a magic word, or the one for an empty query."""
    if not query:
        return _error(
            400, "parametersMissing", "Required parameters are missing, the scope of your search is too broad."
        )
    if "__429" in query:
        return _error(429, "rateLimited", "You have made too many requests recently.")
    if "__500" in query:
        return _error(500, "unexpectedError", "This shouldn't happen.")
    return None


def _articles(query: str) -> list[dict[str, Any]]:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    if "__empty" in query:
        return []
    if "__missing" in query:
        return articles.incomplete(query, hour)
    return articles.made_up(query, hour, _BULK_COUNT if "__bulk" in query else _USUAL_COUNT)


def _is_since(article: dict[str, Any], earliest: datetime) -> bool:
    published = article.get("publishedAt")
    return published is None or datetime.fromisoformat(published) >= earliest


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"status": "error", "code": code, "message": message}, status)


def main() -> None:
    """Serve the news (`--port`)."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.news", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    port = parser.parse_args().port
    exit_when_parent_is_gone()
    app = Faulty(make_app(), news_call)
    uvicorn.run(app, http=Droppable, host="127.0.0.1", port=port, log_level="info")
