"""One repository over GitHub's REST API: what is repeated, how long a limit is waited out, what is not believed.

Calls that may be repeated are: a broken connection, a 5xx or a rate limit costs time and nothing else. What would be
made twice (an issue, a comment) is sent once, and looked for before it is sent again. The token is in no message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError
from tenacity import RetryCallState, Retrying, retry, retry_if_exception, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from release.clock import Clock
from release.errors import ReleaseError
from release.text import one_line

PUBLIC: Final = "https://api.github.com"
TRIES: Final = 5
_AGENT: Final = {"User-Agent": "sentiment-pipeline-release"}
_LIMIT: Final = httpx.Timeout(15.0, connect=5.0)
_LONGEST_WAIT_S: Final = 90.0
_PAGE: Final = 100
_PAGES: Final = 30
_OK, _TOO_MANY, _SERVER_ERROR = 200, 429, 500
_NOT_FOUND: Final = 404
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
T = TypeVar("T")


class GitHubError(ReleaseError):
    """GitHub did not say or do what was asked; `status` is that of its answer, 0 where there was none."""

    def __init__(self, what: str, *, why: str = "", next_step: str = "", status: int = 0) -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.status = status


class OversizeError(GitHubError):
    """An answer of GitHub is longer than its reader takes."""


class _SentError(GitHubError):
    """A call that must not be repeated blindly: GitHub may have done it before its answer was lost."""


looked_for = retry(retry=retry_if_exception_type(_SentError), stop=stop_after_attempt(TRIES), reraise=True)
"""For what begins by looking whether it is there: then it may be sent again after an answer was lost."""


class _FailedError(Exception):
    """One try that failed."""

    def __init__(self, why: str, *, again: bool, sent: bool, after_s: float | None = None, status: int = 0) -> None:
        super().__init__(why)
        self.again, self.sent, self.after_s, self.status = again, sent, after_s, status


def unless_missing(ask: Callable[[], T]) -> T | None:
    """Return the answer of `ask`, or `None` where GitHub knows no such thing, or none that this token may see."""
    try:
        return ask()
    except GitHubError as error:
        if error.status != _NOT_FOUND:
            raise
        return None


class Rest:
    """One repository, as the job's token may see it. Making it opens no connection and never fails; a call may."""

    def __init__(
        self,
        token: str,
        repository: str,
        api: str = PUBLIC,
        clock: Clock | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.repository = repository
        self._token = token
        self._clock = clock or Clock()
        self._api = api.rstrip("/")
        self._transport = transport

    @cached_property
    def _client(self) -> httpx.Client:
        _require(self._token, self.repository, self._api)
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        return httpx.Client(headers=_AGENT | headers, timeout=_LIMIT, transport=self._transport)

    def close(self) -> None:
        """Close the connections; a command that ends does so anyway."""
        self._client.close()

    def document(self, path: str) -> Any:
        """Return GitHub's answer at `path` below the repository (empty: about the repository itself), as it came.

        Raises:
            GitHubError: There is no answer; its `status` 404 also stands for what this token may not see.
        """
        return _json(self._call("GET", path), path)

    def items(self, path: str, key: str = "", **wanted: str) -> list[dict[str, Any]]:
        """Every item of the list at `path` below the repository, as it came; `key` is where an object holds it."""
        return list(self._list(path, dict[str, Any], key, **wanted))

    def _read(
        self, path: str, kind: type[T], method: str = "GET", body: dict[str, Any] | None = None, **how: bool
    ) -> T:
        return _valid(_json(self._call(method, path, body, **how), path), kind, path)

    def _list(self, path: str, kind: type[T], key: str = "", **wanted: str) -> Iterator[T]:
        """Every item of a list, page by page as the Link header leads.

        Raises:
            GitHubError: There is no end to it, or the next page lies on another host.
        """
        address: str | None = str(httpx.URL(self._url(path), params={**wanted, "per_page": str(_PAGE)}))
        for _ in range(_PAGES):
            answer = self._call("GET", address or "")
            document = _json(answer, path)
            items = document.get(key) if key and isinstance(document, dict) else document
            yield from _valid(items, list[kind], path)  # ty: ignore[invalid-type-form] -- a type made of a type argument
            address = answer.links.get("next", {}).get("url")
            if address is None:
                return
            if not address.startswith(f"{self._api}/"):
                raise GitHubError(
                    f"GitHub sends the next page of {path} from another address",
                    why=f"{urlsplit(address).netloc} would be given the token",
                    next_step="check GITHUB_API_URL",
                )
        raise GitHubError(f"{path} has more than {_PAGES * _PAGE} items", why="what is cut off cannot be judged")

    def _url(self, path: str) -> str:
        return f"{self._api}/repos/{self.repository}/{path}".rstrip("/")

    def _page_of(self, path: str) -> str:
        return f"{'https://github.com' if self._api == PUBLIC else self._api}/{self.repository}/{path}"

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        repeatable: bool = True,
        wanted: int | None = None,
    ) -> httpx.Response:
        """The answer to one call: with status `wanted`, or with any that means success."""
        url = path if path.startswith(f"{self._api}/") else self._url(path)

        def once() -> httpx.Response:
            answer = self._client.request(method, url, json=body)
            status = answer.status_code
            if status == wanted or (wanted is None and _OK <= status < _OK + 100):
                return answer
            raise self._failure(answer)

        return self._tried(f"{method} {urlsplit(url).path}", once, repeatable=repeatable)

    def _tried(self, what: str, once: Callable[[], T], *, repeatable: bool = True) -> T:
        def attempt() -> T:
            try:
                return once()
            except httpx.HTTPError as error:
                again, sent = isinstance(error, httpx.TransportError), not isinstance(error, _NEVER_SENT)
                raise _FailedError(f"{type(error).__name__}: {error}", again=again, sent=sent) from None

        retrying = Retrying(
            retry=retry_if_exception(lambda error: _try_again(error, repeatable=repeatable)),
            wait=_wait,
            stop=stop_after_attempt(TRIES),
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except _FailedError as failure:
            kind = _SentError if failure.sent and not repeatable else GitHubError
            raise kind(
                f"GitHub did not answer {what} as it should",
                why=str(failure).replace(self._token, "***"),
                next_step=_advice(failure.status),
                status=failure.status,
            ) from None  # the cause holds the request, and that the token

    def _foreign(self, place: str, longest: int) -> bytes:
        """Return the body at a signed address of another host; undecoded, so that nothing swells."""
        headers = _AGENT | {"Accept-Encoding": "identity"}
        with (
            httpx.Client(headers=headers, timeout=_LIMIT, transport=self._transport) as client,
            client.stream("GET", place) as answer,
        ):
            if answer.status_code != _OK:
                raise self._failure(answer, why=f"HTTP {answer.status_code} of {urlsplit(place).hostname}")
            body = bytearray()
            for chunk in answer.iter_raw():
                body += chunk
                if len(body) > longest:
                    raise OversizeError(f"an artifact has more than {longest} bytes")
            return bytes(body)

    def _failure(self, answer: httpx.Response, why: str = "") -> _FailedError:
        status = answer.status_code
        why = why or f"HTTP {status}: {_message(answer)}"
        limited_s = self._limited_for(answer) if answer.is_closed else None
        if limited_s is not None:
            # Refused before anything was done.
            return _FailedError(why, again=limited_s <= _LONGEST_WAIT_S, sent=False, after_s=limited_s, status=status)
        broken = status >= _SERVER_ERROR
        return _FailedError(why, again=broken, sent=broken, after_s=self._retry_after_s(answer), status=status)

    def _retry_after_s(self, answer: httpx.Response) -> float | None:
        """Seconds that the answer asks to wait: HTTP allows a number and a date (RFC 9110, section 10.2.3)."""
        said = answer.headers.get("retry-after", "")
        if (seconds := _seconds(said)) is not None:
            return seconds
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - self._clock.now().timestamp())
        except (ValueError, OverflowError):
            return None

    def _limited_for(self, answer: httpx.Response) -> float | None:
        """Seconds until a rate limit allows the next call; `None` when the answer is no rate limit.

        As docs.github.com ("Best practices for using the REST API") says: Retry-After, else the reset time when
        nothing remains, else a minute.
        """
        if answer.status_code not in {403, _TOO_MANY}:
            return None
        told = self._retry_after_s(answer)
        if told is not None:
            return told
        if answer.headers.get("x-ratelimit-remaining") == "0":
            reset = _seconds(answer.headers.get("x-ratelimit-reset", ""))
            return 60.0 if reset is None else max(0.0, reset - self._clock.now().timestamp())
        limited = answer.status_code == _TOO_MANY or "rate limit" in _message(answer).lower()
        return 60.0 if limited else None


def is_safe(address: str) -> bool:
    """Whether nobody on the way can read or change what goes to an address."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _require(token: str, repository: str, api: str) -> None:
    if not re.fullmatch(r"[!-~]+", token):
        raise GitHubError(
            "GITHUB_TOKEN is no token", why="it holds spaces, line ends or other letters", next_step="set it again"
        )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise GitHubError(
            f"{repository!r} is not the name of a repository", next_step="set GITHUB_REPOSITORY to OWNER/NAME"
        )
    if not is_safe(api):
        raise GitHubError(
            f"{urlsplit(api).hostname} would be sent the token in clear text",
            next_step="set GITHUB_API_URL to an https address",
        )


def _try_again(error: BaseException, *, repeatable: bool) -> bool:
    return isinstance(error, _FailedError) and error.again and (repeatable or not error.sent)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    told = error.after_s if isinstance(error, _FailedError) and error.after_s is not None else 0.0
    return max(min(told, _LONGEST_WAIT_S), wait_random_exponential(multiplier=0.5, max=8)(state))


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,12}", text.strip()) else None


def _message(answer: httpx.Response) -> str:
    try:
        said = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = answer.reason_phrase or "no message"
    return one_line(said, 200)


def _advice(status: int) -> str:
    if status in {401, 403}:
        return "look at the `permissions` of the job, and at the token's rate limit"
    return "try again; https://www.githubstatus.com says how GitHub is"


def _json(answer: httpx.Response, path: str) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise GitHubError(f"GitHub's answer to {path} is no JSON", why=str(error), next_step=_advice(0)) from None


def _valid(document: Any, kind: type[T], path: str) -> T:
    try:
        return TypeAdapter(kind).validate_python(document, strict=True)
    except ValidationError as error:
        where = ", ".join(sorted({".".join(map(str, one["loc"])) or "all of it" for one in error.errors()}))
        raise GitHubError(
            f"GitHub's answer to {path} is not what its documentation says", why=f"wrong or missing: {where[:200]}"
        ) from None
