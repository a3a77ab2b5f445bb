"""Reads a NewsAPI-shaped service. Every way in which it can fail has a name, and each is raised."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Any, Self

import urllib3
from logs import log
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError

MAX_ARTICLES = 100
"""Articles in one answer: NewsAPI's largest page."""
_REPEATS = 2
_BACKOFF_SECONDS = 0.5
"""The first repeat comes at once, the second after twice this."""
_TRY = 0.4
"""What one try may take of the time for a request: two that nobody answers fit, and some waiting."""
_LONGEST_RETRY_AFTER = 366 * 24 * 3600
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


class _Repeats(urllib3.Retry):
    """urllib3's repeats, of which each one begins only if it can end before `latest` (seconds, monotonic clock)."""

    def __init__(self, *, latest: float, a_try: float, **more: Any) -> None:
        super().__init__(**more)
        self.latest, self.a_try = latest, a_try

    def new(self, **changes: Any) -> Self:
        return super().new(latest=self.latest, a_try=self.a_try, **changes)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> Self:
        """The repeats that are left; urllib3 then waits and asks again.

        Raises:
            MaxRetryError: none is left, or no time for one.
        """
        repeats = super().increment(method, url, response, error, _pool, _stacktrace)
        wait = (self.get_retry_after(response) if response else None) or repeats.get_backoff_time()
        if time.monotonic() + wait + self.a_try > self.latest:
            raise MaxRetryError(_pool, url or "", error)
        why = f"status {response.status}" if response else type(error).__name__
        log("warning", "news_asked_again", reason=why, after_seconds=wait)
        return repeats

    def parse_retry_after(self, retry_after: str) -> float:
        """Seconds that the service wants us to wait; 0 if it says nothing that can be read."""
        try:
            return super().parse_retry_after(retry_after)
        except (InvalidHeader, ValueError, OverflowError):
            return 0.0


_HTTP = urllib3.PoolManager()
# It would write the address with the query into our log whenever a connection breaks; `news_asked_again` says as much.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def fetch_articles(endpoint: str, key: str, tag: str, *, limit: int = MAX_ARTICLES, seconds: float) -> list[Any]:
    """The newest articles about `tag`, as the service wrote them (nothing in them is checked yet).

    A request that fails for a passing reason (no connection, no answer, 429, 5xx) is repeated twice at most, within
    `seconds`. A Retry-After that fits is waited for; a longer one is an error at once.

    Raises:
        NewsError: one of its kinds above.
    """
    fields = {"q": tag, "sortBy": "publishedAt", "language": "en", "pageSize": str(limit)}
    a_try = seconds * _TRY
    repeats = _Repeats(
        latest=time.monotonic() + seconds,
        a_try=a_try,
        total=_REPEATS,
        backoff_factor=_BACKOFF_SECONDS,
        status_forcelist={_TOO_MANY, *range(_SERVER_ERRORS, 600)},
        raise_on_status=False,
        retry_after_max=_LONGEST_RETRY_AFTER,
    )
    try:
        answer = _HTTP.request(
            "GET",
            endpoint,
            fields=fields,
            headers={"X-Api-Key": key, "Accept": "application/json"},
            timeout=urllib3.Timeout(total=a_try),
            retries=repeats,
            redirect=False,  # it would carry the key to another host
        )
    except HTTPError as error:
        # Only the kind of error: its text holds the address with the query.
        kind = type(error.reason if isinstance(error, MaxRetryError) else error).__name__
        raise NewsUnavailableError(f"no answer from the news service ({kind})") from None
    if answer.status != _OK:
        raise _failure(answer, repeats)
    body = _document(answer.data)
    articles = body.get("articles")
    if body.get("status") != "ok" or not isinstance(articles, list):
        raise NewsAnswerError(f"status 200, but no list of articles{_code(body)}")
    return articles[:limit]


def _failure(answer: urllib3.BaseHTTPResponse, repeats: _Repeats) -> NewsError:
    status = answer.status
    try:
        said = f"status {status}{_code(_document(answer.data))}"
    except NewsAnswerError:
        said = f"status {status}"
    wait = repeats.get_retry_after(answer)
    if wait:
        said += f", to be asked again in {wait:.0f} s"
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
    except (ValueError, RecursionError):
        raise NewsAnswerError("the answer is not JSON") from None
    if not isinstance(body, dict):
        raise NewsAnswerError("the answer is not a JSON object")
    return body


def _code(body: dict[str, Any]) -> str:
    """NewsAPI's error code; its free text stays out of our logs."""
    code = body.get("code")
    return f", code {code}" if isinstance(code, str) and re.fullmatch(r"[A-Za-z]{1,40}", code) else ""
