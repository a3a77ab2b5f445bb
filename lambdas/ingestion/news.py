"""Reads a NewsAPI-shaped service. Every way in which it can fail has a name, and each is raised."""

from __future__ import annotations

import json
import re
from typing import Any

import urllib3

MAX_ARTICLES = 100
"""Articles in one answer: NewsAPI's largest page."""

_TIMEOUT = urllib3.Timeout(connect=3.0, read=10.0)
# One try, no redirects: Lambda repeats a failed run, and a redirect would carry the key to another host.
_HTTP = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
_UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_ERRORS, _OK = 401, 403, 429, 500, 200


class NewsError(Exception):
    """The news service gave no articles."""


class NewsKeyRefusedError(NewsError):
    """401 or 403: the key is wrong, expired or disabled."""


class NewsRateLimitedError(NewsError):
    """429: more requests than the plan allows."""


class NewsUnavailableError(NewsError):
    """5xx, no connection, or no answer in time."""


class NewsAnswerError(NewsError):
    """An answer that is not the documented one."""


def fetch_articles(endpoint: str, key: str, tag: str, *, limit: int = MAX_ARTICLES) -> list[Any]:
    """The newest articles about `tag`, as the service wrote them (nothing in them is checked yet).

    Raises:
        NewsError: one of its kinds above.
    """
    fields = {"q": tag, "sortBy": "publishedAt", "language": "en", "pageSize": str(limit)}
    try:
        answer = _HTTP.request("GET", endpoint, fields=fields, headers={"X-Api-Key": key, "Accept": "application/json"})
    except urllib3.exceptions.HTTPError as error:
        # Only the kind of error: its text may hold the address with the query.
        raise NewsUnavailableError(f"no answer from the news service ({type(error).__name__})") from None
    if answer.status != _OK:
        raise _failure(answer.status, answer.data)
    body = _document(answer.data)
    articles = body.get("articles")
    if body.get("status") != "ok" or not isinstance(articles, list):
        raise NewsAnswerError(f"status 200, but no list of articles{_code(body)}")
    return articles[:limit]


def _failure(status: int, data: bytes) -> NewsError:
    try:
        said = f"status {status}{_code(_document(data))}"
    except NewsAnswerError:
        said = f"status {status}"
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        return NewsKeyRefusedError(said)
    if status == _TOO_MANY:
        return NewsRateLimitedError(said)
    if status >= _SERVER_ERRORS:
        return NewsUnavailableError(said)
    return NewsAnswerError(said)


def _document(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        raise NewsAnswerError("the answer is not JSON") from None
    if not isinstance(body, dict):
        raise NewsAnswerError("the answer is not a JSON object")
    return body


def _code(body: dict[str, Any]) -> str:
    """NewsAPI's error code; its free text stays out of our logs."""
    code = body.get("code")
    return f", code {code}" if isinstance(code, str) and re.fullmatch(r"[A-Za-z]{1,40}", code) else ""
