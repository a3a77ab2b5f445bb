"""The HTTP edge of the local GitHub: routes under /api/v3, and /_localcloud for health and for tests."""

import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from localcloud.github import (
    accounts,
    artifacts,
    environments,
    git_data,
    oidc,
    packages,
    pulls,
    repository,
    runs,
    sigstore,
    statuses,
    tracking,
)
from localcloud.github.errors import GitHubApiError
from localcloud.github.routing import API, OWN
from localcloud.github.store import GitHubStore

_log = logging.getLogger("uvicorn.error")


def make_app() -> FastAPI:
    """Return the application around a store of its own."""
    app = FastAPI(title="GitHub of the local cloud", openapi_url=None)
    app.state.store = GitHubStore()
    app.state.issuer = oidc.Issuer()
    app.state.sigstore = sigstore.Sigstore()
    app.state.packages = packages.KnownPackages()

    @app.middleware("http")
    async def ask_for_a_token(request: Request, call_next: Any) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if request.url.path.startswith(API) and not (scheme.lower() in ("bearer", "token", "basic") and token.strip()):
            return JSONResponse(GitHubApiError(401, "Requires authentication").body(), 401)
        return await call_next(request)

    @app.exception_handler(GitHubApiError)
    async def refuse(_: Request, error: GitHubApiError) -> Response:
        return JSONResponse(error.body(), error.status)

    @app.exception_handler(HTTPException)
    async def refuse_unknown_route(request: Request, error: HTTPException) -> Response:
        _log.warning("unknown route: %s %s", request.method, request.url.path)
        return JSONResponse(GitHubApiError(error.status_code, "Not Found").body(), error.status_code)

    @app.exception_handler(RequestValidationError)
    async def refuse_body(_: Request, error: RequestValidationError) -> Response:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return JSONResponse(GitHubApiError(422, "Invalid request.", problems).body(), 422)

    @app.get(f"{OWN}/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    parts = (accounts, artifacts, environments, git_data, oidc, packages, pulls, repository, runs)
    parts += (sigstore, statuses, tracking)
    for part in parts:
        app.include_router(part.routes)
    return app
