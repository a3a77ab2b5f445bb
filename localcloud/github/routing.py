"""What routes share: paths, bodies, the store, and lists in pages with the link to the next as GitHub gives it."""

from typing import Annotated, Any, Final

from fastapi import Body, Depends, Request
from fastapi.responses import JSONResponse

from localcloud.github.errors import invalid
from localcloud.github.store import OWNER, REPOSITORY, GitHubStore

API: Final = "/api/v3"
REPO: Final = f"{API}/repos/{OWNER}/{REPOSITORY}"
OWN: Final = "/_localcloud"
"""Below it tests and rehearsals say what GitHub shall know, and ask what nobody else may."""
_LONGEST = 100
JsonBody = Annotated[dict[str, Any], Body()]
TextBody = Annotated[dict[str, str], Body()]


async def _store(request: Request) -> GitHubStore:
    return request.app.state.store


Store = Annotated[GitHubStore, Depends(_store)]


async def _writer(request: Request, store: Store) -> str:
    token = request.headers.get("authorization", "").partition(" ")[2].strip()
    return store.tokens.get(token, store.BOT)


Writer = Annotated[str, Depends(_writer)]
"""The login of the owner of the request's token."""


def page(request: Request, items: list[Any], key: str = "") -> JSONResponse:
    """Return one page of a list; with a `key` the list stands under it, beside its total count."""
    size = max(1, min(_number(request, "per_page", 30), _LONGEST))
    number = max(1, _number(request, "page", 1))
    shown = items[(number - 1) * size : number * size]
    answer = JSONResponse({"total_count": len(items), key: shown} if key else shown)
    if number * size < len(items):
        following = request.url.include_query_params(page=number + 1)
        answer.headers["Link"] = f'<{following}>; rel="next"'
    return answer


def _number(request: Request, name: str, otherwise: int) -> int:
    try:
        return int(request.query_params.get(name, otherwise))
    except ValueError:
        raise invalid(f"{name} must be a number") from None
