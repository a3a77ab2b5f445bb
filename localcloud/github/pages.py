"""What routes share: bodies, and lists in pages with the link to the next one as GitHub gives it."""

from typing import Annotated, Any

from fastapi import Body, Request
from fastapi.responses import JSONResponse

from localcloud.github.errors import invalid

_LONGEST = 100
API = "/api/v3"
JsonBody = Annotated[dict[str, Any], Body()]
TextBody = Annotated[dict[str, str], Body()]


def base(request: Request) -> str:
    """Return the address of the API, as the client reached it."""
    return f"{str(request.base_url).rstrip('/')}{API}"


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
